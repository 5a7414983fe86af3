"""Panoptic segmentation without weights, merged from instance masks and semantic labels.

Kirillov et al., Panoptic Feature Pyramid Networks, 2019, section 4 and Panoptic Segmentation, 2019, section 7.

Letters: H W pixels of the original image.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from scenekit.config import Config
from scenekit.hooks import Coverage, TaskSpec, hookimpl
from scenekit.keys import MASKS, OBJECTS, PANOPTIC, SEMANTIC
from scenekit.model.board import Board
from scenekit.model.head import Core, Head
from scenekit.scene import Scene
from scenekit.structures import Geometry, Panoptic, Segment
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.panoptic.draw import draw_panoptic
from scenekit_plugins.panoptic.evaluator import PanopticEvaluator


class PanopticConfig(Config):
    """Options of the merging."""

    score_threshold: float = Field(default=0.5, ge=0, le=1)
    """Smallest score of an object."""
    overlap: float = Field(default=0.5, ge=0, le=1)
    """Share of a mask that better objects may cover before it is dropped."""
    stuff_area: float = Field(default=0.002, ge=0, le=1)
    """Smallest area of a stuff segment, as a share of the image."""
    stuff_pixels: int = Field(default=0, ge=0)
    """Smallest area of a stuff segment, in pixels."""


class PanopticHead(Head[None, list[None]]):
    """A head without a network, which merges the results of other tasks in postprocessing."""

    def __init__(self, core: Core, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, board: Board) -> None:
        return None

    def decode(self, raw: None, board: Board) -> list[None]:
        return [None] * len(board.images)

    def finish(self, value: None, scene: Scene, geometry: Geometry) -> Panoptic:
        """Merge: objects by falling score get the pixels that are still free, then stuff labels fill the rest."""
        ids = torch.zeros(scene.size, dtype=torch.int64)
        segments = _place_things(ids, scene, self.config)
        segments += _place_stuff(ids, scene, len(segments), self.config)
        return Panoptic(ids, tuple(segments))


def _place_things(ids: Tensor, scene: Scene, config: PanopticConfig) -> list[Segment]:
    """Write the things into `ids`; return their segments."""
    scores = scene.objects.scores
    scores = torch.ones(len(scene.objects)) if scores is None else scores
    segments: list[Segment] = []
    for row in scores.argsort(descending=True, stable=True).tolist():
        if scores[row] < config.score_threshold:
            break
        mask, (x0, y0, x1, y1) = scene[MASKS].cropped(row)
        window = ids[y0:y1, x0:x1]
        free = mask & (window == 0)
        if not free.any() or free.sum() < (1 - config.overlap) * mask.sum():
            continue
        window.masked_fill_(free, len(segments) + 1)
        label = int(scene.objects.labels[row])
        segments.append(Segment(len(segments) + 1, label, is_thing=True, object=row, score=float(scores[row])))
    return segments


def _place_stuff(ids: Tensor, scene: Scene, taken: int, config: PanopticConfig) -> list[Segment]:
    """Write the stuff into `ids`; return its segments."""
    labels = scene[SEMANTIC]
    free = (ids == 0) & (labels >= len(scene.vocabulary.things))
    codes = torch.where(free, labels + 1, 0)
    areas = torch.bincount(codes.flatten(), minlength=len(scene.vocabulary.labels) + 1)
    areas[0] = 0
    large = (areas > 0) & (areas >= max(config.stuff_area * ids.numel(), config.stuff_pixels))
    numbers = torch.where(large, taken + large.cumsum(0), 0)
    ids += numbers[codes]
    return [Segment(int(numbers[code]), code - 1, is_thing=False) for code in large.nonzero()[:, 0].tolist()]


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `panoptic`."""
    yield TaskSpec(
        name="panoptic",
        summary="every pixel belongs to one object or one kind of stuff",
        provides=(PANOPTIC,),
        build=PanopticHead,
        config=PanopticConfig,
        requires=(OBJECTS, MASKS, SEMANTIC),
        evaluator=PanopticEvaluator,
        draw=on_canvas(draw_panoptic),
        draw_covers=Coverage.IMAGE,
        hub_tag="image-segmentation",
    )
