"""A map as a dynamic scene graph of Hydra: the dsg.json that spark-dsg 1.1 reads.

A node's id is a letter in its highest byte and a number: "O" and the identity of the object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from scenekit.errors import InputError
from scenekit.io.files import write_atomically
from scenekit.ops.poses import BODY
from scenekit.visualization.palette import object_color
from scenekit.world.map_graph import edges_of, node_of
from scenekit.world.map_object import MapObject

if TYPE_CHECKING:
    from scenekit.world.world import World

LAYERS = {"OBJECTS": 2, "PLACES": 3, "ROOMS": 4, "BUILDINGS": 5}
AGENTS = {"AGENTS": 2}
"""Layers by name; agents are another partition of the layer of objects."""

HEADER = {"project_name": "main", "version": {"major": 1, "minor": 1, "patch": 3}}
"""Of the version of spark-dsg whose files have this form."""

ANY_SHARE = 0.5
"""Relations that at least this share of the scenes with both objects state become edges."""


def save_dsg(world: World, path: str | Path) -> None:
    """Write the objects of a map for Hydra; see `World.save_dsg`."""
    if Path(path).suffix.lower() != ".json":
        raise InputError(f"{path}: expected a file name that ends in .json")
    write_atomically(path, json.dumps(dsg_of(world), allow_nan=False).encode())


def dsg_of(world: World) -> dict[str, Any]:
    """Return the content of the file."""
    kept = {item.identity for item in world.objects}
    names: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for subject, target, attributes in edges_of(world, ANY_SHARE):
        if {subject, target} <= kept:
            pair = (min(subject, target), max(subject, target))
            names.setdefault(pair, []).append({"subject": subject, "object": target, **attributes})
    layers = {name: {"layer": layer, "partition": 0} for name, layer in {**LAYERS, **AGENTS}.items()}
    return {
        "SPARK_DSG_header": HEADER,
        "directed": False,
        "multigraph": False,
        "metadata": {"labels": list(world.vocabulary.things), "up": list(world.options.up)},
        "layer_keys": [layers[name] for name in LAYERS],
        "layer_names": layers,
        "nodes": [node_json(world, item) for item in world.objects],
        "edges": [edge_json(pair, relations) for pair, relations in names.items()],
    }


def symbol(identity: int) -> int:
    """Return the id of an object's node."""
    return (ord("O") << 56) | identity


def node_json(world: World, item: MapObject) -> dict[str, Any]:
    """Return the node of an object; lengths of its box are along its x (forward), y (left) and z (up)."""
    label = world.vocabulary.things.index(item.label)
    turn, center = quaternion(item.rotation), item.position.tolist()
    width, height, length = item.size.tolist()
    red, green, blue = object_color(label, item.identity)
    box = {"type": "OBB", "dimensions": [length, width, height], "world_P_center": center, "world_R_center": turn}
    return {
        "id": symbol(item.identity),
        "layer": LAYERS["OBJECTS"],
        "partition": 0,
        "attributes": {
            "type": "ObjectNodeAttributes",
            "name": item.label,
            "position": center,
            "semantic_label": label,
            "bounding_box": box,
            "world_R_object": turn,
            "color": {"r": red, "g": green, "b": blue, "a": 255},
            "is_active": False,
            "is_predicted": False,
            "last_update_time_ns": max(round(item.last_seen * 1e9), 0),
            "mesh_connections": [],
            "registered": True,
            "semantic_feature": {"cols": 0, "rows": 0, "data": None},
            "metadata": node_of(world, item, 0.5),
        },
    }


def quaternion(rotation: np.ndarray) -> dict[str, float]:
    """Return the rotation of an object's robot axes (x forward, y left, z up) in the world."""
    x, y, z, w = Rotation.from_matrix(rotation @ BODY).as_quat().tolist()
    return {"w": w, "x": x, "y": y, "z": z}


def edge_json(pair: tuple[int, int], relations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the edge of two objects, which holds all their relations as metadata."""
    info = {"type": "EdgeAttributes", "weight": 1.0, "weighted": False, "metadata": {"edges": relations}}
    return {"source": symbol(pair[0]), "target": symbol(pair[1]), "info": info}
