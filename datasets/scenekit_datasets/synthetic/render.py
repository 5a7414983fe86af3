"""From placed objects to what rays from the camera meet.

Letters: P rays, T triangles, N objects, V vertices, F faces of one solid.
Owners of triangles: 0..N-1 objects, N ground, N+1 walls and ceiling; a ray that meets nothing sees the sky.
Points, normals and rays are in the camera frame, in single precision, and coordinates first ([3 P]), which NumPy
works on several times faster than on rows of three.
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
"""Half the side of the outdoor ground, metres: its edge is within a pixel of the horizon."""


@dataclass(frozen=True)
class Solid:
    """Triangles of one object or surface: vertices, faces and corner normals in the camera frame, paint per face."""

    verts: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    normals: Float[np.ndarray, "F 3 3"]
    face_paint: Int[np.ndarray, " F"]
    paints: tuple[Paint, ...]


def object_solid(stage: Stage, placed: Placed) -> Solid:
    """The object's triangles as the camera sees them."""
    view, model = stage.view, placed.model
    verts = (placed.verts - view.position) @ view.rotation.T
    normals = model.normals @ (view.rotation @ placed.turn).T
    return Solid(verts, model.faces, normals, model.face_part, tuple(part.paint for part in model.parts))


def _quads(stage: Stage, corners: list[list[tuple[float, float, float]]]) -> Solid:
    """World quads as a solid."""
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
    """The floor of the room, or open ground to the horizon."""
    left, right, back = stage.walls[:3] if stage.walls else (-FAR, FAR, FAR)
    front = -3.0 if stage.walls else -5.0
    return _quads(stage, [[(left, front, 0.0), (right, front, 0.0), (right, back, 0.0), (left, back, 0.0)]])


def wall_solid(stage: Stage) -> Solid:
    """Four walls and a ceiling."""
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
    """What P rays see, before light. `paint` indexes the renderer's table; sky rows hold zeros."""

    owner: Int[np.ndarray, " P"]
    paint: Int[np.ndarray, " P"]
    depth: Float[np.ndarray, " P"]
    point: Float[np.ndarray, "3 P"]
    normal: Float[np.ndarray, "3 P"]

    def part(self, rows: slice) -> Surface:
        """The same of some rays."""
        return Surface(self.owner[rows], self.paint[rows], self.depth[rows], self.point[:, rows], self.normal[:, rows])


class Renderer:
    """One scene, ready to be looked at along any rays from the camera."""

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
        """First surfaces along rays from the camera; rays have z = 1, so distance is depth."""
        hits = self.tracer.first(np.zeros_like(rays), rays)
        seen = hits.triangle >= 0
        tri = np.where(seen, hits.triangle, 0)
        depth = np.where(seen, hits.distance, np.float32(0))
        normal = self._normal(hits, tri)
        normal *= np.where(dot(normal, rays) > 0, np.float32(-1), np.float32(1))
        owner = np.where(seen, self.owners[tri], -1)
        return Surface(owner, self.face_paint[tri], depth, rays * depth, normal)

    def _normal(self, hits: Hits, tri: Int[np.ndarray, " P"]) -> Float[np.ndarray, "3 P"]:
        """The corner normals blended at the hit; ground and walls are flat, so one corner will do there."""
        normal = self.flat[:, tri]
        rows = np.flatnonzero(tri < self.curved)
        corners = self.normals[tri[rows]]
        u, v = hits.u[rows, None], hits.v[rows, None]
        blend = corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v
        normal[:, rows] = unit(blend.T)
        return normal

    def world(self, points: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "3 P"]:
        """Camera to world."""
        out: Float[np.ndarray, "3 P"] = self.rotation.T @ points + self.position[:, None]
        return out


def dot(one: Float[np.ndarray, "3 P"], two: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, " P"]:
    """Inner products, written out because NumPy is slow at summing three rows."""
    out: Float[np.ndarray, " P"] = one[0] * two[0] + one[1] * two[1] + one[2] * two[2]
    return out


def unit(vectors: Float[np.ndarray, "3 P"]) -> Float[np.ndarray, "3 P"]:
    """The same directions with length 1; zero stays zero."""
    out: Float[np.ndarray, "3 P"] = vectors / (np.sqrt(dot(vectors, vectors)) + np.float32(1e-20))
    return out


def pixel_rays(
    size: tuple[int, int],
    focal: float,
    rows: Int[np.ndarray, " P"] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Float[np.ndarray, "3 P"]:
    """Rays (z = 1) through pixel centers, all in raster order or the given flat indices, moved by `shift` pixels."""
    height, width = size
    flat = np.arange(height * width) if rows is None else rows
    x = (flat % width + 0.5 + shift[0] - width / 2) / focal
    y = (flat // width + 0.5 + shift[1] - height / 2) / focal
    return np.stack([x, y, np.ones_like(x)]).astype(np.float32)
