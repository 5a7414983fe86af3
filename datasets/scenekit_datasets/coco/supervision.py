"""What the labels of an image supervise: keys, classes, exhaustive streams, and whether it may be flipped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scenekit.data.sample import Supervision
from scenekit.errors import InputError, nearest
from scenekit.io.records import brief
from scenekit.keys import OBJECTS, PHRASES, Stream, key_named
from scenekit.scene import Scene
from scenekit_datasets.coco.records import ImageEntry


def supervision_of(entry: ImageEntry, scene: Scene) -> Supervision:
    """Determine what an image supervises, from the labels in the files and their explicit fields.

    Fields, of an image or of the whole file: `supervises` (names of keys and streams), `classes` (names of things whose
    instances are annotated), `exhaustive` (false, or the names of the streams that are), `mirrorable`.

    Args:
        entry: Entries of the image.
        scene: Its labels.

    Returns:
        The supervision.

    Raises:
        InputError: If a field is invalid.
    """
    streams = frozenset(stream for stream in scene.streams if stream != OBJECTS or _covered(entry))
    named = _names(entry, "supervises")
    keys = frozenset(scene.values)
    if named is not None:
        known = {key.name: key for key in (*keys, *streams)}
        _refuse_unknown(entry, "supervises", named, known)
        keys = frozenset(key for key in keys if key.name in named)
        streams = frozenset(s for s in streams if s.name in named or any(key.of == s for key in keys))
    return Supervision(
        keys=keys,
        classes=_classes(entry, scene),
        streams=streams,
        exhaustive=_exhaustive(entry, streams),
        mirrorable=_claim(entry, "mirrorable", True) is not False,
    )


def _claim(entry: ImageEntry, field: str, default: Any = None) -> Any:
    """Return the field of the image, else of the first file that has it."""
    if field in entry.image.data:
        return entry.image.data[field]
    return next((index.header[field] for index in entry.indices if field in index.header), default)


def _names(entry: ImageEntry, field: str) -> list[str] | None:
    value = _claim(entry, field)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{entry.image}: {field!r} must be a list of names, not {brief(value)}")
    return value


def _refuse_unknown(entry: ImageEntry, field: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known and key_named(name) is None:
            raise InputError(f"{entry.image}: {field!r} has {name!r}{nearest(name, list(known))}")


def _covered(entry: ImageEntry) -> frozenset[str]:
    return frozenset(name for index in entry.indices for name in index.things)


def _classes(entry: ImageEntry, scene: Scene) -> frozenset[str] | None:
    """Return the things that the files of this image cover; None for all."""
    things = frozenset(scene.vocabulary.things)
    named = _names(entry, "classes")
    if named is not None and (unknown := set(named) - things):
        name = min(unknown)
        raise InputError(f"{entry.image}: 'classes' has {name!r}{nearest(name, sorted(things))}")
    classes = _covered(entry) if named is None else frozenset(named)
    return None if classes == things else classes


def _exhaustive(entry: ImageEntry, streams: frozenset[Stream]) -> frozenset[Stream]:
    value = _claim(entry, "exhaustive", True)
    if isinstance(value, bool):
        return streams if value else frozenset()
    names = _names(entry, "exhaustive") or []
    _refuse_unknown(entry, "exhaustive", names, [stream.name for stream in (OBJECTS, PHRASES)])
    return frozenset(stream for stream in streams if stream.name in names)
