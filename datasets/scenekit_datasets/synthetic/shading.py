"""Shading: colors along rays, and the anti-aliased image.

Letters: P rays, R rows of them. Coordinates and colors first ([3 P]), single precision, linear light unless noted.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from scenekit_datasets.synthetic import textures
from scenekit_datasets.synthetic.render import Renderer, Surface, dot, pixel_rays, unit
from scenekit_datasets.synthetic.stage import Light
from scenekit_datasets.synthetic.textures import linear

Rays = Float[np.ndarray, "3 P"]

SUBPIXELS = ((-0.34, -0.12), (0.27, -0.27), (0.07, 0.39))
"""Sample offsets for edge pixels, in pixels."""

BLOCK = 16384
"""Rays shaded at a time, so that the data stay in the processor's cache."""

EXPONENT = 48
"""Blinn-Phong exponent of highlights."""


class Shader:
    """Computes colors along rays of one scene.

    Args:
        renderer: The scene.
        pixel: Angle that a pixel covers: 1 / focal length in pixels.
    """

    def __init__(self, renderer: Renderer, pixel: float) -> None:
        self.renderer, self.stage, self.pixel = renderer, renderer.stage, np.float32(pixel)
        paints = renderer.paints
        self.base = np.concatenate([linear(paint.rgb) for paint in paints], axis=1)
        self.shine = np.array([paint.shine for paint in paints], dtype=np.float32)
        self.glow = np.array([paint.glow for paint in paints], dtype=np.float32)
        self.patterned = [(i, paint) for i, paint in enumerate(paints) if paint.pattern]

    def colors(self, rays: Rays, surface: Surface) -> Rays:
        """Compute linear light along rays.

        Args:
            rays: The rays.
            surface: The surfaces that they hit.

        Returns:
            Colors.
        """
        blocks = [slice(start, start + BLOCK) for start in range(0, rays.shape[1], BLOCK)]
        return np.concatenate([self._block(rays[:, block], surface.part(block)) for block in blocks], axis=1)

    def _block(self, rays: Rays, s: Surface) -> Rays:
        base = self._albedo(rays, s)
        solid = s.owner >= 0
        if solid.all():
            return self._lit(rays, s, base)
        rows = np.flatnonzero(solid)
        part = Surface(s.owner[rows], s.paint[rows], s.depth[rows], s.point[:, rows], s.normal[:, rows])
        base[:, rows] = self._lit(rays[:, rows], part, base[:, rows])
        return base

    def _albedo(self, rays: Rays, s: Surface) -> Rays:
        """Compute the color before lighting; the sky's is final."""
        out = self.base[:, s.paint]
        self._add_patterns(out, s)
        ground = self.renderer.ground
        for owner, texture in ((ground, textures.ground), (ground + 1, textures.wall)):
            rows = np.flatnonzero(s.owner == owner)
            if len(rows):
                slope = np.abs(dot(s.normal[:, rows], rays[:, rows])) + np.float32(0.03)
                footprint = s.depth[rows] * self.pixel / np.sqrt(np.minimum(slope, 1))
                out[:, rows] = texture(self.stage, self.renderer.world(s.point[:, rows]), footprint)
        rows = np.flatnonzero(s.owner < 0)
        if len(rows):
            out[:, rows] = textures.sky(self.stage, self.renderer.rotation.T @ unit(rays[:, rows]))
        return out

    def _add_patterns(self, out: Rays, s: Surface) -> None:
        """Blend in the second color where the paint has a pattern."""
        owners = self.renderer.paint_owner
        present = np.bincount(s.paint, minlength=len(self.shine))
        for index, paint in self.patterned:
            if not present[index]:
                continue
            placed = self.renderer.objects[owners[index]]
            rows = np.flatnonzero(s.paint == index)
            world = self.renderer.world(s.point[:, rows]) - placed.place.astype(np.float32)[:, None]
            local = placed.turn.T.astype(np.float32) @ world
            weight = textures.pattern(paint.pattern, local, paint.cell, s.depth[rows] * self.pixel)
            out[:, rows] += (linear(paint.second) - out[:, rows]) * weight.astype(np.float32)

    def _lit(self, rays: Rays, s: Surface, base: Rays) -> Rays:
        """Add ambient light from above and below, every lamp's diffuse and specular part, glow and haze."""
        above, below = (np.asarray(c, dtype=np.float32)[:, None] for c in self.stage.ambient)
        up = self.renderer.rotation[:, 2] @ s.normal
        light = below + (above - below) * (np.float32(0.5) + np.float32(0.5) * up)
        light += np.float32(1.2) * self.glow[s.paint]
        spark = np.zeros_like(light)
        shine, to_eye = self.shine[s.paint], -unit(rays)
        for lamp in self.stage.lights:
            self._add_lamp(lamp, s, to_eye, shine, light, spark)
        lit = base * light + spark
        if self.stage.walls is None:
            haze = 1 - np.exp(s.depth * np.float32(-1 / 90))
            lit += (linear(self.stage.horizon) - lit) * haze
        return np.asarray(lit)

    def _toward(self, lamp: Light, point: Rays) -> tuple[Rays, Float[np.ndarray, " P"]]:
        """Return the vector from each point to a lamp, and its strength: power / (1.5 + distance^2) for near lamps."""
        place = np.asarray(lamp.place, dtype=np.float32)
        if lamp.far:
            aim = (self.renderer.rotation @ place / np.linalg.norm(place))[:, None]
            return np.broadcast_to(aim * np.float32(100), point.shape), np.ones(point.shape[1], np.float32)
        ray = (self.renderer.rotation @ (place - self.renderer.position))[:, None] - point
        return ray, 1 / (np.float32(1.5) + dot(ray, ray))

    def _add_lamp(
        self, lamp: Light, s: Surface, to_eye: Rays, shine: Float[np.ndarray, " P"], light: Rays, spark: Rays
    ) -> None:
        """Add one lamp where it reaches: Lambert's cosine law, and Blinn-Phong highlights on shiny paint."""
        ray, strength = self._toward(lamp, s.point)
        facing = dot(s.normal, ray)
        strength = strength * np.maximum(facing, 0) / np.sqrt(dot(ray, ray))
        if lamp.shadows:
            rows = np.flatnonzero(strength > 2e-3)
            strength[rows[self._shadowed(s, rows, ray)]] = 0
        color = np.asarray(lamp.color, dtype=np.float32)[:, None]
        light += strength * color
        rows = np.flatnonzero(strength * shine > 0.02)
        half = unit(unit(ray[:, rows]) + to_eye[:, rows])
        lobe = np.clip(dot(s.normal[:, rows], half), 0, 1) ** np.float32(EXPONENT)
        spark[:, rows] += lobe * (strength[rows] * shine[rows]) * color

    def _shadowed(self, s: Surface, rows: Int[np.ndarray, " R"], ray: Rays) -> Bool[np.ndarray, " R"]:
        """Return which points are in shadow; rays start off the surface by more than the error of single precision."""
        point = s.point[:, rows]
        start = point + s.normal[:, rows] * (np.float32(2e-3) * (1 + point[2] * np.float32(0.3)))
        return self.renderer.tracer.blocked(start, ray[:, rows])


