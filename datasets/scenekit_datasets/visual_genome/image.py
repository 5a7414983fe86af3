"""The labels of one image, created from its entries when it is loaded.

Letters: N objects, A attributes, R relations, P phrases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.io.records import Record, brief, records_of
from scenekit.keys import ATTRIBUTES, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key, Stream
from scenekit.scene import Objects, Scene
from scenekit.structures import Captions, Relations
from scenekit.structures.geometry import Size
from scenekit_datasets.image_labels import Labels, clipped
from scenekit_datasets.visual_genome.index import Index
from scenekit_datasets.visual_genome.names import NameIndex, Names, normalized
from scenekit_datasets.visual_genome.objects import Thing, merged_things, read_thing, same_thing, sound


@dataclass(frozen=True)
class Rules:
    """How labels are created."""

    keys: frozenset[Key[Any, Any]]
    """Labels to load beside objects."""
    merge: bool = True
    """Whether to merge objects that were annotated more than once."""
    min_area: float = 0.0
    """Smaller objects are skipped, as a part of the image's area."""
    unlisted: str = "absent"
    """Whether unlisted attributes of an object that has some are "absent" or "unknown"."""


@dataclass(frozen=True)
class Relationship:
    """Two objects and the predicate between them."""

    subject: Thing
    """The subject."""
    predicate: str
    """Name of the predicate."""
    object: Thing
    """The object."""
    where: str
    """Its entry, for messages."""


class ImageReader:
    """Creates labels of images.

    Args:
        index: Index of the files.
        name_index: The vocabulary.
        rules: How labels are created.
    """

    def __init__(self, index: Index, name_index: NameIndex, rules: Rules) -> None:
        self.index, self.name_index, self.rules = index, name_index, rules

    def read(self, place: int, path: str) -> tuple[Scene, list[str]]:
        """Create the labels of an image.

        Args:
            place: Row of the image.
            path: Its file.

        Returns:
            (labels, issues of its entries).
        """
        issues: list[str] = []
        streams: dict[Stream, Objects] = {}
        values: dict[Key[Any, Any], Any] = {}
        valid: dict[Key[Any, Any], Any] = {}
        size = self.size(place)
        if self.name_index.things and (labels := self.labels(place, issues)) is not None:
            streams[OBJECTS] = labels.objects
            values.update(labels.values)
            valid.update(labels.valid)
        phrases = self._records("region_descriptions", place, issues) if PHRASE_CAPTIONS in self.rules.keys else None
        if phrases is not None:
            streams[PHRASES], values[PHRASE_CAPTIONS] = phrases_of(phrases, size, issues)
        return Scene(size, self.name_index.vocabulary, streams, values, valid, None, path), issues

    def labels(self, place: int, issues: list[str]) -> Labels | None:
        """Create the objects of an image, their relations and attributes.

        Args:
            place: Row of the image.
            issues: Issues, to which those of the entries are added.

        Returns:
            The labels; None for an image without annotated objects.
        """
        listed = self._records("objects", place, issues)
        if listed is None:
            return None
        graph = _Graph(self, place, issues)
        graph.read(listed, *(self._records(name, place, issues) for name in ("relationships", "attributes")))
        return Labels(graph.objects, graph.values, graph.valid, issues)

    def size(self, place: int) -> Size:
        """Return the size of an image.

        Args:
            place: Row of the image.

        Returns:
            (height, width) in pixels.
        """
        height, width = self.index.sizes[place].tolist()
        return height, width

    def _records(self, name: str, place: int, issues: list[str]) -> list[Record] | None:
        """Return the rows of the image's entry in a file; None where it has none, or none that can be read."""
        entry = self.index.record(name, place)
        if entry is None:
            return None
        field, noun = _ROWS[name]
        try:
            return records_of(entry.get(field), entry.path, f"{noun} of image {self.index.ids[place]}")
        except InputError as error:
            issues.append(str(error))
            return None


_ROWS = {
    "objects": ("objects", "object"),
    "relationships": ("relationships", "relationship"),
    "attributes": ("attributes", "attribute entry"),
    "region_descriptions": ("regions", "region"),
}
"""Field of an entry that holds its rows, and the kind of a row."""


