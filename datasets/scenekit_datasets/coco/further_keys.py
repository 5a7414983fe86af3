"""Values of keys for which COCO-style files have no field of their own, such as those of plugins.

An annotation or an image holds them in one object, `"scenekit": {"acme.distance": 2.0}`, by the names of the keys and
in the form that the key's field encodes.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.io.records import Record, brief, whole_number
from scenekit.keys import IMAGE, Key, key_named
from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit.structures.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

FIELD = "scenekit"

ORDER = "annotation_ids"
"""Field of an image: the objects in the order in which values number them, that of the file if absent."""

PREFIX = f"{FIELD}."
"""Of the names of such fields in an index, where they stand beside those of COCO."""


def row_entries(scene: Scene, keys: Iterable[Key[Any, Any]]) -> list[dict[str, Any]]:
    """Return what the annotation of each object holds: encoded values by the names of their keys.

    Args:
        scene: Labels of an image.
        keys: Keys of OBJECTS that the scene has.

    Returns:
        One entry per object; rows that do not carry a key are without it.

    Raises:
        InputError: The field of a key does not encode one entry per object.
    """
    entries: list[dict[str, Any]] = [{} for _ in scene.objects.labels]
    for key in keys:
        encoded = key.field.encode(scene[key], scene.vocabulary)
        if not isinstance(encoded, list) or len(encoded) != len(entries):
            raise InputError(
                f"the field of {key.name!r} must encode a list with one entry per object to be written to a COCO-style "
                "file; let its `encode` give one"
            )
        for row in scene.rows_with(key).nonzero()[:, 0].tolist():
            entries[row][key.name] = encoded[row]
    return entries


def names_in(data: Mapping[str, Any], where: object) -> list[str]:
    """Return the names of the keys that an entry holds.

    Args:
        data: Fields of an annotation or image.
        where: The entry, for the error message.

    Returns:
        Names of keys.

    Raises:
        InputError: If the field is not an object.
    """
    held = data.get(FIELD)
    if held is not None and not isinstance(held, dict):
        raise InputError(f"{where}: {FIELD!r} must be an object with values by the names of keys, not {brief(held)}")
    return list(held or ())


def keys_in(fields: Iterable[str]) -> list[Key[Any, Any]]:
    """Return the keys that fields of an index name; a warning lists those that no installed plugin defines.

    Args:
        fields: Names of fields.

    Returns:
        The keys.
    """
    names = sorted({field.removeprefix(PREFIX) for field in fields if field.startswith(PREFIX)})
    found = {name: key_named(name) for name in names}
    if unknown := [name for name, key in found.items() if key is None]:
        _log.warning("labels of keys that no installed plugin defines are skipped: %s", ", ".join(unknown))
    return [key for key in found.values() if key is not None]


def rows_of(
    key: Key[Any, Any], image: Record, records: Sequence[Record], size: Size, vocabulary: Vocabulary
) -> tuple[Any, Bool[Tensor, " N"]]:
    """Decode the values of a key of OBJECTS.

    Args:
        key: Which key.
        image: The entry of the image.
        records: The annotations of an image.
        size: Height and width of the image in pixels.
        vocabulary: Names behind the integers of the values.

    Returns:
        The value, one row per annotation, and which rows really carry it; what names rows names those of the scene.

    Raises:
        InputError: The entries are not what the field encodes.
    """
    held = [(record.data.get(FIELD) or {}).get(key.name) for record in records]
    valid = torch.tensor([entry is not None for entry in held], dtype=torch.bool)
    present = [entry for entry in held if entry is not None]
    where = next((record for record, entry in zip(records, held, strict=True) if entry is not None), "no annotation")
    index_map = _index_map(image, [record.integer("id") for record in records])
    value = _decoded(key, present, size, vocabulary, index_map, where)
    return (value if bool(valid.all()) else key.field.scatter(value, valid.nonzero()[:, 0], len(held))), valid


def image_values(
    image: Record, keys: Collection[Key[Any, Any]], objects: Sequence[int], size: Size, vocabulary: Vocabulary
) -> dict[Key[Any, Any], Any]:
    """Decode the values of an image.

    Args:
        image: The entry of the image.
        keys: Keys to look for.
        objects: The ids of the objects in the order of the scene.
        size: Height and width of the image in pixels.
        vocabulary: Names behind the integers of the values.

    Returns:
        Values by key; those that name rows of the objects name those of the scene.

    Raises:
        InputError: An entry is not what the field encodes.
    """
    held, index_map = image.data.get(FIELD) or {}, _index_map(image, objects)
    there = [key for key in keys if key.of is IMAGE and held.get(key.name) is not None]
    return {key: _decoded(key, held[key.name], size, vocabulary, index_map, image) for key in there}


def order_of(image: Record) -> list[int] | None:
    """Return the ids of the objects in the order in which values number them.

    Args:
        image: The entry of the image.

    Returns:
        Ids; None for the order of the file.

    Raises:
        InputError: If the field is no list of ids.
    """
    if ORDER not in image.data:
        return None
    order = image.data[ORDER]
    ids = [whole_number(id) for id in order] if isinstance(order, list) else [None]
    if None in ids:
        raise InputError(f"{image}: {ORDER!r} must be a list of ids of annotations, not {brief(order)}")
    return [id for id in ids if id is not None]


def _index_map(image: Record, objects: Sequence[int]) -> Int[Tensor, " _"]:
    """Return the row of the scene for each row that stored values name, -1 for objects that the scene lacks."""
    order = order_of(image)
    rows = {id: row for row, id in enumerate(objects)}
    return torch.tensor([rows.get(id, -1) for id in (objects if order is None else order)], dtype=torch.int64)


def _decoded(
    key: Key[Any, Any], data: Any, size: Size, vocabulary: Vocabulary, index_map: Int[Tensor, " _"], where: object
) -> Any:
    try:
        return key.field.remap(key.field.decode(data, size, vocabulary), index_map)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError, MemoryError) as error:
        wrong = f"{type(error).__name__} {one_line(error)}"
        raise InputError(
            f"{where}: {FIELD!r} has a value of {key.name!r} that is not what its field encodes: {wrong}"
        ) from error
