"""The categories other than persons, built from parts; each function draws proportions and paint at random."""

from __future__ import annotations

import math
from collections.abc import Callable

from scenekit_datasets.synthetic.geometry import rotation, vec
from scenekit_datasets.synthetic.model import Builder, Model, Paint, Rest, random_paint
from scenekit_datasets.synthetic.primitives import Primitive, ball, box, frustum, half_ring, lathe, ring, wedge
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.vocabulary import COLORS

TYRE = Paint((0.07, 0.07, 0.08))
GLASS = Paint((0.16, 0.22, 0.30), shine=0.8)
METAL = Paint((0.62, 0.63, 0.66), shine=0.6)


def make_ball(dice: Dice, scale: float) -> Model:
    """Build a ball.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    radius = 0.24 * scale
    parts = Builder()
    paint = random_paint(dice, radius * 0.5)
    parts.add(ball(), (radius,) * 3, (0.0, 0.0, radius), paint)
    return Model("ball", tuple(parts.parts), paint, scale)


def make_box(dice: Dice, scale: float) -> Model:
    """Build a box.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    x, y, z = (scale * dice.uniform(0.32, 0.62) for _ in range(3))
    parts = Builder()
    paint = random_paint(dice, min(x, y, z) * 0.27)
    parts.add(box(), (x, y, z), (0.0, 0.0, z / 2), paint)
    return Model("box", tuple(parts.parts), paint, scale, top=Rest(0.0, 0.0, z, x / 2, y / 2))


def make_crate(dice: Dice, scale: float) -> Model:
    """Build an open box.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    x, y, z = scale * dice.uniform(0.5, 0.75), scale * dice.uniform(0.5, 0.75), scale * dice.uniform(0.3, 0.5)
    wall = 0.03 * scale
    paint = random_paint(dice, z * 0.3, patterned=0.25)
    parts = Builder()
    parts.add(box(), (x, y, wall), (0.0, 0.0, wall / 2), paint)
    for side in (-1.0, 1.0):
        parts.add(box(), (x, wall, z - wall), (0.0, side * (y - wall) / 2, (z + wall) / 2), paint)
        parts.add(box(), (wall, y - 2 * wall, z - wall), (side * (x - wall) / 2, 0.0, (z + wall) / 2), paint)
    return Model("crate", tuple(parts.parts), paint, scale, cavity=Rest(0.0, 0.0, wall, x / 2 - wall, y / 2 - wall, z))


def make_cylinder(dice: Dice, scale: float) -> Model:
    """Build a cylinder.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    radius, height = scale * dice.uniform(0.14, 0.26), scale * dice.uniform(0.4, 0.85)
    parts = Builder()
    paint = random_paint(dice, radius * 0.6)
    parts.add(frustum(), (radius, radius, height), (0.0, 0.0, 0.0), paint)
    rest = Rest(0.0, 0.0, height, radius * 0.7, radius * 0.7)
    return Model("cylinder", tuple(parts.parts), paint, scale, top=rest)


def make_cone(dice: Dice, scale: float) -> Model:
    """Build a cone.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    radius, height = scale * dice.uniform(0.2, 0.34), scale * dice.uniform(0.5, 0.85)
    parts = Builder()
    paint = random_paint(dice, height * 0.16)
    parts.add(frustum(0.0), (radius, radius, height), (0.0, 0.0, 0.0), paint)
    return Model("cone", tuple(parts.parts), paint, scale)


def make_ring(dice: Dice, scale: float) -> Model:
    """Build a ring.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    radius = 0.3 * scale
    thickness = dice.pick((0.22, 0.3, 0.38))
    parts = Builder()
    paint = random_paint(dice, radius * 0.3)
    parts.add(ring(thickness), (radius,) * 3, (0.0, 0.0, radius * thickness), paint)
    return Model("ring", tuple(parts.parts), paint, scale)