class _Graph:
    """Objects, relations and attributes of an image, which refer to each other by ids."""

    def __init__(self, reader: ImageReader, place: int, issues: list[str]) -> None:
        self.name_index, self.rules, self.size, self.issues = (
            reader.name_index,
            reader.rules,
            reader.size(place),
            issues,
        )
        self.names: Names = reader.index.names
        self.where = f"{reader.index.files['objects']}: image {reader.index.ids[place]}"
        self.things: list[Thing] = []
        self.rows: dict[int, int] = {}
        self.objects = Objects.empty()
        self.values: dict[Key[Any, Any], Any] = {}
        self.valid: dict[Key[Any, Any], Any] = {}

    def read(self, objects: list[Record], relations: list[Record] | None, attributes: list[Record] | None) -> None:
        """Read all of them; None is a missing file."""
        seen: set[int] = set()
        self.things = sound(objects, lambda record: self._object(record, seen), self.issues)
        relationships = sound(relations or (), self._relationship, self.issues)
        known = list(self.things)
        self._number(merged_things(self.things) if self.rules.merge else self.things)
        if relations is not None and RELATIONS in self.rules.keys:
            self.values[RELATIONS] = self._relations(relationships)
        if attributes is not None and ATTRIBUTES in self.rules.keys:
            value = self._attributes(attributes, known)
            self.values[ATTRIBUTES], self.valid[ATTRIBUTES] = value, (value == 1).any(dim=1)

    def _object(self, record: Record, seen: set[int]) -> Thing:
        record.integer("object_id")
        thing = read_thing(record, self.names.object)
        if thing.ids[0] in seen:
            raise InputError(f"{record}: the object_id {thing.ids[0]} occurs twice")
        seen.add(thing.ids[0])
        return thing

    def _relationship(self, record: Record) -> Relationship:
        predicate = self.names.predicate(record.text("predicate"))
        if not predicate:
            raise InputError(f"{record}: 'predicate' is empty")
        subject, target = (self._end(record, name) for name in ("subject", "object"))
        return Relationship(subject, predicate, target, str(record))

    def _end(self, record: Record, name: str) -> Thing:
        """Return the object; one that is not listed is added where name and box are given, as by Xu et al."""
        data = record.get(name)
        if not isinstance(data, dict):
            raise InputError(f"{record}: {name!r} must be an object, not {brief(data)}")
        end = Record(data, record.path, f"{name} of {record.noun}", record.index)
        id = end.integer("object_id")
        known = next((thing for thing in self.things if id in thing.ids), None)
        if known is not None:
            return known
        try:
            thing = read_thing(end, self.names.object)
        except InputError as error:
            raise InputError(f"{record}: {name!r} is {id}, which is not an object of this image ({error})") from None
        known = same_thing(self.things, thing)
        if known is None:
            self.things.append(thing)
        return known or thing

    def _number(self, things: Sequence[Thing]) -> None:
        """Number the objects that the vocabulary names and that are in the image, by all of their ids."""
        labels: list[int] = []
        kept: list[int] = []
        boxes = []
        for thing in things:
            label = next((self.name_index.things[name] for name in thing.names if name in self.name_index.things), None)
            box = clipped(thing.box, self.size)
            if box is None:
                self.issues.append(
                    f"{self.where}: object {thing.ids[0]} {list(thing.box)} is empty or outside the image"
                )
            elif label is not None and area(box) >= self.rules.min_area * self.size[0] * self.size[1]:
                self.rows.update(dict.fromkeys(thing.ids, len(kept)))
                labels.append(label)
                kept.append(thing.ids[0])
                boxes.append(box)
        self.objects = Objects(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(labels, dtype=torch.int64),
            ids=torch.tensor(kept, dtype=torch.int64),
        )

    def _relations(self, relationships: Sequence[Relationship]) -> Relations:
        """Return each relation once, without those between two objects that were merged."""
        seen: set[tuple[int, str, int]] = set()
        triples: dict[tuple[int, int, int], None] = {}
        for relation in relationships:
            subject, target = relation.subject.ids[0], relation.object.ids[0]
            named = (subject, relation.predicate, target)
            if subject == target:
                self.issues.append(f"{relation.where}: subject and object are the same, {subject}")
            elif named in seen:
                self.issues.append(f"{relation.where}: {subject} {relation.predicate} {target} occurs twice")
            elif (triple := self._triple(named)) is not None:
                triples[triple] = None
            seen.add(named)
        return Relations(*torch.tensor(list(triples), dtype=torch.int64).reshape(-1, 3).unbind(1))

    def _triple(self, named: tuple[int, str, int]) -> tuple[int, int, int] | None:
        """Return rows and predicate; None where the vocabulary lacks one of the three, or both are one row."""
        subject, target = self.rows.get(named[0]), self.rows.get(named[2])
        predicate = self.name_index.predicates.get(named[1])
        if subject is None or target is None or predicate is None or subject == target:
            return None
        return subject, target, predicate

    def _attributes(self, records: Sequence[Record], things: Sequence[Thing]) -> Float[Tensor, "N A"]:
        """Return 1 where an attribute is listed; rows without any are NaN."""
        out = torch.full((len(self.objects), len(self.name_index.attributes)), torch.nan)
        for thing, names in sound(records, lambda record: self._described(record, things), self.issues):
            row = self.rows.get(thing.ids[0])
            held = [self.name_index.attributes[name] for name in names if name in self.name_index.attributes]
            if row is not None and held:
                out[row, held] = 1.0
        if self.rules.unlisted == "absent":
            out[(out == 1).any(dim=1)] = out[(out == 1).any(dim=1)].nan_to_num(0.0)
        return out

    def _described(self, record: Record, things: Sequence[Thing]) -> tuple[Thing, list[str]]:
        """Return an object and its attributes; in version 1.0, name and box identify the object."""
        names = record.data.get("attributes") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{record}: 'attributes' must be a list of names, not {brief(names)}")
        wanted = read_thing(record, self.names.object)
        thing = same_thing(things, wanted)
        if thing is None:
            raise InputError(f"{record}: this image has no object {wanted.names[0]!r} at {list(wanted.box)}")
        return thing, [normalized(name) for name in names]


