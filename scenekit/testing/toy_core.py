"""The smallest core that a task can stand on, and another task beside it.

Letters: B images, N regions of all images together, C channels, S side of pooled features, H W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones import FPN, Backbone, BackboneWithFPN, Level
from scenekit.config import validated
from scenekit.hooks import DetectorSpec, TaskSpec, registry
from scenekit.keys import BACKBONE_FEATURES, FEATURES, OBJECTS, Key
from scenekit.model.board import Board, Pooler
from scenekit.model.build import Trunk, build_detector, pooler_of
from scenekit.model.head import Core, Head, Provider
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.recipe import ModelConfig
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.regions import Regions
from scenekit.structures.vocabulary import Vocabulary

CHANNELS, WIDTH = 32, 8
"""Of the feature pyramid, and of the backbone below."""

MODEL = ModelConfig.model_validate(
    {
        "input": {"min_size": 64, "max_size": 96},
        "pyramid": {"channels": CHANNELS},
        "detector_options": {
            "anchors": {"sizes": [[16], [24], [32], [48], [64]]},
            "rpn": {"pre_nms_train": 60, "post_nms_train": 40, "pre_nms_test": 40, "post_nms_test": 8, "samples": 32},
            "pooler": {"canonical_size": 56},
            "box_head": {"fcs": [32], "samples": 16, "detections": 8},
        },
    }
)
"""The detector is the usual one with few regions; the backbone is `TinyBackbone`, whatever is written here."""

WITNESS: Key[Any, Any] = Key("scenekit.testing.witness", of=OBJECTS, doc="a number per object [N]", shape=("N",))


class TinyBackbone(Backbone):
    """One convolution per level."""

    def __init__(self) -> None:
        super().__init__()
        # A 3x3 convolution with stride 2 and padding 1 keeps the centre of cell 0 on that of the cell before.
        self.levels = tuple(Level(WIDTH, stride, 0.5) for stride in (4, 8, 16, 32))
        self.stem = nn.Conv2d(3, WIDTH, 3, 2, 1)
        self.stages = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, 2, 1) for _ in self.levels)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        maps, features = [], self.stem(pixels)
        for stage in self.stages:
            features = stage(features).relu()
            maps.append(features)
        return tuple(maps)


class WitnessHead(Head[Tensor, Tensor]):
    """Another task beside the checked one: shows whether that one disturbs it."""

    def __init__(self, core: Core, config: Any) -> None:
        super().__init__()
        self.net = nn.Linear(core.channels, 1)

    def forward(self, board: Board) -> Float[Tensor, " N"]:
        score: Tensor = self.net(board.pool(OBJECTS, size=7).mean((2, 3)))[:, 0]
        return score

    def loss(self, raw: Float[Tensor, " N"], board: Board, targets: Targets) -> dict[str, Tensor]:
        return {"witness": safe_mean((raw - targets[WITNESS]).abs())}

    def decode(self, raw: Float[Tensor, " N"], board: Board) -> Float[Tensor, " N"]:
        return raw


WITNESS_TASK = TaskSpec("scenekit-witness", "sees what others do", (WITNESS,), WitnessHead, learns_from=(WITNESS,))


class RecordingPooler:
    """Pools as another pooler does and keeps its results with copies, to detect changes in place."""

    def __init__(self, pooler: Pooler) -> None:
        self.pooler = pooler
        self.given: list[tuple[Tensor, Tensor]] = []

    def __call__(self, features: FeaturePyramid, regions: Regions, size: int) -> Float[Tensor, "N C S S"]:
        """Pool every row at `size` x `size`."""
        pooled = self.pooler(features, regions, size)
        self.given.append((pooled, pooled.detach().clone()))
        return pooled

    @property
    def changed(self) -> bool:
        """Whether any of the features are no longer what they were."""
        return any(not torch.equal(pooled.detach(), copy) for pooled, copy in self.given)


def core_of(vocabulary: Vocabulary) -> Core:
    """Return what heads may know of the small core when they are built."""
    detector: DetectorSpec = registry().get("detector", MODEL.detector)
    options = validated(detector.config, MODEL.detector_options, f"detector {detector.name!r}")
    return Core(CHANNELS, (4, 8, 16, 32, 64), vocabulary, options, TinyBackbone().levels, MODEL.input)


def stages_of(core: Core, detector: DetectorSpec | None = None) -> tuple[list[Provider], Pooler]:
    """Build the small core: its stages, and the pooler for the heads; `detector` is the usual one if None."""
    backbone = TinyBackbone()
    net = BackboneWithFPN(backbone, FPN(backbone.levels, CHANNELS))
    spec: DetectorSpec = registry().get("detector", MODEL.detector) if detector is None else detector
    stages = build_detector(spec, core, core.detector)
    return [Trunk(net, (BACKBONE_FEATURES, FEATURES)), *stages], pooler_of(stages)
