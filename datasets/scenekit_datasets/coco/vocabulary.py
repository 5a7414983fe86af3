"""The vocabulary of an annotation file: its categories, predicates and attributes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenekit.errors import InputError, warn_once
from scenekit.io.coco_records import CocoReader, classes_of
from scenekit.io.records import Record, brief, is_number
from scenekit.metrics.coco.average_precision import COCO_SIGMAS
from scenekit.structures.vocabulary import Skeleton, Vocabulary

_log = logging.getLogger(__name__)

_PAIRED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO_POINTS = ("nose", *(f"{side}_{name}" for name in _PAIRED for side in ("left", "right")))
"""The keypoints of COCO's persons, whose OKS falloffs are known."""

LISTS = "scenekit_lists"
"""Field of a file: lists of names that plugins bring, by the name of the list."""


@dataclass(frozen=True)
class Category:
    """One category of a file."""

    id: int
    """Its id in the file."""
    name: str
    """Its name."""
    is_thing: bool | None
    """Whether it is a thing; None where the file does not say."""
    skeleton: Skeleton | None
    """Its keypoints."""
    symmetry: int | None = None
    """Its symmetry, see `Vocabulary.symmetry`."""


def read_categories(records: Iterable[Record], reader: CocoReader, used: Collection[int] = ()) -> dict[int, Category]:
    """Read categories; those of one name are one class, and those that only name a group of others are none.

    Args:
        records: Their entries.
        reader: Reads entries.
        used: Ids of the categories that annotations have.

    Returns:
        Categories by id.

    Raises:
        InputError: If an entry is invalid; the message names the entry and the field.
    """
    classes = classes_of([reader.category(record) for record in records], used)
    for entry, reason in classes.notes:
        warn_once(_log, f"{entry} {reason}")
    return {id: replace(_category(entry), id=id) for id, entry in classes.entries.items()}


def _category(record: Record) -> Category:
    symmetry = record.integer("symmetry") if record.data.get("symmetry") is not None else None
    is_thing = record.flag("isthing") if record.data.get("isthing") is not None else None
    return Category(record.data["id"], record.data["name"], is_thing, _skeleton(record), symmetry)


def vocabulary_of(categories: Collection[Category], header: Mapping[str, Any], path: Path) -> Vocabulary:
    """Create the vocabulary of a file: things (and unspecified categories) in the order of the file, then stuff.

    Args:
        categories: Its categories.
        header: Names of `predicates` and `attributes`, and optionally `mirror_predicates`, `mirror_words` and the
            names of plugins (`LISTS`).
        path: The file, for error messages.

    Returns:
        The vocabulary.

    Raises:
        InputError: If names are repeated or invalid.
    """
    predicates = tuple(header["predicates"])
    try:
        vocabulary = Vocabulary(
            things=tuple(dict.fromkeys(category.name for category in categories if category.is_thing is not False)),
            stuff=tuple(dict.fromkeys(category.name for category in categories if category.is_thing is False)),
            predicates=predicates,
            attributes=tuple(header["attributes"]),
            skeletons={category.name: category.skeleton for category in categories if category.skeleton is not None},
            mirror_predicates=_pairs(header.get("mirror_predicates"), "mirror_predicates"),
            mirror_words=_pairs(header.get("mirror_words"), "mirror_words"),
            symmetry={category.name: category.symmetry for category in categories if category.symmetry is not None},
            lists=_plugin_lists(header.get(LISTS)),
        )
        _ = vocabulary.skeleton
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return vocabulary


def _plugin_lists(value: Any) -> dict[str, tuple[str, ...]]:
    lists = {} if value is None else value
    if not isinstance(lists, dict) or not all(isinstance(names, list) for names in lists.values()):
        raise InputError(
            f"{LISTS!r} must be an object with a list of names by the name of the list, not {brief(value)}"
        )
    return {kind: tuple(map(str, names)) for kind, names in lists.items()}


def _skeleton(record: Record) -> Skeleton | None:
    """Read keypoints, limbs (numbered from 1 in the file), mirror pairs and OKS falloffs."""
    points = record.data.get("keypoints")
    if not points:
        return None
    if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
        raise InputError(f"{record}: 'keypoints' must be the names of the points, not {brief(points)}")
    names = tuple(points)
    if len(set(names)) < len(names):
        raise InputError(f"{record}: 'keypoints' must be different names, one a point, not {brief(points)}")
    # Rounded, so that they equal those that are written down: 0.26 / 10 is not 0.026.
    known = tuple(round(sigma, 3) for sigma in COCO_SIGMAS) if names == COCO_POINTS else ()
    sigmas = record.data.get("sigmas") or known
    if not isinstance(sigmas, list | tuple) or not all(map(is_number, sigmas)):
        raise InputError(f"{record}: 'sigmas' must be numbers, one a point, not {brief(sigmas)}")
    mirror = _pairs(record.data.get("mirror"), "mirror")
    limbs = _limbs(record, names)
    try:
        return Skeleton(names, limbs, mirror, tuple(map(float, sigmas)))
    except InputError as error:
        raise InputError(f"{record}: {error}") from None


def _limbs(record: Record, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    limbs = record.data.get("skeleton") or []
    numbers = range(1, len(names) + 1)
    pairs = isinstance(limbs, list) and all(isinstance(limb, list) and len(limb) == 2 for limb in limbs)
    if not pairs or not all(isinstance(n, int) and n in numbers for limb in limbs for n in limb):
        raise InputError(f"{record}: 'skeleton' must be pairs of numbers from 1 to {len(names)}, not {brief(limbs)}")
    return tuple((names[a - 1], names[b - 1]) for a, b in limbs)


def _pairs(value: Any, name: str) -> tuple[tuple[str, str], ...]:
    pairs = value or []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise InputError(f"{name!r} must be a list of pairs of names, not {brief(value)}")
    return tuple((str(a), str(b)) for a, b in pairs)
