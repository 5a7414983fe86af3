"""What the labels of an image may teach: which keys, which classes, whether all instances, whether mirrored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scenekit.data.sample import Supervision
from scenekit.errors import InputError, nearest
from scenekit.io.records import brief
from scenekit.keys import OBJECTS, PHRASES, Stream, key_named
from scenekit.scene import Scene
from scenekit_datasets.coco.records import Notes
from scenekit_datasets.flips import is_mirrorable


def supervision_of(notes: Notes, scene: Scene) -> Supervision:
    """What the files claim, and what they say otherwise for all of their images or this one.

    Fields, of an image or of the whole file: `supervises` (names of keys, and of streams), `classes` (names of things
    whose instances are labelled), `exhaustive` (false, or the names of the streams that are), `mirrorable`.
    """
    streams = frozenset(stream for stream in scene.streams if stream != OBJECTS or _covered(notes))
    named = _names(notes, "supervises")
    keys = frozenset(scene.values)
    if named is not None:
        known = {key.name: key for key in (*keys, *streams)}
        _refuse_unknown(notes, "supervises", named, known)
        keys = frozenset(key for key in keys if key.name in named)
        streams = frozenset(s for s in streams if s.name in named or any(key.of == s for key in keys))
    return Supervision(
        keys=keys,
        classes=_classes(notes, scene),
        streams=streams,
        exhaustive=_exhaustive(notes, streams),
        mirrorable=_said(notes, "mirrorable", True) is not False and is_mirrorable(scene),
    )


def _said(notes: Notes, field: str, default: Any = None) -> Any:
    """The field of the image, else of the first file that has it."""
    if field in notes.image.data:
        return notes.image.data[field]
    return next((index.header[field] for index in notes.indices if field in index.header), default)


def _names(notes: Notes, field: str) -> list[str] | None:
    value = _said(notes, field)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{notes.image}: {field!r} must be a list of names, not {brief(value)}")
    return value


def _refuse_unknown(notes: Notes, field: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known and key_named(name) is None:
            raise InputError(f"{notes.image}: {field!r} has {name!r}{nearest(name, list(known))}")


def _covered(notes: Notes) -> frozenset[str]:
    return frozenset(name for index in notes.indices for name in index.things)


def _classes(notes: Notes, scene: Scene) -> frozenset[str] | None:
    """The things that the files of this image cover; None for all that there are."""
    things = frozenset(scene.vocabulary.things)
    named = _names(notes, "classes")
    if named is not None and (unknown := set(named) - things):
        name = min(unknown)
        raise InputError(f"{notes.image}: 'classes' has {name!r}{nearest(name, sorted(things))}")
    classes = _covered(notes) if named is None else frozenset(named)
    return None if classes == things else classes


def _exhaustive(notes: Notes, streams: frozenset[Stream]) -> frozenset[Stream]:
    value = _said(notes, "exhaustive", True)
    if isinstance(value, bool):
        return streams if value else frozenset()
    names = _names(notes, "exhaustive") or []
    _refuse_unknown(notes, "exhaustive", names, [stream.name for stream in (OBJECTS, PHRASES)])
    return frozenset(stream for stream in streams if stream.name in names)
