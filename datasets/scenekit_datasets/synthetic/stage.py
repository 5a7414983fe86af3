"""The stage: room or landscape, lights and camera of a scene.

World frame: x right, y away from the camera, z up, ground at z = 0, the camera above the origin; the camera of a clip
moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenekit_datasets.synthetic.geometry import Mat3, Vec3, camera_rotation, rotation
from scenekit_datasets.synthetic.model import RGB
from scenekit_datasets.synthetic.rng import Dice

SOFT = ((0.55, 0.52, 0.48), (0.42, 0.46, 0.52), (0.62, 0.55, 0.45), (0.45, 0.5, 0.42))
FLOORS: dict[str, tuple[RGB, ...]] = {
    "planks": ((0.66, 0.47, 0.30), (0.50, 0.33, 0.20), (0.78, 0.62, 0.45)),
    "tiles": ((0.80, 0.78, 0.74), (0.58, 0.60, 0.62), (0.70, 0.56, 0.46)),
    "carpet": SOFT,
    "plain": SOFT,
}
WALLS = ("plain", "stripes", "panels")
WALL_COLORS = (
    (0.86, 0.82, 0.74),
    (0.74, 0.80, 0.84),
    (0.80, 0.74, 0.78),
    (0.78, 0.83, 0.74),
    (0.88, 0.86, 0.84),
    (0.62, 0.66, 0.72),
)


@dataclass(frozen=True)
class View:
    """A camera whose principal point is the middle of the image; that of an image stands above the origin."""

    height: float
    """Height above the ground in metres."""
    pitch: float
    """Angle downwards in radians."""
    roll: float
    """Clockwise angle in radians."""
    focal: float
    """Focal length in image widths."""
    x: float = 0.0
    """Position along x in metres."""
    y: float = 0.0
    """Position along y in metres."""
    yaw: float = 0.0
    """Counter-clockwise angle about the vertical axis in radians; 0 looks along y."""

    @property
    def rotation(self) -> Mat3:
        """Rotation, camera from world."""
        level = camera_rotation(self.pitch, self.roll)
        return level if self.yaw == 0.0 else level @ rotation(2, -self.yaw)

    @property
    def position(self) -> Vec3:
        """Position in the world, in metres."""
        return np.array([self.x, self.y, self.height])

    def intrinsics(self, size: tuple[int, int]) -> Mat3:
        """Compute the intrinsics: pixel = K X / z, the center of pixel (0, 0) at (0.5, 0.5).

        Args:
            size: (height, width) of the image in pixels.

        Returns:
            K.
        """
        height, width = size
        focal = self.focal * width
        return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Light:
    """A lamp, or the sun."""

    place: tuple[float, float, float]
    """Position in the world in metres; of the sun, its direction."""
    color: RGB
    """Color and strength."""
    far: bool
    """Whether it is the sun."""
    shadows: bool
    """Whether it casts shadows."""


@dataclass(frozen=True)
class Patch:
    """A painted zone of the ground: an endless strip (a road) or an ellipse (a rug)."""

    kind: str
    """Its stuff class."""
    x: float
    """Center along x in metres."""
    y: float
    """Center along y in metres."""
    angle: float
    """Its rotation in radians."""
    half_wide: float
    """Half its width in metres."""
    half_long: float
    """Half its length in metres."""
    color: RGB
    """Its color."""
    other: RGB
    """Its second color."""


@dataclass(frozen=True)
class Stage:
    """A scene without its objects."""

    ground: str
    """Stuff class of the ground."""
    finish: str
    """Texture of the ground."""
    ground_color: RGB
    """Color of the ground."""
    ground_other: RGB
    """Second color of the ground."""
    cell: float
    """Size of the ground's texture in metres."""
    walls: tuple[float, float, float, float] | None
    """(left x, right x, back y, height) in metres indoors, None outdoors."""
    wall_finish: str
    """Texture of the walls."""
    wall_color: RGB
    """Color of the walls."""
    wall_other: RGB
    """Second color of the walls."""
    patch: Patch | None
    """A painted zone of the ground."""
    lights: tuple[Light, ...]
    """The lights."""
    ambient: tuple[RGB, RGB]
    """Ambient light from above and below."""
    zenith: RGB
    """Color of the sky at the zenith."""
    horizon: RGB
    """Color of the sky at the horizon."""
    view: View
    """The camera."""
    near: float
    """Distance of the nearest objects in metres."""
    far: float
    """Distance of the farthest objects in metres."""
    salt: int
    """Seed of textures."""