def make_mug(dice: Dice, scale: float) -> Model:
    """Build an outsize mug, visible beside chairs and cars.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    radius, height = 0.17 * scale, scale * dice.uniform(0.34, 0.46)
    paint = random_paint(dice, radius * 0.5)
    bulge = dice.pick((0.85, 1.0, 1.12))
    wall, floor = 0.1, 0.06
    profile = (
        (0.0, 0.0),
        (bulge, 0.0),
        (1.0, 0.5),
        (1.0, 1.0),
        (1.0 - wall, 1.0),
        (1.0 - wall, 0.5),
        (bulge - wall, floor),
        (0.0, floor),
    )
    parts = Builder()
    parts.add(lathe(profile), (radius, radius, height), (0.0, 0.0, 0.0), paint)
    grip = height * 0.3
    upright = rotation(0, math.pi / 2)
    parts.add(half_ring(0.2), (grip * 0.8, grip, grip * 0.8), (radius * 0.96, 0.0, height * 0.52), paint, upright)
    room = radius * (min(1.0, bulge) - wall) * 0.7
    return Model("mug", tuple(parts.parts), paint, scale, cavity=Rest(0.0, 0.0, height * floor, room, room, height))


def make_chair(dice: Dice, scale: float) -> Model:
    """Build a chair.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    scale = 1.0 + (scale - 1.0) * 0.4
    width, seat, back = scale * dice.uniform(0.42, 0.5), scale * dice.uniform(0.42, 0.48), scale * 0.5
    cloth = random_paint(dice, 0.09)
    wood = cloth if dice.chance(0.5) else dice.pick((METAL, Paint((0.36, 0.23, 0.13)), Paint((0.12, 0.12, 0.13))))
    half, leg = width / 2, 0.022 * scale
    parts = Builder()
    parts.add(box(), (width, width, 0.05), (0.0, 0.0, seat - 0.025), cloth)
    for x in (-1.0, 1.0):
        for y in (-1.0, 1.0):
            foot = vec(x * (half - leg), y * (half - leg), 0.0)
            parts.rod(foot, foot + vec(0.0, 0.0, seat - 0.04), leg, wood, sections=10)
    _chair_back(dice, parts, half, seat, back, cloth, wood)
    return Model("chair", tuple(parts.parts), cloth, scale, top=Rest(0.02, 0.0, seat, half * 0.8, half * 0.8))


def _chair_back(dice: Dice, parts: Builder, half: float, seat: float, back: float, cloth: Paint, wood: Paint) -> None:
    """Add a panel or slats between two posts."""
    x = -half + 0.02
    for y in (-1.0, 1.0):
        post = vec(x, y * (half - 0.02), seat)
        parts.rod(post, post + vec(-0.04, 0.0, back), 0.02, wood, sections=10)
    if dice.chance(0.5):
        parts.add(box(), (0.035, 2 * half - 0.03, back * 0.55), (x - 0.03, 0.0, seat + back * 0.7), cloth)
        return
    for level in (0.45, 0.7, 0.95):
        parts.add(box(), (0.03, 2 * half - 0.02, back * 0.14), (x - 0.04 * level, 0.0, seat + back * level), cloth)


def make_table(dice: Dice, scale: float) -> Model:
    """Build a table.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    scale = 1.0 + (scale - 1.0) * 0.5
    height = scale * dice.uniform(0.55, 0.75)
    x, y = scale * dice.uniform(0.42, 0.55), scale * dice.uniform(0.5, 0.8)
    wood = ("brown", "white", "gray", "black", "orange", "green", "blue")
    paint = random_paint(dice, 0.12, patterned=0.2, colors=wood)
    legs = paint if dice.chance(0.6) else dice.pick((METAL, Paint((0.15, 0.14, 0.14))))
    parts = Builder()
    if dice.chance(0.3):
        return _round_table(parts, paint, legs, scale, height, y)
    parts.add(box(), (2 * x, 2 * y, 0.05), (0.0, 0.0, height - 0.025), paint)
    for i in (-1.0, 1.0):
        for j in (-1.0, 1.0):
            foot = vec(i * (x - 0.06), j * (y - 0.06), 0.0)
            parts.rod(foot, foot + vec(0.0, 0.0, height - 0.04), 0.035, legs, sections=10)
    shelter = Rest(0.0, 0.0, 0.0, x - 0.1, y - 0.1, height - 0.06)
    return Model("table", tuple(parts.parts), paint, scale, top=Rest(0.0, 0.0, height, x, y), shelter=shelter)


def _round_table(parts: Builder, paint: Paint, legs: Paint, scale: float, height: float, radius: float) -> Model:
    """Build a disc on a central column."""
    parts.add(frustum(), (radius, radius, 0.05), (0.0, 0.0, height - 0.05), paint)
    parts.add(frustum(), (0.05, 0.05, height - 0.07), (0.0, 0.0, 0.03), legs)
    parts.add(frustum(0.6), (radius * 0.55, radius * 0.55, 0.04), (0.0, 0.0, 0.0), legs)
    return Model("table", tuple(parts.parts), paint, scale, top=Rest(0.0, 0.0, height, radius * 0.65, radius * 0.65))


def make_lamp(dice: Dice, scale: float) -> Model:
    """Build a floor lamp, or a short one for tables when the scale is below 0.8.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    height = 1.45 * scale if scale >= 0.8 else 0.75 * scale
    width = 0.22 * scale if scale >= 0.8 else 0.24 * scale
    shade_height = height * 0.22 if scale >= 0.8 else height * 0.42
    name = dice.pick(("white", "yellow", "orange", "red", "pink", "green", "blue"))
    shade = Paint(COLORS[name], name, glow=dice.uniform(0.25, 0.5), shine=0.0)
    stand = dice.pick((METAL, Paint((0.12, 0.12, 0.13), shine=0.4), Paint((0.45, 0.30, 0.17))))
    top = dice.pick((0.45, 0.6, 0.75))
    parts = Builder()
    parts.add(frustum(0.8), (width * 0.8, width * 0.8, 0.035), (0.0, 0.0, 0.0), stand)
    parts.rod(vec(0.0, 0.0, 0.02), vec(0.0, 0.0, height - shade_height * 0.4), 0.018 + 0.006 * scale, stand)
    parts.add(
        lathe(((1.0, 0.0), (top, 1.0), (top - 0.05, 1.0), (0.95, 0.0))),
        (width, width, shade_height),
        (0.0, 0.0, height - shade_height),
        shade,
    )
    bulb = Paint((1.0, 0.95, 0.8), glow=1.0)
    parts.add(ball(2), (0.05 + 0.02 * scale,) * 3, (0.0, 0.0, height - shade_height * 0.45), bulb)
    return Model("lamp", tuple(parts.parts), shade, scale)


