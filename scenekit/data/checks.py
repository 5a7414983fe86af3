"""Annotations that cannot be right: found, named, and dropped or refused.

Letters: N regions of one image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.selection import keep_regions
from scenekit.errors import InputError, listed, warn_once
from scenekit.fields.base import Issue, Validated
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Objects, Scene, find_faults

_log = logging.getLogger(__name__)

SHOWN = 3
"""How many bad rows a message spells out."""


def checked(sample: Sample, *, origin: str = "the data set", strict: bool = False) -> Sample:
    """Return the sample without what cannot be right.

    That are regions whose box is NaN, reversed, empty or outside the image, or whose label is unknown, and what the
    field of each key finds, such as relations to missing objects, empty texts or numbers that are not finite. What is
    dropped is named with the image's id, in a warning the first time. A box that only reaches over the border is no
    issue.

    Args:
        sample: A sample as its data set gives it.
        origin: What the messages call the data set.
        strict: Whether to refuse the sample instead.

    Raises:
        InputError: The annotations are for an image of another size, or, with `strict`, something cannot be right.
    """
    where = f"image {sample.id} of {origin}"
    if sample.scene.size != tuple(sample.image.shape[1:]):
        expected, shape = list(sample.scene.size), list(sample.image.shape[1:])
        raise InputError(f"{where}: the annotations are for an image of {expected} pixels, this one has {shape}")
    for key in tuple(sample.scene.values):  # before regions go, whose rows some values name
        result = validated(sample.scene, key)
        if result.issues:
            messages = [f"{place(sample.scene, key, issue)}: {issue.message}" for issue in result.issues]
            _tell(where, messages, "", f"{len(messages)} of {key.name}", strict)
            sample = with_value(sample, key, result)
    for stream, regions in sample.scene.streams.items():
        things = len(sample.scene.vocabulary.things) if stream == OBJECTS else None
        faults = find_faults(regions, sample.scene.size, things)
        if faults:
            sample = _without(sample, stream, faults, where, strict)
    return sample


def valid_values(sample: Sample) -> Sample:
    """Return the sample without the values that cannot be right, and without a word about them."""
    for key in tuple(sample.scene.values):
        if (result := validated(sample.scene, key)).issues:
            sample = with_value(sample, key, result)
    return sample


def validated(scene: Scene, key: Key[Any, Any]) -> Validated:
    """Return what the field of `key` says of its value."""
    return key.field.validate(scene[key], scene.frame(key))


def with_value(sample: Sample, key: Key[Any, Any], result: Validated) -> Sample:
    """Return the sample with what is left of a value; a key of which nothing is left is no longer supervised."""
    scene, claims = sample.scene, sample.supervision
    if result.value is None:
        values = {other: value for other, value in scene.values.items() if other != key}
        valid = {other: rows for other, rows in scene.valid.items() if other != key}
        claims = replace(claims, keys=claims.keys - {key})
    else:
        values = {**scene.values, key: result.value}
        valid = {**scene.valid} if result.valid is None else {**scene.valid, key: result.valid}
    return replace(sample, scene=replace(scene, values=values, valid=valid), supervision=claims)


def place(scene: Scene, key: Key[Any, Any], issue: Issue) -> str:
    """Return where an issue is: `captions of objects 3`, `relations 2`, or the key alone."""
    if issue.row is not None and key.of is not None:
        return f"{key.name} of {row_name(key.of, scene.regions(key.of), issue.row)}"
    return key.name if issue.entry is None else f"{key.name} {issue.entry}"


def row_name(stream: Stream, regions: Objects, row: int) -> str:
    """Return `objects 3`, with the id in brackets where that is another number."""
    id = int(regions.ids[row])
    return f"{stream.name} {row}" if id == row else f"{stream.name} {row} (id {id})"


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
        raise InputError(f"{where}: {told}{expected}; fix the annotations")
    warn_once(_log, f"{where}: {told}; dropped {dropped}")


def _numbers(box: Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"
