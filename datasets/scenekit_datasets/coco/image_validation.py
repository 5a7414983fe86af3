"""Labels of an image that cannot be right, when a file is indexed as when the image is read.

An invalid label is an issue of its own, and the image stays without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scenekit.errors import InputError
from scenekit.io.coco_records import CocoReader
from scenekit.io.records import Record
from scenekit_datasets.coco.further_keys import ORDER, order_of
from scenekit_datasets.coco.images import MILLIMETRE, camera_of, check_scale, file_of, phrases_of
from scenekit_datasets.roots import located_file


def validated_image(record: Record, reader: CocoReader) -> tuple[Record, list[str]]:
    """Drop labels of an image that cannot be right, as far as its entry and the names of files show them.

    Args:
        record: Entry of the image.
        reader: Reads the entries of its segments.

    Returns:
        (the entry without them, one message per label).
    """
    data = {name: value for name, value in record.data.items() if value is not None}
    issues: list[str] = []
    for name in [name for name in data if name in _READERS]:
        try:
            _READERS[name](record, reader)
        except InputError as error:
            issues.append(str(error))
            del data[name]
    return record.with_data(data), issues


def panoptic_entry(image: Record) -> Record:
    """Return the panoptic segments that the entry of an image holds.

    Args:
        image: Entry of the image.

    Returns:
        Their entry.

    Raises:
        InputError: If it is not an object.
    """
    value = image.get("panoptic")
    if not isinstance(value, dict):
        raise InputError(f"{image}: 'panoptic' must be an object with 'file_name' and 'segments_info'")
    return Record({**value, "id": image.data["id"]}, image.path, "the panoptic map of image", image.index)


def _relation_ends(record: Record) -> None:
    for relation in record.records("relations", "relation"):
        relation.integer("subject_id")
        relation.integer("object_id")
        relation.text("predicate")


def _label_map(record: Record) -> None:
    _existing(record, file_of(record, "semantic")[0], "semantic")


def _depth(record: Record) -> None:
    name, more = file_of(record, "depth")
    check_scale(f"{record}: 'depth' {name!r}", more.get("scale", MILLIMETRE))
    _existing(record, name, "depth")


def _panoptic(record: Record, reader: CocoReader) -> None:
    segments = reader.panoptic(panoptic_entry(record))
    _existing(record, segments.text("file_name"), "panoptic")


def _existing(record: Record, name: str, field: str) -> None:
    try:
        located_file(name, record.path.parent)
    except InputError as error:
        raise InputError(f"{record}: {field!r}: {error}") from None


_READERS: Mapping[str, Callable[[Record, CocoReader], Any]] = {
    "relations": lambda record, _: _relation_ends(record),
    "phrases": lambda record, _: phrases_of(record),
    "camera": lambda record, _: camera_of(record),
    "semantic": lambda record, _: _label_map(record),
    "depth": lambda record, _: _depth(record),
    "panoptic": _panoptic,
    ORDER: lambda record, _: order_of(record),
}
"""How the labels of an image are read, as far as its entry shows them."""
