"""Small boards and ground truth for the detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

from scenekit.detection import DetectorConfig, RPNTrunk, StreamProposals, TwoStageDetector
from scenekit.keys import FEATURES, OBJECTS, Stream
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.model.targets import StreamTruth, Targets
from scenekit.structures import FeaturePyramid, ImageBatch, Regions, Vocabulary

SIZE = (96, 128)
OPTIONS: Mapping[str, Any] = {
    "anchors": {"sizes": [[16], [32], [64], [128]]},
    "rpn": {"pre_nms_train": 200, "pre_nms_test": 150, "post_nms_train": 80, "post_nms_test": 40, "samples": 64},
    "pooler": {"canonical_size": 56},
    "box_head": {"fcs": [32, 32], "samples": 32},
}


@dataclass
class Kit:
    """Everything around a detector of five classes on a pyramid of four levels with eight channels."""

    core: Core = field(default_factory=lambda: Core(8, (4, 8, 16, 32), Vocabulary(things=tuple("abcde"))))

    def config(self, preset: str = "default", **changes: Any) -> DetectorConfig:
        sections = {name: {**values, **changes.get(name, {})} for name, values in OPTIONS.items()}
        return DetectorConfig.preset(preset, **sections)

    def stages(self, config: DetectorConfig) -> tuple[RPNTrunk, StreamProposals, TwoStageDetector]:
        stages = RPNTrunk(self.core, config), StreamProposals(self.core, config), TwoStageDetector(self.core, config)
        for parameter in nn.ModuleList(stages).parameters():
            nn.init.normal_(parameter, std=0.1)
        return stages

    def features(self, pictures: int, requires_grad: bool = False) -> FeaturePyramid:
        sides = [(-(-SIZE[0] // s), -(-SIZE[1] // s)) for s in self.core.strides]
        maps = tuple(torch.randn(pictures, self.core.channels, *side, requires_grad=requires_grad) for side in sides)
        return FeaturePyramid(maps, self.core.strides)

    def images(self, sizes: Sequence[tuple[int, int]], seeds: Sequence[int] | None = None) -> ImageBatch:
        pixels = torch.zeros(len(sizes), 3, *SIZE)
        return ImageBatch(pixels, tuple(sizes), tuple(sizes), seeds=None if seeds is None else tuple(seeds))

    def board(
        self,
        stages: tuple[RPNTrunk, StreamProposals, TwoStageDetector],
        features: FeaturePyramid,
        seeds: Sequence[int] | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
        given: Mapping[Any, Any] | None = None,
    ) -> Board:
        sizes = [SIZE] * len(features.maps[0]) if sizes is None else sizes
        board = Board(self.images(sizes, seeds), stages[-1].pooler, given)
        board.put(FEATURES, features)
        return board

    def targets(
        self,
        boxes: Sequence[Sequence[Sequence[float]]],
        labels: Sequence[Sequence[int]] | None = None,
        crowd: Sequence[bool] | None = None,
        supervised: Sequence[bool] | None = None,
        exhaustive: Sequence[bool] | None = None,
        covered: Sequence[int] = range(5),
        stream: Stream = OBJECTS,
    ) -> Targets:
        """Boxes and labels per image; crowds over the whole batch."""
        counts = torch.tensor([len(image) for image in boxes])
        total, every = int(counts.sum()), [True] * len(boxes)
        packed = torch.tensor([box for image in boxes for box in image], dtype=torch.float32).reshape(-1, 4)
        numbers = [n % 5 for n in range(total)] if labels is None else [n for image in labels for n in image]
        rows = Regions(
            packed, torch.arange(len(boxes)).repeat_interleave(counts), labels=torch.tensor(numbers, dtype=torch.int64)
        )
        truth = StreamTruth(
            rows,
            torch.tensor([False] * total if crowd is None else crowd, dtype=torch.bool),
            torch.tensor(every if supervised is None else supervised),
            torch.tensor(every if exhaustive is None else exhaustive),
            torch.isin(torch.arange(5), torch.tensor(list(covered))).expand(len(boxes), 5),
        )
        return Targets({stream: truth})


@pytest.fixture
def kit() -> Kit:
    return Kit()
