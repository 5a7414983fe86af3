"""The graph of a map, and its table: objects with what all sightings of them say, relations that hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import networkx as nx

from scenekit.graph.build import IDENTITY, LABEL, PREDICATE, SCORE, VOCABULARY
from scenekit.keys import BOXES3D, Key, key_named
from scenekit.world.frames import roll_pitch_yaw
from scenekit.world.map_object import MapObject
from scenekit.world.sightings import edge_source

if TYPE_CHECKING:
    from scenekit.world.world import World


def build_map_graph(world: World, candidates: bool, share: float, threshold: float) -> nx.MultiDiGraph:
    """Build the graph of a map; see `World.graph`.

    Args:
        world: The map.
        candidates: Whether unconfirmed objects are nodes, too.
        share: Least share of the scenes with both objects that state a relation.
        threshold: Least probability of an attribute.

    Returns:
        The graph; nodes are identities.
    """
    up = list(world.options.up)
    graph = nx.MultiDiGraph(**{VOCABULARY: world.vocabulary.to_json(), "frame": "world", "up": up})
    items = (*world.objects, *(world.candidates if candidates else ()))
    for item in sorted(items, key=lambda item: item.identity):
        graph.add_node(item.identity, **node_of(world, item, threshold))
    edges = (edge for edge in edges_of(world, share) if edge[0] in graph and edge[1] in graph)
    for key, (subject, target, attributes) in enumerate(edges):
        graph.add_edge(subject, target, key, **attributes)
    return graph


def node_of(world: World, item: MapObject, threshold: float) -> dict[str, Any]:
    """Return the attributes of an object.

    Args:
        world: The map.
        item: An object of it.
        threshold: Least probability of an attribute.

    Returns:
        The attributes, in plain JSON.
    """
    return {
        LABEL: item.label,
        SCORE: item.score,
        IDENTITY: item.identity,
        BOXES3D.name: box_numbers(world, item),
        "sightings": item.sightings,
        "chances": item.chances,
        "first_seen": item.first_seen,
        "last_seen": item.last_seen,
        "confirmed": world.is_confirmed(item),
        **dict(elected_values(item, threshold)),
    }


def box_numbers(world: World, item: MapObject) -> dict[str, float]:
    """Return position and size in metres of the world, and the angles in radians.

    Args:
        world: The map.
        item: An object of it.

    Returns:
        Numbers by name.
    """
    names = ("x", "y", "z", "width", "height", "length", "roll", "pitch", "yaw")
    angles = roll_pitch_yaw(item.rotation, world.options.up)
    return dict(zip(names, (*item.position.tolist(), *item.size.tolist(), *angles), strict=True))


def elected_values(item: MapObject, threshold: float) -> Iterator[tuple[str, Any]]:
    """Yield what the sightings of an object say together, by the name of the key.

    Args:
        item: An object of a map.
        threshold: Least probability of an attribute.

    Yields:
        (Name of the key, value in plain JSON).
    """
    for name in item.votes:
        key = key_named(name)
        if isinstance(key, Key):
            yield name, key.field.elected(item.shares(name), threshold)


def edges_of(world: World, share: float) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield subject, object and attributes of the relations that hold.

    Args:
        world: The map.
        share: Least share of the scenes with both objects that state a relation.

    Yields:
        (Subject, object, attributes); both are identities.
    """
    relations = world.growth.relations
    for (subject, target), name, vote, part in relations.holding(share):
        attributes = {
            PREDICATE: name.predicate,
            SCORE: vote.weight / max(relations.shared(subject, target), vote.count),
            "sightings": vote.count,
            "share": part,
            "first_seen": vote.first_seen,
            "last_seen": vote.last_seen,
            **edge_source(name.source),
        }
        yield subject, target, attributes


def rows_of(world: World) -> list[dict[str, Any]]:
    """Return a row for each confirmed object; see `World.table`.

    Args:
        world: The map.

    Returns:
        Rows in plain JSON.
    """
    return [row_of(world, item) for item in world.objects]


def row_of(world: World, item: MapObject) -> dict[str, Any]:
    """Return one row of the table.

    Args:
        world: The map.
        item: An object of it.

    Returns:
        The row in plain JSON; yaw in degrees, times in seconds.
    """
    return {
        "identity": item.identity,
        "label": item.label,
        "score": item.score,
        "position": item.position.tolist(),
        "size": item.size.tolist(),
        "yaw": math.degrees(roll_pitch_yaw(item.rotation, world.options.up)[2]),
        "sightings": item.sightings,
        "first_seen": item.first_seen,
        "last_seen": item.last_seen,
        **dict(elected_values(item, 0.5)),
    }
