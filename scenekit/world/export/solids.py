"""A map as a file of solids in metres: GLB and OBJ, whose up is y."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import trimesh

from scenekit.fields.boxes3d import cuboid_frame
from scenekit.visualization.export.mesh_scene import Solid, check_suffix, write_solids
from scenekit.visualization.palette import object_color
from scenekit.world.frames import leveled
from scenekit.world.map_graph import node_of
from scenekit.world.map_object import MapObject

if TYPE_CHECKING:
    from scenekit.world.world import World

Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""From a world whose z is up to the axes of glTF."""


def save_map_mesh(world: World, path: str | Path) -> None:
    """Write the objects of a map; see `World.save_mesh`."""
    check_suffix(path)
    write_solids(list(map_solids(world)), Path(path), no_camera)


def no_camera(tree: dict[str, Any]) -> None:
    """Add no camera: a map has many."""


def map_solids(world: World) -> Iterator[Solid]:
    """Yield the confirmed objects with their attributes, in the axes of the files."""
    axes = Y_UP @ leveled(world.options.up)
    for item in world.objects:
        mesh = mesh_of(item)
        placed = (mesh.vertices @ item.rotation.T + item.position) @ axes.T
        name = "_".join([*item.label.split(), str(item.identity)])
        color = object_color(world.vocabulary.things.index(item.label), item.identity)
        yield Solid(name, trimesh.Trimesh(placed, mesh.faces, process=False), color, node_of(world, item, 0.5))


def mesh_of(item: MapObject) -> trimesh.Trimesh:
    """Return the mesh of an object in its own frame, or else the frame of its box."""
    if item.solid is not None:
        return trimesh.Trimesh(item.solid.verts, item.solid.faces, process=False)
    width, height, length = item.size
    return cuboid_frame(np.array([length, height, width]))
