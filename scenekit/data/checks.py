"""Annotations that cannot be right: found, named, and dropped or refused.

Letters: N regions of one image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.selection import keep_regions
from scenekit.data.value_checks import mended, with_mended
from scenekit.errors import InputError, listed, warn_once
from scenekit.keys import OBJECTS, Stream
from scenekit.scene import find_faults

_log = logging.getLogger(__name__)

SHOWN = 3
"""How many bad rows a message spells out."""


def checked(sample: Sample, *, origin: str = "the data set", strict: bool = False) -> Sample:
    """The sample without what cannot be right.

    That are regions whose box is NaN, reversed, empty or outside the image, or whose label is unknown; relations of
    an object to itself or a missing one, with an unknown predicate, or said twice; texts that are empty, of punctuation
    alone or pages long; attributes beyond 0 to 1; 3D boxes that have no volume or no rotation, or that are behind the
    camera; meshes without faces, or with vertices that are not finite or not there; empty voxel grids. What is dropped
    is named with the image's id, in a warning the first time; `strict` raises InputError instead. A box that only
    reaches over the border is no fault. A scene of another size than its image always is an error.
    """
    where = f"image {sample.id} of {origin}"
    if sample.scene.size != tuple(sample.image.shape[1:]):
        expected, shape = list(sample.scene.size), list(sample.image.shape[1:])
        raise InputError(f"{where}: the annotations are for an image of {expected} pixels, this one has {shape}")
    for key in tuple(sample.scene.values):  # before regions go, whose rows some values name
        result = mended(sample.scene, key)
        if result.faults:
            _tell(where, [fault.told for fault in result.faults], "", f"{len(result.faults)} of {key.name}", strict)
            sample = with_mended(sample, key, result)
    for stream, regions in sample.scene.streams.items():
        things = len(sample.scene.vocabulary.things) if stream == OBJECTS else None
        faults = find_faults(regions, sample.scene.size, things)
        if faults:
            sample = _without(sample, stream, faults, where, strict)
    return sample


def _without(sample: Sample, stream: Stream, faults: dict[int, str], where: str, strict: bool) -> Sample:
    regions = sample.scene.regions(stream)
    rows = sorted(faults)
    told = [f"box {row} {_numbers(regions.boxes[row])} is {faults[row]}" for row in rows]
    expected = "; expected x0 < x1, y0 < y1 within the image"
    _tell(where, told, expected, f"{len(rows)} of {len(regions)} {stream.name}", strict)
    kept = torch.ones(len(regions), dtype=torch.bool)
    kept[rows] = False
    return keep_regions(sample, stream, kept)


def _tell(where: str, faults: Sequence[str], expected: str, dropped: str, strict: bool) -> None:
    """A warning of the first faults and what is dropped for them, or the error."""
    told = listed(faults, SHOWN, "; ")
    if strict:
        raise InputError(f"{where}: {told}{expected}; mend the annotations")
    warn_once(_log, f"{where}: {told}; dropped {dropped}")


def _numbers(box: Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"
