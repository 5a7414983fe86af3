"""Leaving out regions of a sample, so that what names rows still names the same ones.

Letters: N regions of one image.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.keys import OBJECTS, PANOPTIC, RELATIONS, Stream
from scenekit.scene import Scene
from scenekit.structures.panoptic import Panoptic


def keep_regions(sample: Sample, stream: Stream, kept: Bool[Tensor, " N"]) -> Sample:
    """Only the rows `kept` of a stream; relations and panoptic segments point to the rows' new places."""
    if bool(kept.all()):
        return sample
    scene = sample.scene
    shorter = scene.select(stream, kept.nonzero()[:, 0])
    if stream == OBJECTS:
        shorter = _with_pointers(shorter, scene, _places(kept))
    return replace(sample, scene=shorter)


def without_empty(sample: Sample, stream: Stream) -> Sample:
    """Without the regions whose box holds nothing (any more)."""
    boxes = sample.scene.regions(stream).boxes
    return keep_regions(sample, stream, (boxes[:, 2:] > boxes[:, :2]).all(dim=1))


def _places(kept: Bool[Tensor, " N"]) -> Int[Tensor, " N"]:
    """The new row of each old one, -1 where it is gone."""
    return torch.where(kept, kept.cumsum(0) - 1, -1)


def _with_pointers(shorter: Scene, scene: Scene, places: Int[Tensor, " N"]) -> Scene:
    values = dict(shorter.values)
    if RELATIONS in scene:
        values[RELATIONS] = scene[RELATIONS].moved(places)
    if PANOPTIC in scene:
        values[PANOPTIC] = _moved_segments(scene[PANOPTIC], places)
    return replace(shorter, values=values)


def _moved_segments(panoptic: Panoptic, places: Int[Tensor, " N"]) -> Panoptic:
    """A segment whose object is gone stays as a segment: its pixels still are of that class."""
    rows = places.tolist()
    segments = (
        segment if segment.object is None else replace(segment, object=_known(rows[segment.object]))
        for segment in panoptic.segments
    )
    return Panoptic(panoptic.ids, tuple(segments))


def _known(row: int) -> int | None:
    return row if row >= 0 else None
