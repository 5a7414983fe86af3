"""Procedural surfaces: colors as functions of a place, with contrast that fades where a pixel covers many cells.

Letters: P points. All colors here are linear light; points and colors are coordinates first ([3 P]).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from scenekit_datasets.synthetic.model import RGB
from scenekit_datasets.synthetic.stage import Patch, Stage
from scenekit_datasets.synthetic.vocabulary import PATTERNS

Values = Float[np.ndarray, " P"]
Weights = Shaped[np.ndarray, " P"]
Colors = Float[np.ndarray, "3 P"]
Color = Float[np.ndarray, "3 1"]
Either = Float[np.ndarray, "3 _"]

GAMMA = 2.2
STRIPED, CHECKERED = PATTERNS.index("striped"), PATTERNS.index("checkered")


def linear(rgb: RGB) -> Color:
    """Convert a display color to linear light.

    Args:
        rgb: The color.

    Returns:
        Linear light.
    """
    out: Color = np.asarray(rgb, dtype=np.float32)[:, None] ** np.float32(GAMMA)
    return out


def hashed(x: Int[np.ndarray, " P"], y: Int[np.ndarray, " P"], salt: int) -> Values:
    """Return a fixed pseudo-random number in [0, 1) per lattice point (integer mixing of MurmurHash3's finalizer).

    Args:
        x: First coordinates.
        y: Second coordinates.
        salt: Seed.

    Returns:
        The numbers.
    """
    h = x.astype(np.uint32) * np.uint32(0x8DA6B343) + y.astype(np.uint32) * np.uint32(0xD8163841)
    h += np.uint32(salt & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return np.asarray((h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))


def noise(x: Values, y: Values, salt: int) -> Values:
    """Compute value noise in [0, 1): random at integers, smooth between.

    Args:
        x: First coordinates.
        y: Second coordinates.
        salt: Seed.

    Returns:
        The noise.
    """
    column, row = np.floor(x), np.floor(y)
    fx, fy = x - column, y - row
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    i, j = column.astype(np.int32), row.astype(np.int32)
    near = hashed(i, j, salt) * (1 - fx) + hashed(i + 1, j, salt) * fx
    far = hashed(i, j + 1, salt) * (1 - fx) + hashed(i + 1, j + 1, salt) * fx
    return np.asarray(near * (1 - fy) + far * fy)


def _fade(footprint: Values, cell: float | Values) -> Values:
    """Return 1 where a pixel is small relative to a cell, 0 where it covers one."""
    return np.asarray(np.clip(1.4 - 1.6 * footprint / cell, 0.0, 1.0))


def pattern(kind: int, local: Float[np.ndarray, "3 P"], cell: float, footprint: Values) -> Values:
    """Compute the weight of a pattern's second color.

    Args:
        kind: Index into PATTERNS.
        local: Points in the object's own frame, in metres.
        cell: Size of the pattern in metres.
        footprint: Metres per pixel.

    Returns:
        Weights from 0 to 1.
    """
    grid = local / np.float32(cell) + np.float32(0.137)
    whole = np.floor(grid).astype(np.int32)
    fade = _fade(footprint, cell)
    if kind == STRIPED:
        return _blurred(whole[2] & 1, 0.5, fade)
    if kind == CHECKERED:
        return _blurred(whole.sum(axis=0) & 1, 0.5, fade)
    center = grid - whole - np.float32(0.5)
    return _blurred((center**2).sum(axis=0) < 0.16, 0.27, fade)


def _blurred(sharp: Weights, mean: float, fade: Values) -> Values:
    """Return the pattern where it can be resolved, its mean elsewhere."""
    return np.asarray(sharp * fade + mean * (1 - fade))


def _mix(one: Either, two: Either, weight: Weights) -> Colors:
    out: Colors = one + (two - one) * np.asarray(weight, dtype=np.float32)
    return out


def _floor(stage: Stage, x: Values, y: Values, footprint: Values) -> Colors:
    one, two = linear(stage.ground_color), linear(stage.ground_other)
    salt, cell = stage.salt, stage.cell
    if stage.finish == "planks":
        row = np.floor(x / cell).astype(np.int32)
        plank = np.floor(y / 1.6 + hashed(row, row, salt)).astype(np.int32)
        tone = hashed(row, plank, salt + 1)
        seam = np.abs(x / cell - row - 0.5) > 0.5 - 0.03
        grain = noise(x * 40, y * 3, salt + 2) * 0.25
        fade = _fade(footprint, cell)
        return np.asarray(_mix(one, two, _blurred(tone * 0.8 + grain, 0.5, fade)) * (1 - 0.35 * seam * fade))
    if stage.finish == "tiles":
        i, j = np.floor(x / cell).astype(np.int32), np.floor(y / cell).astype(np.int32)
        fade = _fade(footprint, cell)
        return _mix(one, two, _blurred((i + j) & 1, 0.5, fade))
    if stage.finish == "carpet":
        fade = _fade(footprint, 0.03)
        return _mix(one, two, _blurred(noise(x * 45, y * 45, salt) * 0.9, 0.45, fade))
    return _mix(one, two, 0.35 * noise(x * 1.5, y * 1.5, salt))


def _grass(stage: Stage, x: Values, y: Values, footprint: Values) -> Colors:
    one, two = linear(stage.ground_color), linear(stage.ground_other)
    fine = _fade(footprint, 0.05)
    blades = _blurred(noise(x * 28, y * 28, stage.salt), 0.5, fine)
    clumps = noise(x * 1.7, y * 1.7, stage.salt + 1)
    return _mix(one, two, 0.9 * blades + 0.7 * clumps - 0.4) * (0.9 + 0.2 * noise(x * 0.3, y * 0.3, 5))


def _grit(one: Either, x: Values, y: Values, footprint: Values, salt: int) -> Colors:
    fine = _fade(footprint, 0.03)
    grain = _blurred(noise(x * 50, y * 50, salt), 0.5, fine)
    waves = noise(x * 0.9, y * 2.1, salt + 1)
    out: Colors = one * (0.82 + 0.22 * grain + 0.16 * waves)
    return out


def _within(patch: Patch, x: Values, y: Values) -> tuple[Values, Values]:
    """Return the coordinates across and along the patch, in half widths."""
    cos, sin = math.cos(patch.angle), math.sin(patch.angle)
    across, along = (x - patch.x) * cos + (y - patch.y) * sin, (y - patch.y) * cos - (x - patch.x) * sin
    return across / patch.half_wide, along / patch.half_long


def in_patch(patch: Patch, x: Values, y: Values) -> Bool[np.ndarray, " P"]:
    """Return which points of the ground belong to the patch.

    Args:
        patch: The patch.
        x: First coordinates in metres.
        y: Second coordinates in metres.

    Returns:
        True inside.
    """
    across, along = _within(patch, x, y)
    if patch.kind == "road":
        return np.asarray(np.abs(across) < 1)
    return np.asarray(across**2 + along**2 < 1)


def _patch_color(patch: Patch, x: Values, y: Values, footprint: Values, salt: int) -> Colors:
    across, along = _within(patch, x, y)
    base = linear(patch.color)
    if patch.kind == "road":
        dash = (np.abs(across) < 0.04) & ((along % 2.4) < 1.3)
        edge = np.abs(np.abs(across) - 0.9) < 0.025
        return _mix(_grit(base, x, y, footprint, salt), linear(patch.other), 0.85 * (dash | edge))
    radius = np.sqrt(across**2 + along**2)
    band = ((radius > 0.8) & (radius < 0.88)) | ((radius > 0.4) & (radius < 0.46))
    return _mix(base, linear(patch.other), band * 0.9) * (0.85 + 0.3 * noise(x * 45, y * 45, salt))


def ground(stage: Stage, points: Float[np.ndarray, "3 P"], footprint: Values) -> Colors:
    """Compute the color of the ground.

    Args:
        stage: The stage.
        points: Points in the world, in metres.
        footprint: Metres per pixel.

    Returns:
        Linear light.
    """
    x, y = points[0], points[1]
    if stage.ground == "floor":
        out = _floor(stage, x, y, footprint)
    elif stage.ground == "grass":
        out = _grass(stage, x, y, footprint)
    else:
        out = _grit(linear(stage.ground_color), x, y, footprint, stage.salt)
    if stage.patch is not None:
        chosen = in_patch(stage.patch, x, y)
        out[:, chosen] = _patch_color(stage.patch, x[chosen], y[chosen], footprint[chosen], stage.salt)
    return out


def wall(stage: Stage, points: Float[np.ndarray, "3 P"], footprint: Values) -> Colors:
    """Compute the color of walls and ceiling; the skirting board belongs to the wall.

    Args:
        stage: The stage.
        points: Points in the world, in metres.
        footprint: Metres per pixel.

    Returns:
        Linear light.
    """
    assert stage.walls is not None
    height = stage.walls[3]
    one, two = linear(stage.wall_color), linear(stage.wall_other)
    along, z = points[0] + points[1], points[2]
    if stage.wall_finish == "stripes":
        fade = _fade(footprint, 0.18)
        out = _mix(one, two, _blurred(np.floor(along / 0.18).astype(np.int32) & 1, 0.5, fade))
    elif stage.wall_finish == "panels":
        out = _mix(one, two * 0.8, np.clip((z < 0.95) * 1.0 - (np.abs(z - 0.95) < 0.03) * 1.5, 0, 1))
    else:
        out = np.repeat(one, len(z), axis=1)
    out[:, z > height - 0.005] = linear((0.89, 0.89, 0.88))
    out[:, z < 0.09] = linear((0.9, 0.89, 0.86))
    return out


def sky(stage: Stage, directions: Float[np.ndarray, "3 P"]) -> Colors:
    """Compute the color of the sky: a gradient from horizon to zenith with thin clouds.

    Args:
        stage: The stage.
        directions: Unit vectors in the world.

    Returns:
        Linear light.
    """
    up = np.clip(directions[2], 0.0, 1.0)
    base = _mix(linear(stage.horizon), linear(stage.zenith), np.sqrt(np.clip(up * 1.6, 0, 1)))
    across = directions[0] / (up + 0.12) * 1.3
    deep = 1.0 / (up + 0.12) * 1.3
    thick = 0.6 * noise(across, deep, stage.salt) + 0.4 * noise(across * 2.3, deep * 2.3, stage.salt + 7)
    cloud = np.clip((thick - 0.5) * 2.6, 0, 0.85) * np.clip(up * 8, 0, 1)
    return _mix(base, linear((0.97, 0.97, 0.98)), cloud)
