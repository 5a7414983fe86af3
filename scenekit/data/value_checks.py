"""Values that cannot be right, such as texts, relations and meshes: found, named, left out of learning and measuring.

Letters: N regions of one image, R relations, A attributes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.data.shape_checks import RowFaults, mesh_faults, voxel_faults
from scenekit.keys import ATTRIBUTES, OBJECTS, VOXELS, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.captions import Captions
from scenekit.structures.meshes import Meshes
from scenekit.structures.relations import Relations

LONGEST = 500
"""Words of a text that may still describe a region; what is longer is a page that got into the wrong column."""

BLANK = frozenset("ZPC")
"""Unicode's categories that say nothing on their own: separators, punctuation, control; symbols such as emoji do."""


@dataclass(frozen=True)
class ValueFault:
    """`kind` is a phrase in the plural, `where` a place in the value (`relations 3`), `told` what is wrong there."""

    kind: str
    where: str
    told: str


@dataclass(frozen=True, eq=False)
class Mended:
    """What is left of a value without its `faults`; None where nothing of it can be used.

    `valid` marks the rows that still carry it; None for values of the image.
    """

    faults: Sequence[ValueFault]
    value: Any
    valid: Bool[Tensor, " N"] | None = None


def mended(scene: Scene, key: Key[Any, Any]) -> Mended:
    """The value of `key` without what cannot be right. Values of kinds that nothing checks are taken as they are."""
    value = scene[key]
    if isinstance(value, Relations):
        return _relations(scene, key, value)
    if isinstance(value, Captions) and key.of is not None:
        return _captions(scene, key, value)
    if isinstance(value, Boxes3D) and key.of is not None:
        return _boxes3d(scene, key, value)
    if key == ATTRIBUTES:
        return _attributes(scene, value)
    if isinstance(value, Meshes) and key.of is not None:
        return _without(scene, key, value, mesh_faults(value))
    if key == VOXELS:
        return _without(scene, key, value, voxel_faults(value))
    return Mended((), value)


def with_mended(sample: Sample, key: Key[Any, Any], result: Mended) -> Sample:
    """The sample with what is left of the value; a key of which nothing is left is supervised no more."""
    scene, claims = sample.scene, sample.supervision
    if result.value is None:
        values = {other: value for other, value in scene.values.items() if other != key}
        valid = {other: rows for other, rows in scene.valid.items() if other != key}
        claims = replace(claims, keys=claims.keys - {key})
    else:
        values = {**scene.values, key: result.value}
        valid = {**scene.valid} if result.valid is None else {**scene.valid, key: result.valid}
    return replace(sample, scene=replace(scene, values=values, valid=valid), supervision=claims)


def mended_sample(sample: Sample) -> Sample:
    """Without faulty values, and nothing said about them."""
    for key in tuple(sample.scene.values):
        if (result := mended(sample.scene, key)).faults:
            sample = with_mended(sample, key, result)
    return sample


def row_name(stream: Stream, regions: Objects, row: int) -> str:
    """`objects 3`, with the id in brackets where that is another number."""
    id = int(regions.ids[row])
    return f"{stream.name} {row}" if id == row else f"{stream.name} {row} (id {id})"


# Relations


def _relations(scene: Scene, key: Key[Any, Any], value: Relations) -> Mended:
    columns = (value.subject, value.object, value.predicate)
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(str(len(column)) for column in columns)
        told = f"{key.name} have {lengths} subjects, objects and predicates; as many of each are expected"
        return Mended([ValueFault("relations of unequal columns", key.name, told)], None)
    faults: dict[int, ValueFault] = {}
    for row, kind, told in _faulty_relations(scene, value):
        faults.setdefault(row, ValueFault(kind, f"{key.name} {row}", f"{key.name} {row} {told}"))
    kept = torch.ones(len(value), dtype=torch.bool)
    kept[list(faults)] = False
    return Mended([faults[row] for row in sorted(faults)], value[kept] if faults else value)


def _faulty_relations(scene: Scene, value: Relations) -> Iterator[tuple[int, str, str]]:
    """(row, kind, what is wrong), the worst of a row first."""
    count, predicates = len(scene.objects), len(scene.vocabulary.predicates)
    ends = torch.stack((value.subject, value.object))
    gone = (ends < 0) | (ends >= count)
    for row in _rows(gone.any(dim=0)):
        end = int(ends[:, row][gone[:, row]][0])
        yield row, "relations to missing objects", f"names object {end}; there are {count}"
    for row in _rows((value.predicate < 0) | (value.predicate >= predicates)):
        number = int(value.predicate[row])
        yield row, "relations with an unknown predicate", f"has predicate {number}; the vocabulary has {predicates}"
    for row in _rows(value.subject == value.object):
        yield row, "relations of an object to itself", f"is of object {int(value.subject[row])} to itself"
    for row, first in repeats(torch.stack((value.subject, value.object, value.predicate), dim=1)):
        yield row, "relations that repeat another one", f"repeats number {first}"


def repeats(rows: Tensor) -> list[tuple[int, int]]:
    """(row, the first row like it) of those that have one before them."""
    if not len(rows):
        return []
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    order = torch.arange(len(rows))
    first = torch.full((len(rows),), len(rows)).scatter_reduce(0, group, order, "amin")[group]
    return [(row, int(first[row])) for row in _rows(first < order)]


