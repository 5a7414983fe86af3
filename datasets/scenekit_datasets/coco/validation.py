"""Labels of one annotation that cannot be right, when a file is indexed as when an image is read.

An invalid label is an issue of its own, and the object stays without it. Fields of other programs that merely have the
name of one of ours, such as a `center` of two numbers, are no issue and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenekit.errors import InputError
from scenekit.io.coco_masks import check_mask, run_lengths
from scenekit.io.coco_records import stated_area
from scenekit.io.records import Record, brief, is_number
from scenekit.structures.geometry import Size
from scenekit_datasets.coco.labels import box3d_of, place_of, texts_of

TRACK = frozenset({"track_id", "keyframe"})
"""Entries of `attributes` in which CVAT writes the track of an object in a video; they are no attributes."""


@dataclass(frozen=True)
class Context:
    """What labels are checked against; None for what is not read yet while a file is indexed."""

    size: Size | None = None
    """(height, width) of the image in pixels."""
    points: int | None = None
    """Number of keypoints of the category."""
    attributes: tuple[str, ...] | None = None
    """Names of the attributes."""
    flags: Collection[str] | None = None
    """Names of the attributes whose values are flags throughout the file."""


@dataclass(frozen=True)
class Validated:
    """An annotation without the labels that are left out."""

    record: Record
    """Its entry."""
    issues: list[str] = field(default_factory=list)
    """One message for each invalid label."""
    foreign: list[str] = field(default_factory=list)
    """Fields of other programs."""


def validated(record: Record, context: Context) -> Validated:
    """Read the labels of an annotation.

    Args:
        record: The annotation, as `CocoReader.annotation` returns it.
        context: What its labels are checked against.

    Returns:
        The annotation with its labels as they are read, and what is left out.
    """
    out = Validated(record.with_data(dict(record.data)))
    for name in [name for name, value in record.data.items() if name in _READERS and value is not None]:
        value = None
        try:
            value = _READERS[name](record, name, context)
            out.foreign.extend([name] if value is None else [])
        except InputError as error:
            out.issues.append(str(error))
        out.record.data[name] = value
        if value is None:
            del out.record.data[name]
    return out


def flags_of(held: Any) -> Mapping[str, Any]:
    """Return attributes by name: those of a list hold.

    Args:
        held: The field `attributes`.

    Returns:
        Their values, without those of tracks; nothing for a field of another program.
    """
    if isinstance(held, list):
        return dict.fromkeys(held, 1) if all(isinstance(name, str) for name in held) else {}
    named = held.items() if isinstance(held, dict) else ()
    return {name: value for name, value in named if value is not None and name not in TRACK}


def is_flag(value: Any) -> bool:
    """Return whether a value says whether an attribute holds; angles and other measures are floating point.

    Args:
        value: Any value of JSON.

    Returns:
        True for 0, 1, false and true.
    """
    return isinstance(value, int) and value in (0, 1)


def _mask(record: Record, name: str, context: Context) -> Any:
    if context.size is not None:
        return run_lengths(record, name, context.size)
    check_mask(record, name)
    return record.data[name]


def _keypoints(record: Record, name: str, context: Context) -> Any:
    """Return x, y, v of the points; None where the category has no points, or each has two numbers."""
    value = record.data[name]
    if not isinstance(value, list) or not all(map(is_number, value)):
        raise InputError(f"{record}: {name!r} must be x, y, v of each point, finite numbers, not {brief(value)}")
    if context.points is None or not value:
        return value
    if is_foreign(len(value), context.points):
        return None
    if not fits(len(value), annotated(value), context.points):
        text = f"must be x, y, v of the points of its category, {3 * context.points} numbers, not {len(value)}"
        raise InputError(f"{record}: 'keypoints' {text}")
    if not has_visibilities(value):
        raise InputError(f"{record}: 'keypoints' must have visibilities of 0, 1 or 2")
    return value[: 3 * context.points]


def is_foreign(count: int, points: int) -> bool:
    """Return whether so many numbers are x and y of each point without its visibility, or of points without names.

    Args:
        count: How many numbers an annotation has.
        points: Number of keypoints of its category.

    Returns:
        True if so.
    """
    return points == 0 or count == 2 * points


def fits(count: int, used: int, points: int) -> bool:
    """Return whether so many numbers are x, y, v of each point, perhaps padded with zeros for the longest skeleton.

    Args:
        count: How many numbers an annotation has.
        used: How many there are up to the last point that is not all zeros.
        points: Number of keypoints of its category.

    Returns:
        True if so.
    """
    return count == 3 * points or (count % 3 == 0 and used <= 3 * points < count)


def annotated(numbers: list[Any]) -> int:
    """Return how many numbers there are up to the last point that is not all zeros.

    Args:
        numbers: x, y, v of each point.

    Returns:
        Three times the number of points.
    """
    last = next((place for place in reversed(range(len(numbers))) if numbers[place]), -1)
    return 3 * (last // 3 + 1)


def has_visibilities(numbers: list[Any]) -> bool:
    """Return whether every third number is 0, 1 or 2.

    Args:
        numbers: x, y, v of each point.

    Returns:
        True if so.
    """
    return set(numbers[2::3]) <= {0, 1, 2}


def _attributes(record: Record, name: str, context: Context) -> Any:
    """Return names, or flags by name; None where no value is one."""
    held = record.data[name]
    if isinstance(held, str | int | float) and not isinstance(held, bool):
        raise InputError(f"{record}: 'attributes' must be a list of names or an object, not {brief(held)}")
    flags = flags_of(held)
    if context.attributes is not None:
        flags = {key: value for key, value in flags.items() if context.flags is None or key in context.flags}
        for key, value in flags.items():
            place_of(key, context.attributes, record, name)
            if not is_flag(value):
                raise InputError(f"{record}: 'attributes' has {key!r} as {brief(value)}; expected 0 or 1")
    if isinstance(held, list):
        return list(flags) if flags or not held else None
    return flags or None


def _texts(record: Record, name: str, context: Context) -> Any:
    texts_of(record)
    return record.data[name]


def _box3d(record: Record, name: str, context: Context) -> Any:
    value = record.data[name]
    if name == "center" and not (isinstance(value, list) and len(value) == 3):
        return None
    box3d_of(record)
    return value


def _area(record: Record, name: str, context: Context) -> Any:
    return stated_area(record)


def _flag(record: Record, name: str, context: Context) -> Any:
    return record.flag(name)


_READERS: Mapping[str, Callable[[Record, str, Context], Any]] = {
    "segmentation": _mask,
    "amodal_segmentation": _mask,
    "keypoints": _keypoints,
    "attributes": _attributes,
    "captions": _texts,
    "caption": _texts,
    "bbox_3d": _box3d,
    "center": _box3d,
    "area": _area,
    "ignore": _flag,
}
"""How the labels of an annotation are read; None for a field of another program."""
