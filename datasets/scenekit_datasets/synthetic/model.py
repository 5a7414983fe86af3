"""A model: painted parts in the template frame, and where other things may rest on it.

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
    """Colors are display values in 0..1; `name` is the vocabulary's word for `rgb`, None for skin, tyres and such."""

    rgb: RGB
    name: str | None = None
    pattern: int = 0
    second: RGB = (1.0, 1.0, 1.0)
    cell: float = 0.1
    shine: float = 0.05
    glow: float = 0.0


@dataclass(frozen=True)
class Part:
    """`primitive` scaled, turned and moved: template = linear @ unit + offset."""

    primitive: Primitive
    linear: Mat3
    offset: Vec3
    paint: Paint


@dataclass(frozen=True)
class Rest:
    """A level rectangle where things can stand: center (x, y), height z, half sides, and free height above it."""

    x: float
    y: float
    z: float
    half_x: float
    half_y: float
    clearance: float = 10.0


@dataclass(frozen=True, eq=False)
class Model:
    """One object before it is placed.

    `main` is the paint that the object is named by (a person's shirt), `second` a person's trousers. `joints`, `reach`
    (how deep each joint lies in the flesh at most, metres) and `seat` (what a sitting one sits on) only for persons.
    """

    category: str
    parts: tuple[Part, ...]
    main: Paint
    scale: float = 1.0
    second: Paint | None = None
    seat: Vec3 | None = None
    pose: str = "upright"
    joints: Float[np.ndarray, "K 3"] | None = None
    reach: Float[np.ndarray, " K"] | None = None
    top: Rest | None = None
    cavity: Rest | None = None
    shelter: Rest | None = None

    @cached_property
    def verts(self) -> Float[np.ndarray, "V 3"]:
        return np.concatenate([part.primitive.verts @ part.linear.T + part.offset for part in self.parts])

    @cached_property
    def faces(self) -> Int[np.ndarray, "F 3"]:
        starts = np.cumsum([0] + [len(part.primitive.verts) for part in self.parts[:-1]])
        return np.concatenate([part.primitive.faces + start for part, start in zip(self.parts, starts, strict=True)])

    @cached_property
    def normals(self) -> Float[np.ndarray, "F 3 3"]:
        """Unit shading normals at the corners of each face."""
        out = np.concatenate([part.primitive.normals @ np.linalg.inv(part.linear) for part in self.parts])
        return np.asarray(out / np.linalg.norm(out, axis=-1, keepdims=True))

    @cached_property
    def face_part(self) -> Int[np.ndarray, " F"]:
        return np.repeat(np.arange(len(self.parts)), [len(part.primitive.faces) for part in self.parts])

    @cached_property
    def extent(self) -> tuple[Vec3, Vec3]:
        """Lowest and highest corner in the template frame."""
        return self.verts.min(0), self.verts.max(0)

    @property
    def height(self) -> float:
        return float(self.extent[1][2])


@dataclass
class Builder:
    """Collects parts."""

    parts: list[Part] = field(default_factory=list)

    def add(
        self,
        primitive: Primitive,
        size: tuple[float, float, float],
        at: tuple[float, float, float] | Vec3,
        paint: Paint,
        turn: Mat3 | None = None,
    ) -> None:
        """A primitive scaled by `size` along its own axes, then turned, then moved to `at`."""
        linear = np.diag(size) if turn is None else turn @ np.diag(size)
        self.parts.append(Part(primitive, linear, np.asarray(at, dtype=float), paint))

    def rod(self, start: Vec3, end: Vec3, radius: float, paint: Paint, taper: float = 1.0, sections: int = 14) -> None:
        """A round bar from `start` to `end` whose far end has `taper` times the radius."""
        along = np.asarray(end, dtype=float) - start
        length = float(np.linalg.norm(along))
        self.add(frustum(taper, sections), (radius, radius, length), start, paint, rotation_between(along))

    def limb(self, start: Vec3, end: Vec3, radius: float, paint: Paint, taper: float = 1.0) -> None:
        """A rod with rounded ends."""
        self.rod(start, end, radius, paint, taper)
        self.add(ball(1), (radius, radius, radius), start, paint)
        tip = radius * taper
        self.add(ball(1), (tip, tip, tip), end, paint)


def vary(dice: Dice, rgb: RGB, amount: float = 0.05) -> RGB:
    """The color a little lighter or darker and a little off its hue, still well within its name."""
    light = 1.0 + dice.uniform(-1.5, 1.5) * amount
    red, green, blue = (min(max(c * light + dice.uniform(-0.5, 0.5) * amount, 0.02), 0.98) for c in rgb)
    return red, green, blue


def random_paint(dice: Dice, cell: float, patterned: float = 0.35, colors: tuple[str, ...] = tuple(COLORS)) -> Paint:
    """A named color, perhaps with a pattern of `cell` metres, matte or shiny."""
    name = dice.pick(colors)
    rgb = vary(dice, COLORS[name])
    pattern = dice.integer(1, len(PATTERNS) - 1) if dice.chance(patterned) else 0
    bright = sum(rgb) > 1.7
    second = (0.15, 0.15, 0.17) if bright and name in ("white", "yellow") else (0.95, 0.94, 0.90)
    if name == "black":
        second = (0.75, 0.74, 0.70)
    return Paint(rgb, name, pattern, second, cell, shine=0.55 if dice.chance(0.4) else 0.05)
