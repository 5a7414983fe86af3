"""Masks of COCO-style files: polygons, lists of run lengths, or compressed ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, is_number, whole_number

RunLengths = dict[str, Any]
"""`{"size": [height, width], "counts": ...}`, compressed."""

FARTHEST = 1e6
"""Largest coordinate of a polygon in pixels; an edge is drawn point by point, so that a stray vertex would fill the
memory."""

MOST_PIXELS = 2**32 - 1
"""Most pixels that a run length can count."""

NO_AREA = "has a polygon of less than three points, which has no area and is left out"
"""What is said of an annotation with a polygon that is left out."""


def flat_polygons(value: Any) -> int:
    """Count the polygons of one or two points, which have no area; empty ones are what programs write for no mask.

    Args:
        value: The mask of a file.

    Returns:
        Their number; 0 for run lengths.
    """
    return sum(bool(polygon) and _is_short(polygon) for polygon in _polygons(value)) if isinstance(value, list) else 0


def with_area(value: Any) -> Any:
    """Drop polygons of less than three points, of which pycocotools would draw those of two as boxes.

    Args:
        value: The mask of a file.

    Returns:
        A list of the other polygons, also of a single one that is in no list; run lengths, also if they are the only
        entry of a list; any other value as it is.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return [polygon for polygon in _polygons(value) if not _is_short(polygon)] if isinstance(value, list) else value


def _polygons(value: list[Any]) -> list[Any]:
    """Return polygons, also of a single one that is in no list."""
    return [value] if value and all(map(is_number, value)) else value


def _is_short(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (0, 2, 4) and all(map(is_number, value))


def run_lengths(record: Record, field: str, size: Sequence[int]) -> RunLengths:
    """Convert polygons, lists of run lengths or compressed ones to COCO's compressed run lengths.

    Args:
        record: The entry.
        field: Name of the field.
        size: (height, width) of the image in pixels.

    Returns:
        The run lengths.

    Raises:
        InputError: If the field is invalid.
    """
    value = record.get(field)
    if isinstance(value, dict) and isinstance(value.get("counts"), bytes):
        return value  # converted before
    check_mask(record, field)
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(f"{record}: {field!r} has a mask of {size[0]} x {size[1]} pixels; no mask has so many")
    if isinstance(value, dict):
        if list(value["size"]) != list(size):
            got = brief(value["size"])
            raise InputError(f"{record}: {field!r} is of size {got}, the image of {list(size)} (height, width)")
        return _compressed(value, size)
    if not value:
        return empty_mask(size)
    merged: RunLengths = coco_mask.merge(coco_mask.frPyObjects(value, *size))
    return merged


def check_mask(record: Record, field: str) -> None:
    """Check polygons or run lengths as far as they show it without the size of their image.

    Args:
        record: The entry.
        field: Name of the field.

    Raises:
        InputError: If they are invalid; also polygons of two points, which pycocotools draws as boxes x, y, width,
            height when they are written as such, and which have no area otherwise.
    """
    value = record.get(field)
    if isinstance(value, dict):
        _check_run_lengths(record, field, value)
    elif not isinstance(value, list) or not all(map(_is_polygon, value)):
        what = "polygons of three points or more, or run lengths"
        raise InputError(f"{record}: {field!r} must be {what}, not {brief(value)}")


def empty_mask(size: Sequence[int]) -> RunLengths:
    """Return a mask without a pixel.

    Args:
        size: (height, width) of the image in pixels.

    Returns:
        Its run lengths.
    """
    return _compressed({"counts": [size[0] * size[1]]}, size)


def box_mask(box: Sequence[float | int], size: Sequence[int]) -> RunLengths:
    """Return the mask of a box, as far as it is in the image.

    Args:
        box: x, y, width, height in pixels.
        size: (height, width) of the image in pixels.

    Returns:
        Its run lengths.
    """
    x, y, width, height = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, size[1]), min(y + height, size[0])
    if right <= left or bottom <= top:
        return empty_mask(size)
    rle: RunLengths = coco_mask.frPyObjects([[left, top, right, top, right, bottom, left, bottom]], *size)[0]
    return rle


def mask_box(value: Any) -> list[float]:
    """Compute the box around a mask.

    Args:
        value: Polygons or run lengths that are sound, see `check_mask`.

    Returns:
        x, y, width, height in pixels.
    """
    if isinstance(value, dict):
        height, width = map(int, value["size"])
        box: list[float] = coco_mask.toBbox(_compressed(value, (height, width))).tolist()
        return box
    xs, ys = ([float(n) for polygon in value for n in polygon[start::2]] for start in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def box_around(box: Sequence[float], degrees: float) -> list[float]:
    """Compute the upright box around one that is rotated about its center.

    Args:
        box: x, y, width, height in pixels, before the rotation.
        degrees: Angle.

    Returns:
        x, y, width, height in pixels.
    """
    x, y, width, height = map(float, box)
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    wide, high = width * cosine + height * sine, width * sine + height * cosine
    return [x + (width - wide) / 2, y + (height - high) / 2, wide, high]


def _compressed(rle: Mapping[str, Any], size: Sequence[int]) -> RunLengths:
    """Return sound run lengths in their compressed form."""
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        return {"size": list(size), "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
    packed: RunLengths = coco_mask.frPyObjects({"size": list(size), "counts": rle["counts"]}, *size)
    return packed


def _check_run_lengths(record: Record, field: str, rle: Mapping[str, Any]) -> None:
    counts, size = rle.get("counts"), rle.get("size")
    sides = [whole_number(side) for side in size] if isinstance(size, list) else []
    if len(sides) != 2 or not all(side and 0 < side < 2**31 for side in sides):
        raise InputError(f"{record}: 'size' of {field!r} must be a height and a width, not {brief(size)}")
    height, width = (int(side or 0) for side in sides)
    if isinstance(counts, str):
        runs = unpacked(counts)
        if not runs or min(runs) < 0 or sum(runs) > height * width:
            text = f"the run lengths {brief(counts)} are not those of a mask of {[height, width]} (height, width)"
            raise InputError(f"{record}: {field!r}: {text}")
        return
    runs = counts if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts) else []
    if sum(runs) != height * width:
        text = f"the run lengths {brief(counts)} of {field!r} do not fill a mask of {[height, width]} (height, width)"
        raise InputError(f"{record}: {text}")


def unpacked(counts: str) -> list[int]:
    """Decode COCO's compressed run lengths, without the memory that a mask of their size would take.

    Five bits a character, lowest first; from the fourth run on as differences to the run before the last one
    (https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c, rleFrString).

    Args:
        counts: The run lengths.

    Returns:
        The runs; none where the text does not encode any.
    """
    runs: list[int] = []
    value = shift = 0
    for bits in (ord(character) - 48 for character in counts):
        if not 0 <= bits < 64 or shift > 60:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits < 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return [] if shift else runs


def _is_polygon(value: Any) -> bool:
    """Return whether a value is x, y of three or more points, none of them absurdly far away."""
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2 or not set(map(type, value)) <= {int, float}:
        return False
    return min(value) >= -FARTHEST and max(value) <= FARTHEST and math.isfinite(sum(value))
