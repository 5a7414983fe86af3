"""Meshes from files: OBJ, GLB, PLY and what else trimesh knows.

Coordinates stay as the file has them: models come in frames and units of their own. What `save_mesh` of
`scenekit.visualization.export.mesh_scene` wrote has the axes that are told there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from scenekit.errors import InputError, one_line
from scenekit.structures.meshes import Meshes

READABLE = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")

OPTIONS: dict[str, dict[str, Any]] = {".obj": {"split_objects": True, "group_material": False, "skip_materials": True}}
"""What trimesh is told for files of a kind: here to keep apart what is an object, and to leave images unread."""


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
        raise InputError(f"{path} cannot be read as {kind}: {one_line(error)}") from None
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
