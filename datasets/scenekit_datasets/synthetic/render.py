"""Ray casting of placed objects from the camera.

Letters: P rays, T triangles, N objects, V vertices, F faces of one solid. Owners of triangles: 0..N-1 objects, N
ground, N+1 walls and ceiling; a ray without a hit shows the sky. Points, normals and rays are in the camera frame, in
single precision, and coordinates first ([3 P]), which is several times faster in NumPy than rows of three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.model import Paint
from scenekit_datasets.synthetic.stage import Stage
from scenekit_datasets.synthetic.tracer import Hits, Tracer

FAR = 600.0
"""Half the side of the outdoor ground in metres: its edge is within a pixel of the horizon."""


@dataclass(frozen=True)
class Solid:
    """Triangles of one object or surface, in the camera frame."""

    verts: Float[np.ndarray, "V 3"]
    """Vertices in metres."""
    faces: Int[np.ndarray, "F 3"]
    """Vertex indices of each face."""
    normals: Float[np.ndarray, "F 3 3"]
    """Normals at the corners of each face."""
    face_paint: Int[np.ndarray, " F"]
    """Paint of each face."""
    paints: tuple[Paint, ...]
    """The paints."""


def object_solid(stage: Stage, placed: Placed) -> Solid:
    """Transform an object to the camera frame.

    Args:
        stage: The stage.
        placed: The object.

    Returns:
        Its triangles.
    """
    view, model = stage.view, placed.model
    verts = (placed.verts - view.position) @ view.rotation.T
    normals = model.normals @ (view.rotation @ placed.turn).T
    return Solid(verts, model.faces, normals, model.face_part, tuple(part.paint for part in model.parts))


def _quads(stage: Stage, corners: list[list[tuple[float, float, float]]]) -> Solid:
    """Create a solid of quads in the world."""
    view = stage.view
    verts = (np.array(corners).reshape(-1, 3) - view.position) @ view.rotation.T
    faces = np.concatenate(
        [[[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]] for i in range(len(corners))]
    )
    edge = verts[faces]
    flat = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    normals = np.repeat(flat[:, None], 3, axis=1)
    return Solid(verts, faces, normals, np.zeros(len(faces), dtype=np.int64), (Paint((0.5, 0.5, 0.5), shine=0.0),))


def ground_solid(stage: Stage) -> Solid:
    """Create the floor of the room, or open ground to the horizon.

    Args:
        stage: The stage.

    Returns:
        Its triangles.
    """
    left, right, back = stage.walls[:3] if stage.walls else (-FAR, FAR, FAR)
    front = -3.0 if stage.walls else -5.0
    return _quads(stage, [[(left, front, 0.0), (right, front, 0.0), (right, back, 0.0), (left, back, 0.0)]])


def wall_solid(stage: Stage) -> Solid:
    """Create four walls and a ceiling.

    Args:
        stage: The stage, indoors.

    Returns:
        Their triangles.
    """
    assert stage.walls is not None
    left, right, back, top = stage.walls
    front = -3.0
    return _quads(
        stage,
        [
            [(left, back, 0.0), (right, back, 0.0), (right, back, top), (left, back, top)],
            [(left, front, 0.0), (left, back, 0.0), (left, back, top), (left, front, top)],
            [(right, back, 0.0), (right, front, 0.0), (right, front, top), (right, back, top)],
            [(left, front, top), (left, back, top), (right, back, top), (right, front, top)],
            [(right, front, 0.0), (left, front, 0.0), (left, front, top), (right, front, top)],
        ],
    )


@dataclass(frozen=True)
class Surface:
    """The surfaces that P rays hit, before shading; rays to the sky hold zeros."""

    owner: Int[np.ndarray, " P"]
    """Owner of the surface, -1 for the sky."""
    paint: Int[np.ndarray, " P"]
    """Index into the renderer's paints."""
    depth: Float[np.ndarray, " P"]
    """Metres along z."""
    point: Float[np.ndarray, "3 P"]
    """Point of the hit."""
    normal: Float[np.ndarray, "3 P"]
    """Unit normal towards the camera."""

    def part(self, rows: slice) -> Surface:
        """Select rays.

        Args:
            rows: The rays.

        Returns:
            Their surfaces.
        """
        return Surface(self.owner[rows], self.paint[rows], self.depth[rows], self.point[:, rows], self.normal[:, rows])


