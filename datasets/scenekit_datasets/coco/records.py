"""What one or several annotation files say about an image, before it is made into labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.records import Record, by_id
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.index import Index
from scenekit_datasets.coco.labels import Row
from scenekit_datasets.coco.vocabulary import Category


@dataclass(frozen=True)
class Source:
    """An annotation file, and the folder of the maps that it names."""

    index: Index
    maps: Path


@dataclass(frozen=True)
class Segmentation:
    """The panoptic segments of an image: their record, the folder of the map, and what their categories are.

    `named_by` is the field of a segment that says which annotation it is.
    """

    record: Record
    maps: Path
    categories: Mapping[int, Category]
    named_by: str


@dataclass(frozen=True)
class Notes:
    """What all files together say about one image.

    `image` is its own record; `things` and `stuff` are its annotations; `indices` the files that list it.
    """

    image: Record
    things: tuple[Row, ...]
    stuff: tuple[Row, ...]
    indices: tuple[Index, ...]
    segmentation: Segmentation | None

    @property
    def fields(self) -> frozenset[str]:
        """Label fields that occur in annotations of these files."""
        return frozenset(name for index in self.indices for name in index.fields)


def notes_on(sources: Sequence[Source], id: int, vocabulary: Vocabulary) -> Notes:
    """What the files say about the image `id`; of what several say, the first one counts."""
    listed = [source for source in sources if id in source.index.places]
    image: dict[str, Any] = {}
    rows: dict[int, Row] = {}
    segmentation = None
    for source in listed:
        index = source.index
        place = index.places[id]
        (record,) = index.images.read([place])
        image = {**record.data, **image}
        records = index.annotations.read(index.rows_of(place))
        if index.panoptic and records:
            segmentation = segmentation or Segmentation(records[0], source.maps, index.categories, "id")
        elif not index.panoptic:
            _join(rows, [_row(record, index, vocabulary) for record in records])
    things = tuple(row for row in rows.values() if row.label < len(vocabulary.things))
    stuff = tuple(row for row in rows.values() if row.label >= len(vocabulary.things))
    first = listed[0]
    record = Record(image, first.index.path, "image", first.index.places[id])
    indices = tuple(source.index for source in listed)
    if "panoptic" in image:
        segmentation = Segmentation(_panoptic(record), record.path.parent, first.index.categories, "annotation_id")
    notes = Notes(record, things, stuff, indices, segmentation)
    only_segments = all(index.panoptic or not index.things for index in indices)
    return _with_segments(notes, vocabulary) if only_segments else notes


def _panoptic(image: Record) -> Record:
    value = image.data["panoptic"]
    if not isinstance(value, dict):
        raise InputError(f"{image}: 'panoptic' must be an object with 'file_name' and 'segments_info'")
    return Record({**value, "id": image.data["id"]}, image.path, "the panoptic map of image", image.index)


def _row(record: Record, index: Index, vocabulary: Vocabulary) -> Row:
    return Row(record, vocabulary.label(index.categories[record.reference("category_id", index.categories)].name))


def _join(rows: dict[int, Row], more: Sequence[Row]) -> None:
    """Add rows; what is known of an annotation already stays, what another file adds to it is taken in."""
    for row in more:
        known = rows.setdefault(row.record.integer("id"), row)
        if known.label != row.label:
            raise InputError(f"{row.record} is of another category in {known.record.path}; the ids must agree")
        if known is not row:
            data = {**row.record.data, **known.record.data}
            rows[data["id"]] = Row(replace(known.record, data=data), known.label)


def _with_segments(notes: Notes, vocabulary: Vocabulary) -> Notes:
    """The things among the panoptic segments are the objects."""
    if notes.segmentation is None:
        return notes
    categories = notes.segmentation.categories
    infos = by_id(notes.segmentation.record.records("segments_info", "segment")).values()
    named = [(info, categories[info.reference("category_id", categories)]) for info in infos]
    things = tuple(Row(info, vocabulary.label(kind.name)) for info, kind in named if kind.is_thing is not False)
    return replace(notes, things=things)