def _tint(dice: Dice, choices: tuple[RGB, ...], amount: float = 0.05) -> RGB:
    red, green, blue = (min(max(c + dice.uniform(-amount, amount), 0.03), 0.97) for c in dice.pick(choices))
    return red, green, blue


def _shade(rgb: RGB, factor: float) -> RGB:
    return rgb[0] * factor, rgb[1] * factor, rgb[2] * factor


def _view(dice: Dice, near: float, far: float, indoor: bool) -> View:
    """Draw a camera that points a little above the ground in the middle of the objects."""
    height = dice.uniform(0.9, 2.1 if indoor else 2.8)
    target = near + (far - near) * dice.uniform(0.3, 0.6)
    pitch = math.atan2(height - dice.uniform(0.35, 0.75), target)
    return View(height, pitch + dice.uniform(-0.04, 0.06), dice.uniform(-0.04, 0.04), dice.uniform(0.78, 1.2))


def _rug(dice: Dice, near: float, far: float) -> Patch:
    color = _tint(dice, ((0.62, 0.2, 0.2), (0.2, 0.32, 0.5), (0.85, 0.8, 0.7), (0.3, 0.45, 0.35), (0.75, 0.6, 0.3)))
    other = _tint(dice, ((0.9, 0.86, 0.78), (0.25, 0.2, 0.2)))
    wide, long = dice.uniform(0.9, 1.7), dice.uniform(0.8, 1.3)
    y = dice.uniform(near + 0.6, (near + far) / 2 + 0.5)
    return Patch("rug", dice.uniform(-0.7, 0.7), y, dice.uniform(-0.5, 0.5), wide, long, color, other)


def _indoor(dice: Dice) -> Stage:
    near, far = 2.0, dice.uniform(4.4, 6.2)
    view = _view(dice, near, far, indoor=True)
    finish = dice.pick(tuple(FLOORS))
    color, wall = _tint(dice, FLOORS[finish]), _tint(dice, WALL_COLORS)
    side = far * 0.5 / view.focal + dice.uniform(0.3, 1.0)
    room = (
        -side - dice.uniform(0.0, 0.8),
        side + dice.uniform(0.0, 0.8),
        far + dice.uniform(0.7, 1.6),
        dice.uniform(2.6, 3.2),
    )
    return Stage(
        ground="floor",
        finish=finish,
        ground_color=color,
        ground_other=_shade(color, dice.uniform(0.72, 0.86)),
        cell=dice.uniform(0.35, 0.6) if finish == "tiles" else dice.uniform(0.14, 0.22),
        walls=room,
        wall_finish=dice.pick(WALLS),
        wall_color=wall,
        wall_other=_shade(wall, dice.uniform(0.86, 0.94)),
        patch=_rug(dice, near, far) if dice.chance(0.4) else None,
        lights=_room_lights(dice, room),
        ambient=((0.46, 0.46, 0.48), (0.34, 0.32, 0.29)),
        zenith=(0.9, 0.9, 0.9),
        horizon=(0.9, 0.9, 0.9),
        view=view,
        near=near,
        far=far,
        salt=dice.integer(1, 1 << 20),
    )


