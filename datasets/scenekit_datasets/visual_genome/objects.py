"""The objects of one image: reading, matching by id or box, and merging of duplicates.

Letters: N objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from scenekit.errors import InputError
from scenekit.io.records import Record, brief

Read = TypeVar("Read")

SAME, OVERLAPPING = 0.9, 0.6
"""Overlaps above which two objects are the same: with any names, and with the same name."""


@dataclass(frozen=True)
class Thing:
    """An object."""

    ids: tuple[int, ...]
    """Its ids, several where objects were merged."""
    names: tuple[str, ...]
    """Its normalized names."""
    box: tuple[float, float, float, float]
    """Its box, xyxy in pixels."""


def sound(records: Iterable[Record], read: Callable[[Record], Read], issues: list[str]) -> list[Read]:
    """Read all valid entries.

    Args:
        records: The entries.
        read: Function that reads one.
        issues: Issues, to which those of invalid entries are added.

    Returns:
        The results.
    """
    values = []
    for record in records:
        try:
            values.append(read(record))
        except InputError as error:
            issues.append(str(error))
    return values


def read_thing(record: Record, rename: Callable[[str], str]) -> Thing:
    """Read an object, or the end of a relationship, of any version.

    Names are a list `names` or `object_names`, or the text `name`. The id is `object_id`; `merged_object_ids` (of
    version 1.4) are those of objects merged with it.

    Args:
        record: The entry.
        rename: Function that normalizes a name.

    Returns:
        The object.

    Raises:
        InputError: If the entry is invalid.
    """
    data = record.data
    field = next((name for name in ("names", "object_names", "name") if name in data), "names")
    names = [data[field]] if isinstance(data.get(field), str) else record.get(field)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{record}: {field!r} must be a list of names, not {brief(names)}")
    kept = tuple(dict.fromkeys(changed for name in names if (changed := rename(name))))
    if not kept:
        raise InputError(f"{record}: {field!r} has no name")
    x, y, width, height = (record.number(name) for name in ("x", "y", "w", "h"))
    return Thing(_ids(record), kept, (x, y, x + width, y + height))


def _ids(record: Record) -> tuple[int, ...]:
    merged = record.data.get("merged_object_ids") or []
    if not isinstance(merged, list) or not all(isinstance(id, int) for id in merged):
        raise InputError(f"{record}: 'merged_object_ids' must be a list of ids, not {brief(merged)}")
    own = (record.integer("object_id"),) if "object_id" in record.data else ()
    return (*own, *merged)


def same_thing(things: Sequence[Thing], wanted: Thing) -> Thing | None:
    """Find an object by id, else by name and nearly equal box.

    Args:
        things: All objects.
        wanted: The object to find.

    Returns:
        The object, None without a match.
    """
    for thing in things:
        if set(thing.ids) & set(wanted.ids):
            return thing
    named = [thing for thing in things if set(thing.names) & set(wanted.names)]
    overlap = shared(boxes_of([*named, wanted]))[-1, :-1]
    return named[int(overlap.argmax())] if len(named) and overlap.max() >= SAME else None


def merged_things(things: Sequence[Thing]) -> list[Thing]:
    """Merge objects that were annotated more than once, as in the preparation of VG150 (Xu et al. 2017).

    Each object is merged with those after it whose box is nearly equal (an overlap above `SAME`), or which have the
    same first name and either lie one within the other, or overlap by more than `OVERLAPPING`. The merged box is the
    mean of nearly equal ones, else the one around all.

    Args:
        things: All objects.

    Returns:
        Merged objects.
    """
    boxes = boxes_of(things)
    overlap = shared(boxes)
    first = np.array([thing.names[0] for thing in things])
    alike = (first[:, None] == first) & (inside(boxes) | inside(boxes).T | (overlap > OVERLAPPING))
    equal = overlap > SAME
    taken = np.zeros(len(things), dtype=bool)
    out = []
    for n in range(len(things)):
        if not taken[n]:
            rows = n + ((equal | alike)[n, n:] & ~taken[n:]).nonzero()[0]
            rows = np.union1d(rows, [n])
            taken[rows] = True
            out.append(_one([things[row] for row in rows], mean=bool(equal[n, rows].all())))
    return out


def _one(things: Sequence[Thing], mean: bool) -> Thing:
    boxes = boxes_of(things)
    box = boxes.mean(0) if mean else np.concatenate((boxes[:, :2].min(0), boxes[:, 2:].max(0)))
    names = dict.fromkeys(name for thing in things for name in thing.names)
    x0, y0, x1, y1 = box.tolist()
    return Thing(tuple(dict.fromkeys(id for thing in things for id in thing.ids)), tuple(names), (x0, y0, x1, y1))


def boxes_of(things: Sequence[Thing]) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of objects.

    Args:
        things: The objects.

    Returns:
        Boxes, xyxy in pixels.
    """
    return np.array([thing.box for thing in things], dtype=np.float64).reshape(-1, 4)


def shared(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N N"]:
    """Compute the overlap of all pairs of boxes: intersection divided by the box around both; 1 for equal ones.

    Args:
        boxes: Boxes, xyxy in pixels.

    Returns:
        Overlaps from 0 to 1.
    """
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    both = (np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])).clip(min=0).prod(2)
    around = (np.maximum(high, boxes[:, 2:]) - np.minimum(low, boxes[:, :2])).prod(2)
    equal = (boxes[:, None] == boxes).all(2)
    out: Float[np.ndarray, "N N"] = np.where(equal, 1.0, both / np.where(around > 0, around, 1.0))
    return out


def inside(boxes: Float[np.ndarray, "N 4"]) -> Bool[np.ndarray, "N N"]:
    """Return which boxes lie within others.

    Args:
        boxes: Boxes, xyxy in pixels.

    Returns:
        `[i, j]`: box i lies within box j.
    """
    low = (boxes[:, None, :2] >= boxes[:, :2]).all(axis=2)
    high = (boxes[:, None, 2:] <= boxes[:, 2:]).all(axis=2)
    within: Bool[np.ndarray, "N N"] = np.logical_and(low, high)
    return within