def edges(light: Float[np.ndarray, "3 H W"], surface: Surface) -> Int[np.ndarray, " E"]:
    """Find pixels that differ visibly from a neighbor across a change of part or of light.

    Args:
        light: Linear light of each pixel.
        surface: What the pixels show.

    Returns:
        Flat indices of pixels.
    """
    shape = light.shape[1:]
    part = np.where(surface.owner < 0, -1, surface.paint).reshape(shape)
    gray = np.sqrt(np.clip(light.sum(axis=0), 0, 3))
    is_edge: Bool[np.ndarray, "H W"] = np.zeros(shape, dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(gray, axis=axis))
        jump = (np.diff(part, axis=axis) != 0) & (step > 0.03) | (step > 0.24)
        one, two = (is_edge[:-1], is_edge[1:]) if axis == 0 else (is_edge[:, :-1], is_edge[:, 1:])
        one |= jump
        two |= jump
    return np.flatnonzero(is_edge)


def render_image(renderer: Renderer, size: tuple[int, int], surface: Surface) -> UInt8[np.ndarray, "H W 3"]:
    """Render the image: one sample per pixel, and on edges the mean of three.

    Args:
        renderer: The scene.
        size: (height, width) of the image in pixels.
        surface: What the pixels show.

    Returns:
        The image.
    """
    focal = renderer.stage.view.focal * size[1]
    shader = Shader(renderer, 1 / focal)
    light = shader.colors(pixel_rays(size, focal), surface)
    jagged = edges(light.reshape(3, *size), surface)
    rays = np.concatenate([pixel_rays(size, focal, jagged, shift) for shift in SUBPIXELS], axis=1)
    display = _display(light)
    if len(jagged):
        extra = _display(shader.colors(rays, renderer.surface(rays)))
        display[:, jagged] = extra.reshape(3, len(SUBPIXELS), -1).mean(axis=1)
    flat = (display * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return np.ascontiguousarray(flat.T).reshape(*size, 3)


def _display(light: Rays) -> Rays:
    """Convert radiance for display: compress highlights, then apply gamma."""
    soft = light * (1 + light * np.float32(0.16)) / (1 + light * np.float32(0.32))
    return np.asarray(np.clip(soft, 0, 1) ** np.float32(1 / textures.GAMMA))
