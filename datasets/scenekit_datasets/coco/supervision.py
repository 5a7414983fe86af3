"""What the labels of an image supervise: keys, classes, exhaustive streams, and whether it may be flipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scenekit.data.sample import Supervision
from scenekit.errors import InputError, nearest
from scenekit.io.records import Record, brief
from scenekit.keys import OBJECTS, PHRASES, Key, Stream, key_named
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scenekit_datasets.coco.records import ImageEntry


NEGATIVE, NOT_EXHAUSTIVE = "neg_category_ids", "not_exhaustive_category_ids"
"""Fields of an image of LVIS: categories that it does not show, and those that are not annotated exhaustively in it."""

CLAIMS = ("supervises", "classes", "partial", "map_classes", "exhaustive", "mirrorable")
"""Fields of an image or of the whole file that say what its labels supervise."""


def supervision_of(entry: ImageEntry, scene: Scene) -> Supervision:
    """Determine what an image supervises, from the labels in the files and their explicit fields.

    Fields, of an image or of the whole file: `supervises` (names of keys and streams), `classes` (names of things whose
    instances are annotated), `partial` (names of things of which only some instances are annotated), `map_classes`
    (names of things and stuff that label maps cover), `exhaustive` (false, or the names of the streams that are),
    `mirrorable`. In images of LVIS, ids of categories stand for `classes` and `partial`.

    Args:
        entry: Entries of the image.
        scene: Its labels.

    Returns:
        The supervision.

    Raises:
        InputError: If a field is invalid.
    """
    named_by_image = ((field, name, entry.image) for field, name in claimed_names(entry.image.data, entry.image))
    for issue in claim_issues(named_by_image, scene.vocabulary, scene.values):
        raise InputError(issue)
    streams = frozenset(stream for stream in scene.streams if stream != OBJECTS or _covered(entry))
    named = _claim(entry, "supervises")
    keys = frozenset(scene.values)
    if named is not None:
        keys = frozenset(key for key in keys if key.name in named)
        streams = frozenset(s for s in streams if s.name in named or any(key.of == s for key in keys))
    classes, partial = _classes(entry, scene)
    return Supervision(
        keys=keys,
        classes=classes,
        streams=streams,
        exhaustive=_exhaustive(entry, streams),
        mirrorable=bool(_claim(entry, "mirrorable", True)),
        partial=partial,
        map_classes=None if (covered := _claim(entry, "map_classes")) is None else frozenset(covered),
    )


def claimed_names(data: Mapping[str, Any], where: object) -> Iterator[tuple[str, str]]:
    """Read the names in such fields.

    Args:
        data: Fields of an image or of a whole file.
        where: Beginning of the error message.

    Yields:
        Field and name.

    Raises:
        InputError: If a field is invalid.
    """
    for field in CLAIMS:
        value = data.get(field)
        flag = isinstance(value, int) and value in (0, 1) and field in ("exhaustive", "mirrorable")
        names = isinstance(value, list) and all(isinstance(name, str) for name in value) and field != "mirrorable"
        if value is not None and not flag and not names:
            raise InputError(f"{where}: {field!r} must be {_EXPECTED[field]}, not {brief(value)}")
        yield from ((field, name) for name in (value if isinstance(value, list) else ()))


def federated_ids(image: Record) -> Iterator[tuple[str, int]]:
    """Read the fields of an image of LVIS that have ids of categories.

    Args:
        image: Its entry.

    Yields:
        Field and id.

    Raises:
        InputError: If a field is invalid.
    """
    for field in (NEGATIVE, NOT_EXHAUSTIVE):
        ids = image.data.get(field, [])
        if not isinstance(ids, list) or not all(type(id) is int for id in ids):
            raise InputError(f"{image}: {field!r} must be a list of ids of categories, not {brief(ids)}")
        yield from ((field, id) for id in ids)


def claim_issues(
    claimed: Iterable[tuple[str, str, object]], vocabulary: Vocabulary, keys: Iterable[Key[Any, Any]]
) -> Iterator[str]:
    """Yield issues of unknown names in such fields.

    Args:
        claimed: Field, name, and where it is.
        vocabulary: Names of all files.
        keys: Keys of their labels.

    Yields:
        One message per name.
    """
    streams = (OBJECTS.name, PHRASES.name)
    names = {
        "classes": vocabulary.things,
        "partial": vocabulary.things,
        "map_classes": vocabulary.labels,
        "exhaustive": streams,
        "supervises": (*streams, *(key.name for key in keys)),
    }
    for field, name, where in claimed:
        known = names[field]
        if name not in known and (field != "supervises" or key_named(name) is None):
            yield f"{where}: {field!r} has {name!r}{nearest(name, known)}"


_EXPECTED = {
    "supervises": "a list of names of keys and streams",
    "classes": "a list of names of things",
    "partial": "a list of names of things",
    "map_classes": "a list of names of things and stuff",
    "exhaustive": "true, false or a list of names of streams",
    "mirrorable": "true or false",
}


def _claim(entry: ImageEntry, field: str, default: Any = None) -> Any:
    """Return the field of the image, else of the first file that has it."""
    held = (data.get(field) for data in (entry.image.data, *(index.header for index in entry.indices)))
    return next((value for value in held if value is not None), default)


def _covered(entry: ImageEntry) -> frozenset[str]:
    return frozenset(name for index in entry.indices for name in index.things)


def _classes(entry: ImageEntry, scene: Scene) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Return the things that the files of this image cover (None for all), and those that they cover in part."""
    if NEGATIVE in entry.image.data:
        return _federated(entry, scene)
    named = _claim(entry, "classes")
    classes = _covered(entry) if named is None else frozenset(named)
    partial = frozenset(_claim(entry, "partial", ()))
    return None if classes == frozenset(scene.vocabulary.things) else classes, partial


def _federated(entry: ImageEntry, scene: Scene) -> tuple[frozenset[str], frozenset[str]]:
    """Return the things of an image of LVIS that were verified, and those of which not all instances are annotated."""
    present = frozenset(scene.vocabulary.things[label] for label in scene.objects.labels.tolist())
    absent, partial = (_names_of(entry, field) for field in (NEGATIVE, NOT_EXHAUSTIVE))
    return (present | absent) - partial, partial


def _names_of(entry: ImageEntry, field: str) -> frozenset[str]:
    """Return the names of categories of which a field of LVIS has the ids; others were reported with the index."""
    categories, ids = entry.indices[0].categories, entry.image.data.get(field, [])
    return frozenset(categories[id].name for id in ids if id in categories)


def _exhaustive(entry: ImageEntry, streams: frozenset[Stream]) -> frozenset[Stream]:
    value = _claim(entry, "exhaustive", True)
    if isinstance(value, list):
        return frozenset(stream for stream in streams if stream.name in value)
    return streams if value else frozenset()
