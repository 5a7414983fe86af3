"""Invalid annotations: reported, and dropped or refused.

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
from scenekit.fields.frame import Issue, Validated
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures.objects import invalid_boxes

_log = logging.getLogger(__name__)

SHOWN = 3
"""How many bad rows a message spells out."""


def checked(sample: Sample, *, origin: str = "the data set", strict: bool = False) -> Sample:
    """Return the sample without invalid annotations.

    Invalid are regions whose box is NaN, reversed, empty or outside the image, or whose label is unknown, and what the
    field of each key reports, such as relations to missing objects, empty texts or numbers that are not finite. A
    warning names what is dropped and the image's id, once. A box that merely reaches over the border is valid.

    Args:
        sample: A sample as its data set returns it.
        origin: The name of the data set in messages.
        strict: Whether to refuse the sample instead.

    Returns:
        The sample with valid annotations only.

    Raises:
        InputError: The annotations or inputs are for an image of another size, or, with `strict`, an annotation is
            invalid.
    """
    where = f"image {sample.id} of {origin}"
    if sample.scene.size != tuple(sample.image.shape[1:]):
        expected, shape = list(sample.scene.size), list(sample.image.shape[1:])
        raise InputError(f"{where}: the annotations are for an image of {expected} pixels, this one has {shape}")
    for name, value in sample.inputs.items():
        if tuple(value.shape[1:]) != sample.scene.size:
            (height, width), shape = sample.scene.size, list(value.shape)
            raise InputError(f"{where}: input {name!r} is {shape}, expected [channels, {height}, {width}] as the image")
    for key in tuple(sample.scene.values):  # before regions are dropped, whose rows some values name
        result = validated(sample.scene, key)
        if result.issues:
            messages = [f"{place(sample.scene, key, issue)}: {issue.message}" for issue in result.issues]
            _report(where, messages, "", f"{len(messages)} of {key.name}", strict)
            sample = with_value(sample, key, result)
    for stream, regions in sample.scene.streams.items():
        things = len(sample.scene.vocabulary.things) if stream == OBJECTS else None
        invalid = invalid_boxes(regions, sample.scene.size, things)
        if invalid:
            sample = _without(sample, stream, invalid, where, strict)
    return sample


def valid_values(sample: Sample) -> Sample:
    """Return the sample without invalid values, without a warning.

    Args:
        sample: The sample.

    Returns:
        The sample with valid values only; regions stay.
    """
    for key in tuple(sample.scene.values):
        if (result := validated(sample.scene, key)).issues:
            sample = with_value(sample, key, result)
    return sample


def validated(scene: Scene, key: Key[Any, Any]) -> Validated:
    """Validate the value of a key.

    Args:
        scene: The scene that holds the value.
        key: The key.

    Returns:
        The valid part of the value, and the issues.
    """
    return key.field.validate(scene[key], scene.frame(key))


def with_value(sample: Sample, key: Key[Any, Any], result: Validated) -> Sample:
    """Replace a value by its valid part; a key of which nothing is left is no longer supervised.

    Args:
        sample: The sample.
        key: The key.
        result: The validated value.

    Returns:
        The sample with the valid part of the value.
    """
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
    """Return the place of an issue, such as `captions of objects 3` or `relations 2`.

    Args:
        scene: The scene that holds the value.
        key: The key of the value.
        issue: The issue.

    Returns:
        The name of the key with the row or entry, where there is one.
    """
    if issue.row is not None and key.of is not None:
        return f"{key.name} of {row_name(key.of, scene.regions(key.of), issue.row)}"
    return key.name if issue.entry is None else f"{key.name} {issue.entry}"


def row_name(stream: Stream, regions: Objects, row: int) -> str:
    """Return the name of a region in messages, such as `objects 3`.

    Args:
        stream: The stream of the region.
        regions: The regions of that stream.
        row: The row.

    Returns:
        The stream and row, with the id in brackets where it differs from the row.
    """
    id = int(regions.ids[row])
    return f"{stream.name} {row}" if id == row else f"{stream.name} {row} (id {id})"


def _without(sample: Sample, stream: Stream, invalid: dict[int, str], where: str, strict: bool) -> Sample:
    regions = sample.scene.regions(stream)
    rows = sorted(invalid)
    problems = [f"box {row} {_numbers(regions.boxes[row])} is {invalid[row]}" for row in rows]
    expected = "; expected x0 < x1, y0 < y1 within the image"
    _report(where, problems, expected, f"{len(rows)} of {len(regions)} {stream.name}", strict)
    kept = torch.ones(len(regions), dtype=torch.bool)
    kept[rows] = False
    return keep_regions(sample, stream, kept)


def _report(where: str, problems: Sequence[str], expected: str, dropped: str, strict: bool) -> None:
    """Warn of the first problems and what is dropped for them, or raise the error."""
    shown = listed(problems, SHOWN, "; ")
    if strict:
        raise InputError(f"{where}: {shown}{expected}; fix the annotations")
    warn_once(_log, f"{where}: {shown}; dropped {dropped}")


def _numbers(box: Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"
