"""Reading meshes from files: OBJ, GLB, PLY and the other formats of trimesh.

Coordinates stay as in the file: models have frames and units of their own. `scenekit.visualization.export.mesh_scene`
documents the axes of files that `save_mesh` wrote.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from scenekit.errors import InputError, one_line
from scenekit.io.obj_text import plain_obj
from scenekit.structures.meshes import Meshes

READABLE = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")

OPTIONS: dict[str, dict[str, Any]] = {".obj": {"split_objects": True, "group_material": False, "skip_materials": True}}
"""Options of trimesh for a file format: keep objects apart, and do not read images."""


def load_meshes(path: str | Path) -> Meshes:
    """Load the meshes of a file, one per object; coinciding vertices are merged.

    Polygons become triangles, and transforms of a glTF file are applied. Faces of an OBJ file may count back from the
    latest vertex (-1); lines of vertices and faces that cannot be used are errors, so that none is lost.

    Args:
        path: The file.

    Returns:
        The meshes, in coordinates of the file.

    Raises:
        InputError: If the file is missing, empty or damaged, or has no faces, faces with vertices that do not exist, or
            vertices that are not finite; the message names the file.
    """
    return Meshes.from_trimesh([_joined([part]) for part in _parts(Path(path))])


def load_mesh(path: str | Path) -> Meshes:
    """Load all objects of a file as one mesh; otherwise as `load_meshes`.

    Args:
        path: The file.

    Returns:
        One mesh, in coordinates of the file.

    Raises:
        InputError: As for `load_meshes`.
    """
    return Meshes.from_trimesh([_joined(_parts(Path(path)))])


def _parts(path: Path) -> list[trimesh.Trimesh]:
    """Return the objects with faces in the order of the file, which trimesh reverses."""
    _check_file(path)
    kind, options = path.suffix[1:].lower(), OPTIONS.get(path.suffix.lower(), {})
    try:
        loaded = trimesh.load_scene(_source(path), file_type=kind, process=False, **options)
        parts = [part for part in reversed(loaded.dump()) if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except InputError:
        raise
    except Exception as error:  # the readers of trimesh raise errors of many types
        if isinstance(error, IndexError) and kind == "obj":
            raise InputError(f"{path}: its faces refer to vertices that do not exist ({error})") from None
        raise InputError(f"{path} cannot be read as {kind.upper()}: {one_line(error)}") from None
    if not parts:
        raise InputError(f"{path} has no faces; expected a mesh of triangles or polygons")
    for part in parts:
        _check_part(part, path)
    return parts


def _source(path: Path) -> Any:
    """Return what trimesh loads: the file, or the plain text of an OBJ that it would read in another way."""
    text = plain_obj(path) if path.suffix.lower() == ".obj" else None
    return path if text is None else io.StringIO(text)


def _joined(parts: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh:
    """Merge objects to one mesh, with one vertex at a position whatever normals and textures its faces have there."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    whole = trimesh.Trimesh(np.concatenate([part.vertices for part in parts]), faces, process=False)
    whole.merge_vertices()
    return whole


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in READABLE:
        raise InputError(f"{path} is not a mesh file; expected one of {', '.join(READABLE)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected a mesh with vertices and faces")


def _check_part(part: trimesh.Trimesh, path: Path) -> None:
    if part.vertices.shape[1] != 3:
        raise InputError(f"{path}: its vertices have {part.vertices.shape[1]} coordinates; expected x y z")
    low, high = int(part.faces.min()), int(part.faces.max())
    if low < 0 or high >= len(part.vertices):
        wrong = low if low < 0 else high
        raise InputError(f"{path}: a face refers to vertex {wrong}, but there are {len(part.vertices)}")
    bad = int((~np.isfinite(part.vertices[part.faces]).all(axis=(1, 2))).sum())
    if bad:
        raise InputError(f"{path}: {bad} of {len(part.faces)} faces have a vertex that is not finite")
