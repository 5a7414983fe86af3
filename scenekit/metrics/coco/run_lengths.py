"""Masks of COCO's files as compressed run lengths: polygons, lists of run lengths, or compressed ones."""

from collections.abc import Sequence
from typing import Any

from faster_coco_eval.core import mask as checked_mask
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, is_number
from scenekit.metrics.notes import Notes

RunLengths = dict[str, Any]
"""`{"size": [height, width], "counts": ...}`, compressed."""

_FARTHEST = 1e6  # pixels; an edge of a polygon is drawn point by point, so that a stray vertex would fill the memory
_MOST_PIXELS = 2**32 - 1  # what a run length can count
_FLAT = 4  # numbers of a polygon of two points, which has no area


def size_of(image: Record) -> list[int]:
    """Return the size of an image.

    Args:
        image: Its entry.

    Returns:
        Height and width in pixels.

    Raises:
        InputError: They are missing, not above 0, or too large for a mask.
    """
    size = [image.integer(name) for name in ("height", "width")]
    if min(size) <= 0 or size[0] * size[1] > _MOST_PIXELS:
        raise InputError(f"{image}: masks of {size[0]} x {size[1]} pixels (height x width) are impossible")
    return size


def run_lengths(record: Record, size: list[int], notes: Notes) -> RunLengths | None:
    """Return the mask of an annotation or a result.

    Args:
        record: The entry.
        size: Height and width of its image.
        notes: Collects polygons of less than three points, which have no area and are left out.

    Returns:
        Its run lengths; None where no polygon is left.

    Raises:
        InputError: The field "segmentation" is missing or cannot be read.
    """
    segmentation = record.get("segmentation")
    if isinstance(segmentation, dict):
        return _compressed(record, segmentation, size)
    if not _are_polygons(segmentation):
        raise InputError(f"{record}: 'segmentation' must be polygons or run lengths, not {brief(segmentation)}")
    polygons = [polygon for polygon in segmentation if len(polygon) > _FLAT]
    if flat := len(segmentation) - len(polygons):
        notes.add(record, "has a polygon of less than three points, which has no area and is left out", flat)
    if not polygons:
        return None
    rle: RunLengths = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    return rle


def box_mask(box: Sequence[float], size: Sequence[int]) -> RunLengths:
    """Return the mask of a box, as far as it lies in the image.

    Args:
        box: x, y, width, height in pixels.
        size: Height and width of the image.

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


def empty_mask(size: Sequence[int]) -> RunLengths:
    """Return a mask without a pixel.

    Args:
        size: Height and width of the image.

    Returns:
        Its run lengths.
    """
    rle: RunLengths = coco_mask.frPyObjects({"size": list(size), "counts": [size[0] * size[1]]}, *size)
    return rle


def _compressed(record: Record, rle: RunLengths, size: list[int]) -> RunLengths:
    counts = rle.get("counts")
    if rle.get("size") != size:
        raise InputError(f"{record}: a mask of size {brief(rle.get('size'))} in an image of {size} (height, width)")
    if isinstance(counts, str) and counts.isascii() and _is_sound({"size": size, "counts": counts}):
        return {"size": size, "counts": counts}
    runs = counts if isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts) else []
    if sum(runs) != size[0] * size[1]:
        raise InputError(f"{record}: the run lengths {brief(counts)} do not make up a mask of {size} (height, width)")
    compressed: RunLengths = coco_mask.frPyObjects({"size": size, "counts": runs}, *size)
    return compressed


def _is_sound(rle: RunLengths) -> bool:
    """Return whether the library can read compressed run lengths."""
    try:
        checked_mask.area(rle)
    except (ValueError, RuntimeError):
        return False
    return bool(rle["counts"])


def _are_polygons(value: Any) -> bool:
    """Return whether a value is a list of [x, y, x, y, ...], none absurdly far away."""
    return isinstance(value, list) and all(
        isinstance(polygon, list)
        and len(polygon) % 2 == 0
        and all(is_number(value) and abs(value) <= _FARTHEST for value in polygon)
        for polygon in value
    )