def make_car(dice: Dice, scale: float) -> Model:
    """Build a car.

    Args:
        dice: Source of random choices.
        scale: Size relative to the usual one.

    Returns:
        The model.
    """
    length, width, height = 2.5 * scale, 1.2 * scale, 1.05 * scale
    paint = random_paint(dice, 0.2, patterned=0.12)
    paint = Paint(paint.rgb, paint.name, paint.pattern, paint.second, 0.14 * scale, shine=0.6)
    wheel = 0.24 * scale
    body = (height - wheel) * 0.48
    parts = Builder()
    floor = wheel * 0.6
    parts.add(wedge(0.04, 0.03, 0.06), (length, width, body), (0.0, 0.0, floor + body / 2), paint)
    cabin, start = height - floor - body, -length * dice.uniform(0.04, 0.12)
    long = length * dice.uniform(0.5, 0.62)
    roof = wedge(0.2, 0.14, 0.22)
    parts.add(roof, (long, width * 0.92, cabin), (start, 0.0, floor + body + cabin / 2), paint)
    _car_windows(parts, roof, (long, width * 0.92, cabin), (start, floor + body))
    for x in (-0.31, 0.31):
        for y in (-1.0, 1.0):
            hub = vec(x * length, y * (width / 2 - 0.09 * scale), wheel)
            parts.rod(hub, hub + vec(0.0, y * 0.11 * scale, 0.0), wheel, TYRE, sections=24)
            parts.rod(hub, hub + vec(0.0, y * 0.12 * scale, 0.0), wheel * 0.55, METAL, sections=16)
    _car_lights(parts, length, width, floor + body * 0.6, 0.09 * scale)
    return Model("car", tuple(parts.parts), paint, scale)


def _car_windows(parts: Builder, roof: Primitive, size: tuple[float, float, float], at: tuple[float, float]) -> None:
    """Add windows: shrunken copies of the cabin that stand out of it sideways and lengthways."""

    (long, wide, high), (x, z) = size, at
    middle = z + high * 0.48
    parts.add(roof, (long * 0.86, wide * 1.012, high * 0.68), (x, 0.0, middle), GLASS)
    parts.add(roof, (long * 1.012, wide * 0.84, high * 0.68), (x, 0.0, middle), GLASS)


def _car_lights(parts: Builder, length: float, width: float, height: float, radius: float) -> None:
    front, rear = Paint((1.0, 0.95, 0.75), glow=0.5), Paint((0.75, 0.05, 0.05), glow=0.3)
    for y in (-0.34, 0.34):
        parts.add(ball(2), (radius * 0.5, radius, radius), (length * 0.485, y * width, height), front)
        parts.add(ball(2), (radius * 0.5, radius, radius), (-length * 0.485, y * width, height), rear)


BUILDERS: dict[str, Callable[[Dice, float], Model]] = {
    "ball": make_ball,
    "box": make_box,
    "crate": make_crate,
    "cylinder": make_cylinder,
    "cone": make_cone,
    "ring": make_ring,
    "mug": make_mug,
    "chair": make_chair,
    "table": make_table,
    "lamp": make_lamp,
    "car": make_car,
}


def build(category: str, dice: Dice, scale: float | None = None) -> Model:
    """Build a model.

    Args:
        category: The category, not a person.
        dice: Source of random choices.
        scale: Size relative to the usual one; random, if None.

    Returns:
        The model.
    """
    return BUILDERS[category](dice, dice.uniform(0.7, 1.4) if scale is None else scale)
