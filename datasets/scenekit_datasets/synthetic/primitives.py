"""Unit meshes of which every model is made, each created once with trimesh.

Letters: V vertices, F faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import trimesh
from jaxtyping import Float, Int

SECTIONS = 28
"""Sides of a round shape: enough for a smooth outline at 320 pixels."""

CREASE = math.cos(math.radians(42))
"""Cosine of the angle between faces above which their edge stays sharp when shaded."""


@dataclass(frozen=True, eq=False)
class Primitive:
    """A closed or open shell."""

    verts: Float[np.ndarray, "V 3"]
    """Vertices."""
    faces: Int[np.ndarray, "F 3"]
    """Vertex indices of each face."""
    normals: Float[np.ndarray, "F 3 3"]
    """Shading normals at the corners of each face."""


def _corner_normals(mesh: trimesh.Trimesh) -> Float[np.ndarray, "F 3 3"]:
    """Return the mean of the neighboring faces' normals, weighted by their angle, excluding those beyond a crease."""
    flat = np.asarray(mesh.face_normals)
    out = np.repeat(flat[:, None], 3, axis=1)
    around: dict[int, list[tuple[int, int]]] = {}
    for face, corners in enumerate(mesh.faces):
        for corner, vertex in enumerate(corners):
            around.setdefault(int(vertex), []).append((face, corner))
    for uses in around.values():
        faces = np.array([face for face, _ in uses])
        angles = np.array([mesh.face_angles[use] for use in uses])
        alike = flat[faces] @ flat[faces].T > CREASE
        mean = (alike * angles) @ flat[faces]
        for row, use in enumerate(uses):
            out[use] = mean[row] / np.linalg.norm(mean[row])
    return out


def _primitive(mesh: trimesh.Trimesh) -> Primitive:
    mesh.merge_vertices()
    mesh.update_faces(mesh.nondegenerate_faces())
    mesh.remove_unreferenced_vertices()
    return Primitive(np.array(mesh.vertices), np.array(mesh.faces, dtype=np.int64), _corner_normals(mesh))


@cache
def box() -> Primitive:
    """Create a cube of side 1 around the origin.

    Returns:
        The mesh.
    """
    return _primitive(trimesh.creation.box((1.0, 1.0, 1.0)))


@cache
def ball(detail: int = 3) -> Primitive:
    """Create a sphere of radius 1 around the origin.

    Args:
        detail: Number of subdivisions.

    Returns:
        The mesh.
    """
    return _primitive(trimesh.creation.icosphere(subdivisions=detail))


@cache
def lathe(profile: tuple[tuple[float, float], ...], sections: int = SECTIONS) -> Primitive:
    """Create a surface of revolution about the z axis.

    Args:
        profile: (radius, height) points, from the bottom outside up.
        sections: Sides of its outline.

    Returns:
        The mesh.
    """
    return _primitive(trimesh.creation.revolve(np.array(profile), sections=sections))


@cache
def frustum(top: float = 1.0, sections: int = SECTIONS) -> Primitive:
    """Create a closed frustum from z = 0 to z = 1 with radius 1 at the bottom.

    Args:
        top: Radius at the top; 1 gives a cylinder and 0 a cone.
        sections: Sides of its outline.

    Returns:
        The mesh.
    """
    profile = ((0.0, 0.0), (1.0, 0.0), (top, 1.0), (0.0, 1.0))
    return lathe(profile if top > 0 else profile[:3], sections)


@cache
def ring(thickness: float) -> Primitive:
    """Create a torus about z with radius 1 to the middle of the tube.

    Args:
        thickness: Radius of the tube.

    Returns:
        The mesh.
    """
    return _primitive(trimesh.creation.torus(1.0, thickness, major_sections=36, minor_sections=16))


@cache
def half_ring(thickness: float) -> Primitive:
    """Create the half of `ring` with x >= 0, open at its two ends: a handle.

    Args:
        thickness: Radius of the tube.

    Returns:
        The mesh.
    """
    turns, sides = 13, 10
    along = np.linspace(-math.pi / 2, math.pi / 2, turns)[:, None]
    about = np.linspace(0, 2 * math.pi, sides, endpoint=False)[None]
    radius = 1.0 + thickness * np.cos(about)
    height = np.broadcast_to(thickness * np.sin(about), (turns, sides))
    verts = np.stack([radius * np.cos(along), radius * np.sin(along), height], axis=-1).reshape(-1, 3)
    here = (np.arange(turns - 1)[:, None] * sides + np.arange(sides)).ravel()
    beside = (np.arange(turns - 1)[:, None] * sides + (np.arange(sides) + 1) % sides).ravel()
    first = np.stack([here, here + sides, beside], axis=1)
    second = np.stack([beside, here + sides, beside + sides], axis=1)
    return _primitive(trimesh.Trimesh(verts, np.concatenate([first, second]), process=False))


@cache
def wedge(front: float, back: float, side: float) -> Primitive:
    """Create a unit cube whose top face is drawn in: a car's cabin.

    Args:
        front: Part of the length at the front.
        back: Part of the length at the back.
        side: Part of the width.

    Returns:
        The mesh.
    """
    mesh = trimesh.creation.box((1.0, 1.0, 1.0))
    verts = np.array(mesh.vertices)
    top = verts[:, 2] > 0
    verts[top & (verts[:, 0] > 0), 0] -= front
    verts[top & (verts[:, 0] < 0), 0] += back
    verts[top, 1] *= 1.0 - side
    return _primitive(trimesh.Trimesh(verts, mesh.faces, process=False))
