"""A model: painted parts in the template frame, and places where other objects may rest on it.

Letters: V vertices, F faces, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from scenekit_datasets.synthetic.geometry import Mat3, Vec3, rotation_between
from scenekit_datasets.synthetic.primitives import Primitive, ball, frustum
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.vocabulary import COLORS, PATTERNS

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Paint:
    """A paint; colors are display values in 0..1."""

    rgb: RGB
    """Main color."""
    name: str | None = None
    """Its name in the vocabulary, None for skin, tyres and the like."""
    pattern: int = 0
    """Index into PATTERNS."""
    second: RGB = (1.0, 1.0, 1.0)
    """Second color of the pattern."""
    cell: float = 0.1
    """Size of the pattern in metres."""
    shine: float = 0.05
    """Strength of highlights."""
    glow: float = 0.0
    """Strength of emitted light."""


@dataclass(frozen=True)
class Part:
    """A primitive, scaled, rotated and moved: template = linear @ unit + offset."""

    primitive: Primitive
    """The unit mesh."""
    linear: Mat3
    """Scale and rotation."""
    offset: Vec3
    """Translation in metres."""
    paint: Paint
    """Its paint."""


@dataclass(frozen=True)
class Rest:
    """A level rectangle where objects can stand."""

    x: float
    """Center along x in metres."""
    y: float
    """Center along y in metres."""
    z: float
    """Height in metres."""
    half_x: float
    """Half side along x in metres."""
    half_y: float
    """Half side along y in metres."""
    clearance: float = 10.0
    """Free height above it in metres."""


@dataclass(frozen=True, eq=False)
class Model:
    """One object before it is placed."""

    category: str
    """Its category."""
    parts: tuple[Part, ...]
    """Its parts."""
    main: Paint
    """Paint that names its color (of a person, the shirt)."""
    scale: float = 1.0
    """Size relative to the category's usual one."""
    second: Paint | None = None
    """A second paint (of a person, the trousers)."""
    seat: Vec3 | None = None
    """Seat of a sitting person."""
    pose: str = "upright"
    """Its pose."""
    joints: Float[np.ndarray, "K 3"] | None = None
    """Joints of a person."""
    reach: Float[np.ndarray, " K"] | None = None
    """Largest depth of each joint in the body, in metres."""
    top: Rest | None = None
    """Where objects can stand on it."""
    cavity: Rest | None = None
    """Where objects can stand in it."""
    shelter: Rest | None = None
    """Where objects can stand under it."""

    @cached_property
    def verts(self) -> Float[np.ndarray, "V 3"]:
        """Vertices in the template frame."""
        return np.concatenate([part.primitive.verts @ part.linear.T + part.offset for part in self.parts])

    @cached_property
    def faces(self) -> Int[np.ndarray, "F 3"]:
        """Vertex indices of each face."""
        starts = np.cumsum([0] + [len(part.primitive.verts) for part in self.parts[:-1]])
        return np.concatenate([part.primitive.faces + start for part, start in zip(self.parts, starts, strict=True)])

    @cached_property
    def normals(self) -> Float[np.ndarray, "F 3 3"]:
        """Unit shading normals at the corners of each face."""
        out = np.concatenate([part.primitive.normals @ np.linalg.inv(part.linear) for part in self.parts])
        return np.asarray(out / np.linalg.norm(out, axis=-1, keepdims=True))

    @cached_property
    def face_part(self) -> Int[np.ndarray, " F"]:
        """Part of each face."""
        return np.repeat(np.arange(len(self.parts)), [len(part.primitive.faces) for part in self.parts])

    @cached_property
    def extent(self) -> tuple[Vec3, Vec3]:
        """Lowest and highest corner in the template frame."""
        return self.verts.min(0), self.verts.max(0)

    @property
    def height(self) -> float:
        """Height in metres."""
        return float(self.extent[1][2])


@dataclass
class Builder:
    """Collects the parts of a model."""

    parts: list[Part] = field(default_factory=list)
    """The parts so far."""

    def add(
        self,
        primitive: Primitive,
        size: tuple[float, float, float],
        at: tuple[float, float, float] | Vec3,
        paint: Paint,
        turn: Mat3 | None = None,
    ) -> None:
        """Add a primitive, scaled along its own axes, then rotated, then moved.

        Args:
            primitive: The primitive.
            size: Scale along each axis.
            at: Translation.
            paint: Its paint.
            turn: Rotation.
        """
        linear = np.diag(size) if turn is None else turn @ np.diag(size)
        self.parts.append(Part(primitive, linear, np.asarray(at, dtype=float), paint))

    def rod(self, start: Vec3, end: Vec3, radius: float, paint: Paint, taper: float = 1.0, sections: int = 14) -> None:
        """Add a round bar.

        Args:
            start: One end.
            end: The other end.
            radius: Radius at `start`.
            paint: Its paint.
            taper: Radius at `end` relative to that at `start`.
            sections: Sides of its outline.
        """
        along = np.asarray(end, dtype=float) - start
        length = float(np.linalg.norm(along))
        self.add(frustum(taper, sections), (radius, radius, length), start, paint, rotation_between(along))

    def limb(self, start: Vec3, end: Vec3, radius: float, paint: Paint, taper: float = 1.0) -> None:
        """Add a rod with rounded ends.

        Args:
            start: One end.
            end: The other end.
            radius: Radius at `start`.
            paint: Its paint.
            taper: Radius at `end` relative to that at `start`.
        """
        self.rod(start, end, radius, paint, taper)
        self.add(ball(1), (radius, radius, radius), start, paint)
        tip = radius * taper
        self.add(ball(1), (tip, tip, tip), end, paint)


def vary(dice: Dice, rgb: RGB, amount: float = 0.05) -> RGB:
    """Change brightness and hue of a color a little, within its name.

    Args:
        dice: Source of random choices.
        rgb: The color.
        amount: Strength of the variation.

    Returns:
        A similar color.
    """
    light = 1.0 + dice.uniform(-1.5, 1.5) * amount
    red, green, blue = (min(max(c * light + dice.uniform(-0.5, 0.5) * amount, 0.02), 0.98) for c in rgb)
    return red, green, blue


def random_paint(dice: Dice, cell: float, patterned: float = 0.35, colors: tuple[str, ...] = tuple(COLORS)) -> Paint:
    """Draw a paint: a named color, perhaps with a pattern, matte or shiny.

    Args:
        dice: Source of random choices.
        cell: Size of the pattern in metres.
        patterned: Probability of a pattern.
        colors: Names to choose from.

    Returns:
        The paint.
    """
    name = dice.pick(colors)
    rgb = vary(dice, COLORS[name])
    pattern = dice.integer(1, len(PATTERNS) - 1) if dice.chance(patterned) else 0
    bright = sum(rgb) > 1.7
    second = (0.15, 0.15, 0.17) if bright and name in ("white", "yellow") else (0.95, 0.94, 0.90)
    if name == "black":
        second = (0.75, 0.74, 0.70)
    return Paint(rgb, name, pattern, second, cell, shine=0.55 if dice.chance(0.4) else 0.05)