def _room_lights(dice: Dice, room: tuple[float, float, float, float]) -> tuple[Light, ...]:
    """Draw a warm ceiling lamp and window light from one side, both with shadows; sometimes a weak fill light."""
    left, right, back, height = room
    ceiling = (dice.uniform(left * 0.5, right * 0.5), dice.uniform(0.2, 0.65) * back, height - 0.1)
    power = dice.uniform(6.5, 9.5)
    lamps = [Light(ceiling, (power, power * 0.93, power * 0.82), False, True)]
    x = (left + 0.2) if dice.chance(0.5) else (right - 0.2)
    cool = dice.uniform(3.0, 6.0)
    lamps.append(
        Light(
            (x, dice.uniform(0.0, 0.6) * back, dice.uniform(1.6, 2.4)),
            (cool * 0.85, cool * 0.93, cool),
            False,
            dice.chance(0.6),
        )
    )
    if dice.chance(0.5):
        lamps.append(Light((-x * 0.8, -0.5, 2.0), (1.4, 1.35, 1.3), False, False))
    return tuple(lamps)


def _outdoor(dice: Dice) -> Stage:
    near, far = 2.4, dice.uniform(6.0, 8.5)
    view = _view(dice, near, far, indoor=False)
    ground = dice.weighted({"grass": 3.0, "road": 1.4, "sand": 1.2})
    colors = {"grass": (0.42, 0.60, 0.25), "road": (0.47, 0.47, 0.49), "sand": (0.82, 0.72, 0.52)}
    color = _tint(dice, (colors[ground],), 0.04)
    patch = None
    if ground == "road" or dice.chance(0.45):
        road = color if ground == "road" else _tint(dice, (colors["road"],), 0.04)
        angle = dice.sign() * dice.uniform(0.9, 1.5)
        patch = Patch("road", 0.0, dice.uniform(4.0, far), angle, dice.uniform(1.2, 2.0), 1.0, road, (0.9, 0.88, 0.8))
    zenith, horizon = dice.pick(
        (
            ((0.26, 0.48, 0.80), (0.72, 0.83, 0.92)),
            ((0.36, 0.55, 0.78), (0.88, 0.88, 0.86)),
            ((0.42, 0.44, 0.62), (0.96, 0.78, 0.62)),
            ((0.60, 0.66, 0.72), (0.82, 0.85, 0.87)),
        )
    )
    return Stage(
        ground=ground,
        finish=ground,
        ground_color=color,
        ground_other=_shade(color, 0.8),
        cell=0.2,
        walls=None,
        wall_finish="plain",
        wall_color=(0.8, 0.8, 0.8),
        wall_other=(0.8, 0.8, 0.8),
        patch=patch,
        lights=_sun(dice),
        ambient=((0.40, 0.46, 0.55), (0.27, 0.27, 0.22)),
        zenith=zenith,
        horizon=horizon,
        view=view,
        near=near,
        far=far,
        salt=dice.integer(1, 1 << 20),
    )


def _sun(dice: Dice) -> tuple[Light, ...]:
    """Draw the sun with shadows, mostly from behind the camera or the side, and a faint sky light against it."""
    azimuth, height = dice.uniform(-2.6, 2.6), dice.uniform(0.5, 1.15)
    flat = math.cos(height)
    sun = (flat * math.sin(azimuth), -flat * math.cos(azimuth), math.sin(height))
    warm = dice.uniform(0.0, 0.18)
    power = dice.uniform(0.85, 1.1)
    fill = Light((-sun[0], -abs(sun[1]) - 0.3, 0.6), (0.10, 0.11, 0.13), True, False)
    return Light(sun, (power, power * (1 - warm * 0.5), power * (1 - warm)), True, True), fill


def random_stage(dice: Dice) -> Stage:
    """Draw a room or a landscape.

    Args:
        dice: Source of random choices.

    Returns:
        The stage.
    """
    return _indoor(dice) if dice.chance(0.55) else _outdoor(dice)
