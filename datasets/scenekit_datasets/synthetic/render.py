"""From placed objects to a picture: casts the rays, shades what they meet, smooths edges.

Letters: P rays, T triangles, N objects, Q paints.
Owners of triangles: 0..N-1 objects, N ground, N+1 walls and ceiling; a ray that meets nothing sees the sky.
All arrays are in the camera frame in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit_datasets.synthetic import textures
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.model import Paint
from scenekit_datasets.synthetic.stage import Light, Stage
from scenekit_datasets.synthetic.textures import linear
from scenekit_datasets.synthetic.tracer import Hits, Tracer

FAR = 600.0
"""Half the side of the outdoor ground, metres: its edge is within a pixel of the horizon."""

SUBPIXELS = ((-0.18, -0.33), (0.33, -0.18), (0.18, 0.33), (-0.33, 0.18))
"""Rotated-grid sample offsets for edge pixels."""


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
    faces = np.concatenate([[[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]] for i in range(len(corners))])
    edge = verts[faces]
    flat = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    normals = np.repeat(flat[:, None], 3, axis=1)
    return Solid(verts, faces, normals, np.zeros(len(faces), dtype=np.int64), (Paint((0.5, 0.5, 0.5), shine=0.0),))


def ground_solid(stage: Stage) -> Solid:
    """The floor of the room, or open ground to the horizon."""
    left, right, back = stage.walls[:3] if stage.walls else (-FAR, FAR, FAR)
    front = -3.0 if stage.walls else -5.0
    return _quads(stage, [[(left, front, 0), (right, front, 0), (right, back, 0), (left, back, 0)]])


def wall_solid(stage: Stage) -> Solid:
    """Four walls and a ceiling."""
    assert stage.walls is not None
    left, right, back, top = stage.walls
    front = -3.0
    return _quads(
        stage,
        [
            [(left, back, 0), (right, back, 0), (right, back, top), (left, back, top)],
            [(left, front, 0), (left, back, 0), (left, back, top), (left, front, top)],
            [(right, back, 0), (right, front, 0), (right, front, top), (right, back, top)],
            [(left, front, top), (left, back, top), (right, back, top), (right, front, top)],
            [(right, front, 0), (left, front, 0), (left, front, top), (right, front, top)],
        ],
    )


@dataclass(frozen=True)
class Surface:
    """What P rays see, before light. `paint` indexes the renderer's table; sky rows hold zeros."""

    owner: Int[np.ndarray, " P"]
    paint: Int[np.ndarray, " P"]
    depth: Float[np.ndarray, " P"]
    point: Float[np.ndarray, "P 3"]
    normal: Float[np.ndarray, "P 3"]


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
        self.paints = [paint for s in everything for paint in s.paints]
        self.tracer = Tracer(np.concatenate([s.verts for s in everything]), self.faces)

    def surface(self, directions: Float[np.ndarray, "P 3"]) -> Surface:
        """First surfaces along rays from the camera; directions have z = 1, so distance is depth."""
        hits = self.tracer.first(np.zeros_like(directions), directions)
        seen = hits.triangle >= 0
        tri = np.where(seen, hits.triangle, 0)
        depth = np.where(seen, hits.distance, 0).astype(np.float32)
        normal = self._normal(hits, tri)
        facing = np.einsum("pc,pc->p", normal, directions) > 0
        normal[facing] *= -1
        owner = np.where(seen, self.owners[tri], -1)
        return Surface(owner, self.face_paint[tri], depth, directions * depth[:, None], normal)

    def _normal(self, hits: Hits, tri: Int[np.ndarray, " P"]) -> Float[np.ndarray, "P 3"]:
        """Corner normals blended at the hit."""
        corners = self.normals[tri]
        u, v = hits.u[:, None], hits.v[:, None]
        normal = corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v
        normal /= np.sqrt(np.einsum("pc,pc->p", normal, normal))[:, None] + np.float32(1e-12)
        return np.asarray(normal, dtype=np.float32)

    def colors(self, directions: Float[np.ndarray, "P 3"], surface: Surface, pixel: float) -> Float[np.ndarray, "P 3"]:
        """Linear light along the rays; `pixel` is the angle a pixel covers, 1 / focal length in pixels."""
        base = self._albedo(directions, surface, pixel)
        return self._lit(directions, surface, base)

    def _albedo(self, directions: Float[np.ndarray, "P 3"], s: Surface, pixel: float) -> Float[np.ndarray, "P 3"]:
        table = np.array([linear(paint.rgb) for paint in self.paints], dtype=np.float32)
        out = table[s.paint]
        for index in range(len(self.objects)):
            self._add_patterns(out, s, index, pixel)
        slope = np.abs(np.einsum("pc,pc->p", s.normal, directions)) + np.float32(0.03)
        footprint = s.depth * np.float32(pixel) / np.sqrt(np.minimum(slope, 1))
        for owner, texture in ((self.ground, textures.ground), (self.ground + 1, textures.wall)):
            rows = np.flatnonzero(s.owner == owner)
            if len(rows):
                out[rows] = texture(self.stage, s.point[rows] @ self.rotation + self.position, footprint[rows])
        rows = np.flatnonzero(s.owner < 0)
        if len(rows):
            rays = directions[rows] / np.linalg.norm(directions[rows], axis=1, keepdims=True)
            out[rows] = textures.sky(self.stage, rays @ self.rotation)
        return out

    def _add_patterns(self, out: Float[np.ndarray, "P 3"], s: Surface, index: int, pixel: float) -> None:
        """Blend in the second color on the patterned parts of one object."""
        placed = self.objects[index]
        kinds = {(p.pattern, p.second, p.cell) for p in self.solids[index].paints if p.pattern}
        for kind, second, cell in kinds:
            patterned = np.array([(p.pattern, p.second, p.cell) == (kind, second, cell) for p in self.paints])
            rows = np.flatnonzero((s.owner == index) & patterned[s.paint])
            world = s.point[rows] @ self.rotation + self.position
            local = (world - placed.place.astype(np.float32)) @ placed.turn.astype(np.float32)
            weight = textures.pattern(kind, local, cell, s.depth[rows] * np.float32(pixel))
            out[rows] += (linear(second) - out[rows]) * weight[:, None].astype(np.float32)

    def _lit(
        self, directions: Float[np.ndarray, "P 3"], s: Surface, base: Float[np.ndarray, "P 3"]
    ) -> Float[np.ndarray, "P 3"]:
        """Ambient light from above and below, every lamp's diffuse and specular part, glow and haze."""
        rows = np.flatnonzero(s.owner >= 0)
        point, normal, color = s.point[rows], s.normal[rows], base[rows]
        shine = np.array([p.shine for p in self.paints], dtype=np.float32)[s.paint[rows]]
        glow = np.array([p.glow for p in self.paints], dtype=np.float32)[s.paint[rows]]
        to_eye = -directions[rows] / np.linalg.norm(directions[rows], axis=1, keepdims=True)
        up = normal @ self.rotation[:, 2]
        above, below = (np.asarray(c, dtype=np.float32) for c in self.stage.ambient)
        light = below + (above - below) * (0.5 + 0.5 * up)[:, None]
        spark = np.zeros((len(rows), 3), dtype=np.float32)
        for lamp in self.stage.lights:
            self._add_lamp(lamp, point, normal, to_eye, shine, light, spark)
        lit = color * (light + glow[:, None] * 1.2) + spark
        if self.stage.walls is None:
            haze = 1 - np.exp(s.depth[rows] * np.float32(-1 / 90))
            lit += (linear(self.stage.horizon) - lit) * haze[:, None]
        out = base.copy()
        out[rows] = lit
        return out

    def _add_lamp(
        self,
        lamp: Light,
        point: Float[np.ndarray, "P 3"],
        normal: Float[np.ndarray, "P 3"],
        to_eye: Float[np.ndarray, "P 3"],
        shine: Float[np.ndarray, " P"],
        light: Float[np.ndarray, "P 3"],
        spark: Float[np.ndarray, "P 3"],
    ) -> None:
        """Add one lamp's light where it reaches: Lambert, and Blinn-Phong with exponent 48."""
        place = np.asarray(lamp.place, dtype=np.float32)
        if lamp.far:
            aim = self.rotation @ place
            aim /= np.linalg.norm(aim)
            facing = normal @ aim
            rows = np.flatnonzero(facing > 0)
            toward = np.broadcast_to(aim, (len(rows), 3))
            reach, strength = toward * np.float32(100), facing[rows]
        else:
            ray = self.rotation @ (place - self.position) - point
            square = np.einsum("pc,pc->p", ray, ray)
            facing = np.einsum("pc,pc->p", normal, ray)
            rows = np.flatnonzero(facing > 0)
            length = np.sqrt(square[rows])
            toward, reach = ray[rows] / length[:, None], ray[rows]
            strength = facing[rows] / length / (1.5 + square[rows])
        if lamp.shadows:
            start = point[rows] + normal[rows] * np.float32(2e-3) * (1 + point[rows, 2:] * np.float32(0.3))
            free = ~self.tracer.blocked(start, reach)
            rows, toward, strength = rows[free], toward[free], strength[free]
        color = np.asarray(lamp.color, dtype=np.float32)
        light[rows] += strength[:, None] * color
        self._add_highlight(rows, toward, strength * shine[rows], normal, to_eye, color, spark)

    @staticmethod
    def _add_highlight(
        rows: Int[np.ndarray, " R"],
        toward: Float[np.ndarray, "R 3"],
        weight: Float[np.ndarray, " R"],
        normal: Float[np.ndarray, "P 3"],
        to_eye: Float[np.ndarray, "P 3"],
        color: Float[np.ndarray, "3"],
        spark: Float[np.ndarray, "P 3"],
    ) -> None:
        shiny = np.flatnonzero(weight > 0.02)
        rows = rows[shiny]
        half = toward[shiny] + to_eye[rows]
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        lobe = np.clip(np.einsum("pc,pc->p", normal[rows], half), 0, 1) ** np.float32(48)
        spark[rows] += (lobe * weight[shiny])[:, None] * color


