"""A map as plain JSON, and back, with errors that name the entry. Letters: K sightings that are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scenekit.errors import InputError, nearest, one_line
from scenekit.io.records import brief, is_number, whole_number
from scenekit.scene_json import WRONG
from scenekit.structures.moments import check_pose
from scenekit.structures.vocabulary import Vocabulary
from scenekit.world.map_object import Kept, MapObject
from scenekit.world.options import NAMES
from scenekit.world.relation_votes import Name, Vote
from scenekit.world.sightings import Solid, Votes
from scenekit.world.views import View

if TYPE_CHECKING:
    from scenekit.world.world import World

FORMAT_VERSION = 1
"""Version of the JSON that `World.save` writes."""

KEPT_SHAPES: Mapping[str, tuple[int, ...]] = {
    "center": (3,),
    "size": (3,),
    "rotation": (3, 3),
    "ray": (3,),
    "distance": (),
    "score": (),
}


def encoded(world: World) -> dict[str, Any]:
    """Encode a map; see `World.to_json`."""
    growth = world.growth
    return {
        "format_version": FORMAT_VERSION,
        "options": {**asdict(world.options), "up": list(world.options.up)},
        "vocabulary": world.vocabulary.to_json(),
        "views": [view_json(view) for view in world.views],
        "objects": [{**object_json(item), "confirmed": world.is_confirmed(item)} for item in growth.objects.values()],
        "edges": [
            {"subject": subject, "object": target, "predicate": name.predicate, "key": name.source, **asdict(vote)}
            for (subject, target), named in growth.relations.votes.items()
            for name, vote in named.items()
        ],
        "together": [[*pair, count] for pair, count in growth.relations.together.items()],
        "tracks": [[track, identity] for track, identity in growth.tracks.items()],
        "next_identity": growth.next_identity,
    }


def text_of(world: World) -> str:
    """Return the text of a file."""
    return json.dumps(encoded(world), allow_nan=False)


def view_json(view: View) -> dict[str, Any]:
    """Encode a camera."""
    numbers = {"pose": view.pose.tolist(), "matrix": view.matrix.tolist()}
    return {"time": view.time, **numbers, "size": list(view.size), "assumed": view.assumed, "number": view.number}


def object_json(item: MapObject) -> dict[str, Any]:
    """Encode an object."""
    entry = {field.name: getattr(item, field.name) for field in fields(MapObject)}
    for name in ("position", "size", "rotation"):
        entry[name] = entry[name].tolist()
    for name in ("kept", "strays"):
        kept = entry[name]
        entry[name] = None if kept is None else {part: getattr(kept, part).tolist() for part in KEPT_SHAPES}
    solid = item.solid
    entry["solid"] = None if solid is None else {"verts": solid.verts.tolist(), "faces": solid.faces.tolist()}
    return {**entry, "tracks": list(item.tracks)}


def decoded(data: Any) -> World:
    """Decode a map; see `World.from_json`."""
    from scenekit.world.world import World

    if not isinstance(data, Mapping) or data.get("format_version") != FORMAT_VERSION or "views" not in data:
        found = data.get("format_version") if isinstance(data, Mapping) else brief(data)
        raise InputError(
            f"expected what World.save writes, in format {FORMAT_VERSION}, got {found!r}; a scene is added to a map by"
            " World.add"
        )
    with entry("options"):
        if unknown := sorted(data["options"].keys() - set(NAMES)):
            raise InputError(f"there is no option {unknown[0]!r}{nearest(unknown[0], NAMES)}")
        world = World(**{**data["options"], "up": tuple(data["options"]["up"])})
    with entry("vocabulary"):
        world.vocabulary = Vocabulary.from_json(data["vocabulary"])
    world.views = [view_from(item, f"views[{n}]") for n, item in enumerate(list_of(data, "views"))]
    fill(world, data)
    return world


def fill(world: World, data: Mapping[str, Any]) -> None:
    """Decode the objects of a map, and what is known of pairs of them."""
    growth = world.growth
    for number, item in enumerate(list_of(data, "objects")):
        with entry(f"objects[{number}]"):
            decoded_item = object_from(item, world.vocabulary)
            if decoded_item.identity in growth.objects:
                raise InputError(f"the identity {decoded_item.identity} occurs twice")
            growth.objects[decoded_item.identity] = decoded_item
    known = growth.objects
    for number, item in enumerate(list_of(data, "edges")):
        with entry(f"edges[{number}]"):
            ends = identity(item["subject"], known), identity(item["object"], known)
            vote = Vote(count(item, "count"), *(float(numbers(item, name)) for name in ("weight", *SPAN)))
            growth.relations.vote(ends, Name(text(item, "predicate"), text(item, "key")), vote)
    for number, item in enumerate(list_of(data, "together")):
        with entry(f"together[{number}]"):
            first, second, scenes = item
            growth.relations.meet(identity(first, known), identity(second, known), count({"count": scenes}, "count"))
    for number, item in enumerate(list_of(data, "tracks")):
        with entry(f"tracks[{number}]"):
            track, held = item
            growth.tracks[count({"track": track}, "track", least=None)] = identity(held, known)
    with entry("next_identity"):
        growth.next_identity = count(data, "next_identity", least=max(known, default=-1) + 1)


SPAN = ("first_seen", "last_seen")


def view_from(item: Any, place: str) -> View:
    """Decode a camera."""
    with entry(place):
        pose, matrix = numbers(item, "pose", 4, 4), numbers(item, "matrix", 3, 3)
        check_pose(torch.from_numpy(pose))
        height, width = (count({"size": side}, "size", least=1) for side in item["size"])
        if not isinstance(item["assumed"], bool):
            raise InputError(f"'assumed' must be true or false, got {brief(item['assumed'])}")
        return View(
            float(numbers(item, "time")),
            pose,
            matrix,
            (height, width),
            item["assumed"],
            count({"number": 0, **item}, "number"),
        )


def object_from(item: Mapping[str, Any], vocabulary: Vocabulary) -> MapObject:
    """Decode an object."""
    if (label := text(item, "label")) not in vocabulary.things:
        raise InputError(f"'label': {label!r} is not in the vocabulary{nearest(label, vocabulary.things)}")
    kept = kept_from(item, "kept")
    if kept is None or not len(kept):
        raise InputError("'kept': expected at least one sighting")
    sightings = count(item, "sightings", least=1)
    return MapObject(
        count(item, "identity"),
        label,
        numbers(item, "position", 3),
        sides(numbers(item, "size", 3)),
        numbers(item, "rotation", 3, 3),
        float(numbers(item, "score")),
        sightings,
        count(item, "chances", least=sightings),
        float(numbers(item, "first_seen")),
        float(numbers(item, "last_seen")),
        labels=weights_from(item, "labels"),
        votes=votes_from(item),
        weights=weights_from(item, "weights"),
        kept=kept,
        tracks=tuple(count({"tracks": track}, "tracks", least=None) for track in item["tracks"]),
        solid=solid_from(item),
        strays=kept_from(item, "strays"),
    )


def sides(size: np.ndarray) -> np.ndarray:
    """Return sizes, if all sides are above 0."""
    if not (size > 0).all():
        raise InputError(f"'size': width, height and length must be above 0, got {size.tolist()}")
    return size


def kept_from(item: Mapping[str, Any], name: str) -> Kept | None:
    """Decode sightings; None for null."""
    if item[name] is None:
        return None
    rows = len(item[name]["score"])
    columns = {part: numbers(item[name], part, rows, *shape) for part, shape in KEPT_SHAPES.items()}
    sides(columns["size"])
    return Kept(**columns)


def solid_from(item: Mapping[str, Any]) -> Solid | None:
    """Decode a mesh; None for null."""
    if item["solid"] is None:
        return None
    verts, faces = (np.asarray(item["solid"][name]) for name in ("verts", "faces"))
    verts = numbers(item["solid"], "verts", len(verts), 3)
    triangles = faces.dtype.kind == "i" and faces.ndim == 2 and faces.shape[1] == 3
    if not triangles or faces.min() < 0 or faces.max() >= len(verts):
        raise InputError("'solid': expected faces of three numbers of vertices each")
    return Solid(verts, faces)


def weights_from(item: Mapping[str, Any], name: str) -> dict[str, float]:
    """Decode weights by name."""
    if not isinstance(item[name], Mapping) or not all(map(is_number, item[name].values())):
        raise InputError(f"{name!r}: expected numbers by name, got {brief(item[name])}")
    return {key: float(value) for key, value in item[name].items()}


def votes_from(item: Mapping[str, Any]) -> Votes:
    """Decode votes by key and name."""
    return {key: weights_from(item["votes"], key) for key in item["votes"]}


def numbers(item: Mapping[str, Any], name: str, *shape: int) -> np.ndarray:
    """Return finite numbers in a shape."""
    values = np.asarray(item[name], dtype=np.float64)
    if math.prod(shape) == 0 and values.size == 0:
        return values.reshape(shape)
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(f"{name!r}: expected finite numbers of shape {list(shape)}, got {brief(item[name])}")
    return values


def count(item: Mapping[str, Any], name: str, least: int | None = 0) -> int:
    """Return a whole number."""
    value = whole_number(item[name])
    if value is None or (least is not None and value < least):
        limit = "" if least is None else f" from {least}"
        raise InputError(f"{name!r}: expected a whole number{limit}, got {brief(item[name])}")
    return value


def text(item: Mapping[str, Any], name: str) -> str:
    """Return a text."""
    if not isinstance(item[name], str):
        raise InputError(f"{name!r}: expected text, got {brief(item[name])}")
    return str(item[name])


def identity(value: Any, known: Mapping[int, MapObject]) -> int:
    """Return the identity of an object of the map."""
    number = whole_number(value)
    if number is None or number not in known:
        raise InputError(f"the map has no object {brief(value)}")
    return number


def list_of(data: Mapping[str, Any], name: str) -> list[Any]:
    """Return an entry that is a list."""
    if not isinstance(data.get(name), list):
        raise InputError(f"{name}: expected a list, got {brief(data.get(name))}")
    return list(data[name])


@contextmanager
def entry(place: str) -> Iterator[None]:
    """Raise whatever an entry of another form raises as an InputError that names it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except WRONG as error:
        name = f"{type(error).__name__} {one_line(error, 120)}"
        raise InputError(f"{place}: expected what World.save writes, got an entry that fails: {name}") from error