def phrases_of(records: Sequence[Record], size: Size, issues: list[str]) -> tuple[Objects, Captions]:
    """Create described regions; those with the same box are merged to one with several texts.

    Args:
        records: Entries of regions.
        size: (height, width) of the image in pixels.
        issues: Issues, to which those of the entries are added.

    Returns:
        (regions, captions).
    """
    texts: dict[tuple[float, ...], dict[str, None]] = {}
    for box, text in sound(records, lambda record: _phrase(record, size), issues):
        texts.setdefault(box, {})[text] = None
    boxes = torch.tensor(list(texts), dtype=torch.float32).reshape(-1, 4)
    regions = Objects(boxes, torch.zeros(len(boxes), dtype=torch.int64))
    return regions, Captions(tuple(tuple(several) for several in texts.values()))


def _phrase(record: Record, size: Size) -> tuple[tuple[float, ...], str]:
    text = " ".join(record.text("phrase").split())
    if not text:
        raise InputError(f"{record}: 'phrase' is empty")
    x, y, width, height = (record.number(name) for name in ("x", "y", "width", "height"))
    box = clipped((x, y, x + width, y + height), size)
    if box is None:
        raise InputError(f"{record}: the box {[x, y, x + width, y + height]} is empty or outside the image")
    return box, text


def area(box: Sequence[float]) -> float:
    """Compute the area of a box.

    Args:
        box: Box, xyxy in pixels.

    Returns:
        Square pixels.
    """
    return (box[2] - box[0]) * (box[3] - box[1])


def with_known_object(index: Index, things: Mapping[str, int] | Collection[str]) -> np.ndarray:
    """Return which images have an object with one of the names.

    Args:
        index: Index of the files.
        things: The names.

    Returns:
        True for each such image.
    """
    known = np.array([name in things for name in index.occurring["objects"]], dtype=bool)
    counts = np.concatenate(([0], np.cumsum(known[index.objects])))
    mask: np.ndarray = counts[index.offsets[1:]] > counts[index.offsets[:-1]]
    return mask
