"""What the labels of a picture may teach: which keys, which classes, whether all instances, whether mirrored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from scenekit.data.sample import Supervision
from scenekit.errors import InputError, nearest
from scenekit.evaluation.reading import brief
from scenekit.keys import ATTRIBUTES, CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key, Stream, key_named
from scenekit.structures.scene import Scene
from scenekit_datasets.coco.notes import Notes

_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def supervision_of(notes: Notes, scene: Scene) -> Supervision:
    """What the files claim, and what they say otherwise for all of their pictures or this one.

    Fields, of a picture or of the whole file: `supervises` (names of keys, and of streams), `classes` (names of things
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
        mirrorable=_said(notes, "mirrorable", True) is not False and not any(map(_unsafe(scene), _texts(scene))),
    )


def _said(notes: Notes, field: str, default: Any = None) -> Any:
    """The field of the picture, else of the first file that has it."""
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
    """The things that the files of this picture cover; None for all that there are."""
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


def _unsafe(scene: Scene) -> Any:
    """Whether a text would be wrong in a mirror: it names a side that the vocabulary does not exchange."""
    exchanged = {word for pair in scene.vocabulary.mirror_words for word in pair}

    def unsafe(text: str) -> bool:
        return any(match[0].lower() not in exchanged for match in _SIDES.finditer(text))

    return unsafe


def _texts(scene: Scene) -> Iterator[str]:
    """Every word of the labels, less the predicates that have a partner in the mirror."""
    yield from scene.names()
    for key in (CAPTIONS, PHRASE_CAPTIONS):
        if key in scene:
            yield from (text for texts in scene[key].texts for text in texts)
    vocabulary = scene.vocabulary
    if ATTRIBUTES in scene and len(scene[ATTRIBUTES]):
        held = (scene[ATTRIBUTES] == 1).any(dim=0).tolist()
        yield from (name for name, holds in zip(vocabulary.attributes, held, strict=True) if holds)
    if RELATIONS in scene:
        paired = {name for pair in vocabulary.mirror_predicates for name in pair}
        names = {vocabulary.predicates[n] for n in scene[RELATIONS].predicate.tolist()}
        yield from names - paired


def keys_named(names: Iterable[str] | None, known: Iterable[Key[Any, Any]]) -> frozenset[Key[Any, Any]]:
    """Keys by name, all of them for None. Raises InputError for a name that is none of them."""
    by_name = {key.name: key for key in known}
    for name in names or ():
        if name not in by_name:
            raise InputError(f"COCO-style files have no labels {name!r}{nearest(name, list(by_name))}")
    return frozenset(by_name[name] for name in (by_name if names is None else names))