class Renderer:
    """One scene, prepared for ray casting from the camera.

    Args:
        stage: The stage.
        objects: The objects.
    """

    def __init__(self, stage: Stage, objects: list[Placed]) -> None:
        self.stage, self.objects = stage, objects
        self.rotation = stage.view.rotation.astype(np.float32)
        self.position = stage.view.position.astype(np.float32)
        self.solids = [object_solid(stage, placed) for placed in objects]
        self.ground = len(objects)
        everything = [*self.solids, ground_solid(stage)] + ([wall_solid(stage)] if stage.walls else [])
        starts = np.cumsum([0] + [len(s.verts) for s in everything[:-1]])
        self.faces = np.concatenate([s.faces + start for s, start in zip(everything, starts, strict=True)])
        self.owners = np.repeat(np.arange(len(everything)), [len(s.faces) for s in everything])
        first_paint = np.cumsum([0] + [len(s.paints) for s in everything[:-1]])
        self.face_paint = np.concatenate([s.face_paint + at for s, at in zip(everything, first_paint, strict=True)])
        self.normals = np.concatenate([s.normals for s in everything]).astype(np.float32)
        self.flat = np.ascontiguousarray(self.normals[:, 0].T)
        self.curved = sum(len(s.faces) for s in self.solids)
        self.paint_owner = np.repeat(np.arange(len(everything)), [len(s.paints) for s in everything])
        self.paints = [paint for s in everything for paint in s.paints]
        self.tracer = Tracer(np.concatenate([s.verts for s in everything]), self.faces)

    def surface(self, rays: Float[np.ndarray, "3 P"]) -> Surface:
        """Find the first surfaces on rays from the camera.

        Args:
            rays: Rays with z = 1, so that distance is depth.

        Returns:
            The surface on each ray.
        """
        hits = self.tracer.first(np.zeros_like(rays), rays)
        is_hit = hits.triangle >= 0
        tri = np.where(is_hit, hits.triangle, 0)
        depth = np.where(is_hit, hits.distance, np.float32(0))
        normal = self._normal(hits, tri)
        normal *= np.where(dot(normal, rays) > 0, np.float32(-1), np.float32(1))
        owner = np.where(is_hit, self.owners[tri], -1)
        return Surface(owner, self.face_paint[tri], depth, rays * depth, normal)

    def _normal(self, hits: Hits, tri: Int[np.ndarray, " P"]) -> Float[np.ndarray, "3 P"]:
        """Interpolate the corner normals at the hit; ground and walls are flat, so that one corner suffices."""
        normal = self.flat[:, tri]
        rows = np.flatnonzero(tri < self.curved)
        corners = self.normals[tri[rows]]
        u, v = hits.u[rows, None], hits.v[rows, None]
        blend = corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v
        normal[:, rows] = unit(blend.T)
        return normal

    def world(self, points: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "3 P"]:
        """Transform points from the camera frame to the world.

        Args:
            points: Points in the camera frame.

        Returns:
            Points in the world.
        """
        out: Float[np.ndarray, "3 P"] = self.rotation.T @ points + self.position[:, None]
        return out


def dot(one: Float[np.ndarray, "3 P"], two: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, " P"]:
    """Compute inner products, written out because NumPy is slow at summing three rows.

    Args:
        one: Vectors.
        two: Vectors.

    Returns:
        Products.
    """
    out: Float[np.ndarray, " P"] = one[0] * two[0] + one[1] * two[1] + one[2] * two[2]
    return out


def unit(vectors: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "3 P"]:
    """Normalize vectors; zero stays zero.

    Args:
        vectors: Vectors.

    Returns:
        Vectors of length 1.
    """
    out: Float[np.ndarray, "3 P"] = vectors / (np.sqrt(dot(vectors, vectors)) + np.float32(1e-20))
    return out


def pixel_rays(
    size: tuple[int, int],
    focal: float,
    rows: Int[np.ndarray, " P"] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Float[np.ndarray, "3 P"]:
    """Create rays (z = 1) through pixel centers.

    Args:
        size: (height, width) of the image in pixels.
        focal: Focal length in pixels.
        rows: Flat indices of the pixels; all in raster order, if None.
        shift: Offset in pixels.

    Returns:
        The rays.
    """
    height, width = size
    flat = np.arange(height * width) if rows is None else rows
    x = (flat % width + 0.5 + shift[0] - width / 2) / focal
    y = (flat // width + 0.5 + shift[1] - height / 2) / focal
    return np.stack([x, y, np.ones_like(x)]).astype(np.float32)