def pixel_rays(
    size: tuple[int, int], focal: float, rows: Int[np.ndarray, " P"] | None = None, shift: tuple[float, float] = (0, 0)
) -> Float[np.ndarray, "P 3"]:
    """Directions (z = 1) through pixel centers, all in raster order or the given flat indices, moved by `shift` pixels."""
    height, width = size
    flat = np.arange(height * width) if rows is None else rows
    x = (flat % width + 0.5 + shift[0] - width / 2) / focal
    y = (flat // width + 0.5 + shift[1] - height / 2) / focal
    return np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float32)


def edges(image: Float[np.ndarray, "H W 3"], surface: Surface) -> Int[np.ndarray, " E"]:
    """Flat indices of pixels that differ visibly from a neighbor across a change of part or of light."""
    height, width = image.shape[:2]
    part = np.where(surface.owner < 0, -1, surface.paint).reshape(height, width)
    gray = np.sqrt(np.clip(image.sum(axis=2), 0, 3))
    found: Bool[np.ndarray, "H W"] = np.zeros((height, width), dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(gray, axis=axis))
        jump = (np.diff(part, axis=axis) != 0) & (step > 0.02) | (step > 0.22)
        one, two = (found[:-1], found[1:]) if axis == 0 else (found[:, :-1], found[:, 1:])
        one |= jump
        two |= jump
    return np.flatnonzero(found)


def picture(renderer: Renderer, size: tuple[int, int], surface: Surface) -> np.ndarray:
    """The finished picture, uint8 [H W 3]: one sample a pixel, four more on edges."""
    focal = renderer.stage.view.focal * size[1]
    light = renderer.colors(pixel_rays(size, focal), surface, 1 / focal)
    jagged = edges(light.reshape(*size, 3), surface)
    rays = np.concatenate([pixel_rays(size, focal, jagged, shift) for shift in SUBPIXELS])
    extra = renderer.colors(rays, renderer.surface(rays), 1 / focal)
    display = _display(light)
    display[jagged] = _display(extra).reshape(len(SUBPIXELS), -1, 3).mean(axis=0)
    return (display.reshape(*size, 3) * 255 + 0.5).astype(np.uint8)


def _display(light: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
    """Gentle highlight compression, then gamma."""
    soft = light * (1 + light * np.float32(0.16)) / (1 + light * np.float32(0.32))
    return np.clip(soft, 0, 1) ** np.float32(1 / textures.GAMMA)
