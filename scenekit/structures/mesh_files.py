"""Meshes from and to files: OBJ, GLB, PLY and what else trimesh knows.

Reading leaves coordinates as the file has them: models come in frames and units of their own. Writing turns the camera
frame (x right, y down, z forward) into that of glTF (x right, y up, the camera looks along -z), in which viewers show
meshes upright; `turned_up` does so, and undoes it for a file that was written here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.obj import export_obj

from scenekit.errors import InputError
from scenekit.files import write_atomically
from scenekit.structures.meshes import Meshes

READABLE = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")

OPTIONS: dict[str, dict[str, Any]] = {".obj": {"split_objects": True, "group_material": False, "skip_materials": True}}
"""What trimesh is told for files of a kind: here to keep apart what is an object, and to leave pictures unread."""


FILE_AXES = (1.0, -1.0, -1.0)
"""From the camera frame (x right, y down, z forward) to that of the files that are written, and back."""


def turned_up(meshes: Meshes) -> Meshes:
    """The camera frame turned by 180 degrees about x: y up and z backwards, or back again; faces wind as before."""
    return meshes.with_verts(meshes.verts * meshes.verts.new_tensor(FILE_AXES))


def load_meshes(path: str | Path) -> Meshes:
    """The meshes of a file, one for each object in it, vertices that coincide joined.

    Coordinates are those of the file; a glTF file's transforms are applied. Polygons become triangles. Raises
    InputError that names the file where it is missing, empty or damaged, has no faces, faces that name vertices which
    are not there, or vertices that are not finite.
    """
    return Meshes.from_trimesh([_joined([part]) for part in _parts(Path(path))])


def load_mesh(path: str | Path) -> Meshes:
    """All that a file holds as one mesh; otherwise as `load_meshes`."""
    return Meshes.from_trimesh([_joined(_parts(Path(path)))])


def save_meshes(meshes: Meshes, path: str | Path, names: Sequence[str] | None = None) -> None:
    """Write a .glb or .obj whose objects have `names` (mesh_0, mesh_1, ...), in the axes of `turned_up`.

    Meshes without faces are left out. Raises InputError for another suffix, as many names as there are no meshes,
    vertices that are not finite, and where nothing is left to write.
    """
    target = Path(path)
    if target.suffix.lower() not in WRITERS:
        raise InputError(f"{path}: a file name that ends in {' or '.join(WRITERS)} expected")
    names = [f"mesh_{index}" for index in range(len(meshes))] if names is None else names
    if len(names) != len(meshes):
        raise InputError(f"a name for each of {len(meshes)} meshes expected, got {len(names)}")
    turned, whole = turned_up(meshes), trimesh.Scene()
    for index, name in enumerate(names):
        if len(turned.faces_of(index)):
            if not bool(turned.verts_of(index).isfinite().all()):
                raise InputError(f"{name} (mesh {index}) has vertices that are not finite; leave it out of {path}")
            whole.add_geometry(turned.to_trimesh(index), node_name=name, geom_name=name)
    if not whole.geometry:
        raise InputError(f"none of {len(meshes)} meshes has faces, so there is nothing to write to {path}")
    write_atomically(target, WRITERS[target.suffix.lower()](whole))


def _obj(whole: trimesh.Scene) -> bytes:
    return str(export_obj(whole, include_normals=False, include_texture=False)).encode()


WRITERS: dict[str, Callable[[trimesh.Scene], bytes]] = {".glb": export_glb, ".obj": _obj}


def _parts(path: Path) -> list[trimesh.Trimesh]:
    """What has faces in the file, in its order, which trimesh turns around."""
    _check_file(path)
    try:
        loaded = trimesh.load_scene(path, process=False, **OPTIONS.get(path.suffix.lower(), {}))
        parts = [part for part in reversed(loaded.dump()) if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except Exception as error:  # trimesh lets through whatever its many readers stumble over
        kind = path.suffix[1:].upper()
        if isinstance(error, IndexError) and kind == "OBJ":
            raise InputError(f"{path}: its faces name vertices that are not there ({error})") from None
        raise InputError(f"{path} cannot be read as {kind}: {' '.join(str(error).split())}") from None
    if not parts:
        raise InputError(f"{path} has no faces; a mesh of triangles or polygons expected")
    for part in parts:
        _check_part(part, path)
    return parts


def _joined(parts: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh:
    """One mesh, in which a place is one vertex, whatever normals and textures its faces have there."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    whole = trimesh.Trimesh(np.concatenate([part.vertices for part in parts]), faces, process=False)
    whole.merge_vertices()
    return whole


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in READABLE:
        raise InputError(f"{path}: a mesh file ({', '.join(READABLE)}) expected")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); a mesh file with vertices and faces expected")


def _check_part(part: trimesh.Trimesh, path: Path) -> None:
    low, high = int(part.faces.min()), int(part.faces.max())
    if low < 0 or high >= len(part.vertices):
        wrong = low if low < 0 else high
        raise InputError(f"{path}: a face names vertex {wrong}, but there are {len(part.vertices)}")
    lost = int((~np.isfinite(part.vertices[part.faces]).all(axis=(1, 2))).sum())
    if lost:
        raise InputError(f"{path}: {lost} of {len(part.faces)} faces have a vertex that is not finite")