# Texts


def _captions(scene: Scene, key: Key[Any, Any], value: Captions) -> Mended:
    """Rows that no text is left of carry nothing."""
    assert key.of is not None
    carried, regions = scene.rows_with(key), scene.regions(key.of)
    faults: list[ValueFault] = []
    texts: list[tuple[str, ...]] = list(value.texts)
    for row in _rows(carried):
        found = {place: fault for place, text in enumerate(texts[row]) if (fault := text_fault(text))}
        where = f"{key.name} of {row_name(key.of, regions, row)}"
        faults += (ValueFault(kind, where, f"{where}: text {place} {told}") for place, (kind, told) in found.items())
        texts[row] = tuple(text for place, text in enumerate(texts[row]) if place not in found)
    left = torch.tensor([bool(row) for row in texts], dtype=torch.bool)
    return Mended(faults, replace(value, texts=tuple(texts)), carried & left) if faults else Mended((), value)


def text_fault(text: Any) -> tuple[str, str] | None:
    """(kind, what is wrong) of a text that describes nothing. Any script is right, and so are emoji."""
    if not isinstance(text, str):
        return "texts that are none", f"is a {type(text).__name__}; a string is expected"
    if not text.strip():
        return "empty texts", "is empty"
    if all(unicodedata.category(sign)[0] in BLANK for sign in text):
        return "texts of punctuation alone", f"is {text[:20]!r}, punctuation alone"
    if len(text) > LONGEST and (words := len(text.split())) > LONGEST:
        return f"texts of more than {LONGEST} words", f"has {words:,} words, more than {LONGEST}"
    return None


# Attributes


def _attributes(scene: Scene, value: Tensor) -> Mended:
    """Rows with a number that is no probability carry nothing; NaN, which is "unknown", is none of them."""
    names = scene.vocabulary.attributes
    if value.dim() != 2 or value.shape[1] != len(names):
        told = f"attributes have the shape {list(value.shape)}; {len(names)} columns are expected, one for each"
        return Mended([ValueFault("attributes of another width", ATTRIBUTES.name, told)], None)
    carried, beyond = scene.rows_with(ATTRIBUTES), (value < 0) | (value > 1)
    rows = _rows(carried & beyond.any(dim=1))
    if not rows:
        return Mended((), value)
    faults = []
    for row in rows:
        place = _rows(beyond[row])[0]
        where = f"attributes of {row_name(OBJECTS, scene.objects, row)}"
        told = f"{where}: {names[place]!r} is {float(value[row, place]):g}; 0 to 1 is expected, or NaN for unknown"
        faults.append(ValueFault("attributes that are no probabilities", where, told))
    return Mended(faults, value, carried & ~beyond.any(dim=1))


# 3D boxes


def _boxes3d(scene: Scene, key: Key[Any, Any], value: Boxes3D) -> Mended:
    """Rows whose box has no volume, no rotation or lies behind the camera carry nothing."""
    assert key.of is not None
    carried, regions = scene.rows_with(key), scene.regions(key.of)
    impossible, behind = ~value.valid, value.center[:, 2] <= 0
    faults = []
    for row in _rows(carried & (impossible | behind)):
        where = f"{key.name} of {row_name(key.of, regions, row)}"
        kind = "3D boxes without volume or rotation" if bool(impossible[row]) else "3D boxes behind the camera"
        faults.append(ValueFault(kind, where, f"{where}: {_box3d_fault(value, row)}"))
    return Mended(faults, value, carried & ~impossible & ~behind) if faults else Mended((), value)


def _box3d_fault(value: Boxes3D, row: int) -> str:
    """What is wrong with a box, in a line."""
    center, size = value.center[row], value.size[row]
    if not bool(center.isfinite().all() & size.isfinite().all()):
        return f"center {_numbers(center)} and size {_numbers(size)} must be finite"
    if not bool((size > 0).all()):
        return f"width, height and length must be above 0, got {_numbers(size)}"
    if not bool(value.valid[row]):
        left_handed = float(torch.linalg.det(value.rotation[row])) < 0
        return f"its rotation is {'left-handed' if left_handed else 'not orthonormal'}; expected camera from object"
    return f"its center is {float(center[2]):g} m along the optical axis; expected more than 0"


def _without(scene: Scene, key: Key[Any, Any], value: Any, wrong: RowFaults) -> Mended:
    """Rows that are `wrong` carry nothing."""
    assert key.of is not None
    carried, regions = scene.rows_with(key), scene.regions(key.of)
    faults, valid = [], carried.clone()
    for row in _rows(carried):
        if row in wrong:
            kind, told = wrong[row]
            where = f"{key.name} of {row_name(key.of, regions, row)}"
            faults.append(ValueFault(kind, where, f"{where}: {told}"))
            valid[row] = False
    return Mended(faults, value, valid) if faults else Mended((), value)


def _numbers(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values.tolist()) + "]"


def _rows(chosen: Bool[Tensor, " _"]) -> list[int]:
    rows: list[int] = chosen.nonzero()[:, 0].tolist()
    return rows
