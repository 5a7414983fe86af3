"""All entries of annotation files that concern one image, before labels are created from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.records import Record, by_id
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary
from scenekit_datasets.coco.image_validation import panoptic_entry, validated_image
from scenekit_datasets.coco.index import Index
from scenekit_datasets.coco.labels import Row
from scenekit_datasets.coco.validation import Context, validated
from scenekit_datasets.coco.vocabulary import Category


@dataclass(frozen=True)
class Source:
    """An annotation file with its maps."""

    index: Index
    """Index of the file."""
    maps: Path
    """Folder of the panoptic maps that it names."""


@dataclass(frozen=True)
class Segmentation:
    """The panoptic segments of an image."""

    record: Record
    """Their entry."""
    maps: Path
    """Folder of the map."""
    categories: Mapping[int, Category]
    """Categories by id."""
    named_by: str
    """Field of a segment that holds the id of its annotation."""


@dataclass(frozen=True)
class ImageEntry:
    """All entries that concern one image."""

    image: Record
    """Its own entry."""
    things: tuple[Row, ...]
    """Annotations of things."""
    stuff: tuple[Row, ...]
    """Annotations of stuff."""
    indices: tuple[Index, ...]
    """Files that list the image."""
    segmentation: Segmentation | None
    """Its panoptic segments."""
    of_segments: bool = False
    """Whether the things are segments of the panoptic map."""

    @property
    def fields(self) -> frozenset[str]:
        """Label fields that occur in annotations of these files."""
        return frozenset(name for index in self.indices for name in index.fields)


def entry_of(sources: Sequence[Source], id: int, vocabulary: Vocabulary) -> ImageEntry:
    """Read all entries of an image; where files contradict each other, the first takes precedence.

    Args:
        sources: The annotation files.
        id: Id of the image.
        vocabulary: Names of all files.

    Returns:
        The entries.

    Raises:
        InputError: If entries are invalid or contradict each other.
    """
    listed = [source for source in sources if id in source.index.places]
    image: dict[str, Any] = {}
    rows: dict[int, Row] = {}
    segmentation = None
    for source in listed:
        index = source.index
        place = index.places[id]
        (record,) = index.images.read([place])
        height, width = index.sizes[place].tolist()
        read, _ = validated_image(index.reader.image(record), index.reader)
        image = {**read.data, "height": height, "width": width, **image}
        records = index.annotations.read(index.rows_of(place))
        if index.panoptic and records:
            segments = index.reader.panoptic(records[0])
            segmentation = segmentation or Segmentation(segments, source.maps, index.categories, "id")
        elif not index.panoptic:
            _join(rows, [_row(record, index, vocabulary, (height, width)) for record in records])
    things = tuple(row for row in rows.values() if row.label < len(vocabulary.things))
    stuff = tuple(row for row in rows.values() if row.label >= len(vocabulary.things))
    first = listed[0]
    record = Record(image, first.index.path, "image", first.index.places[id])
    indices = tuple(source.index for source in listed)
    if "panoptic" in image:
        segments = first.index.reader.panoptic(panoptic_entry(record))
        segmentation = Segmentation(segments, record.path.parent, first.index.categories, "annotation_id")
    entry = ImageEntry(record, things, stuff, indices, segmentation)
    only_segments = all(index.panoptic or not index.things for index in indices)
    return _with_segments(entry, vocabulary) if only_segments else entry


def _row(record: Record, index: Index, vocabulary: Vocabulary, size: Size) -> Row:
    """Return an annotation without labels that are invalid, which were reported when its file was indexed."""
    read = index.reader.annotation(record)
    label = vocabulary.label(index.categories[read.reference("category_id", index.categories)].name)
    points = len(vocabulary.points_of(vocabulary.labels[label]))
    return Row(validated(read, Context(size, points, vocabulary.attributes, index.flags)).record, label)


def _join(rows: dict[int, Row], more: Sequence[Row]) -> None:
    """Add annotations; known fields of an annotation stay, further ones of another file are added."""
    for row in more:
        known = rows.setdefault(row.record.integer("id"), row)
        if known.label != row.label:
            raise InputError(f"{row.record} is of another category in {known.record.path}; the ids must agree")
        if known is not row:
            data = {**row.record.data, **known.record.data}
            rows[data["id"]] = Row(replace(known.record, data=data), known.label)


def _with_segments(entry: ImageEntry, vocabulary: Vocabulary) -> ImageEntry:
    """Use the things among the panoptic segments as objects."""
    if entry.segmentation is None:
        return entry
    categories = entry.segmentation.categories
    infos = by_id(entry.segmentation.record.records("segments_info", "segment")).values()
    named = [(info, categories[info.reference("category_id", categories)]) for info in infos]
    things = tuple(Row(info, vocabulary.label(kind.name)) for info, kind in named if kind.is_thing is not False)
    return replace(entry, things=things, of_segments=True)
