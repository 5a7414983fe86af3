"""Layout of a scene: draws its objects and places them without intersections."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic.figure import make_person
from scenekit_datasets.synthetic.geometry import Mat3, Vec3, footprint, rectangles_overlap, rotation
from scenekit_datasets.synthetic.model import Model, Rest
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.shapes import build
from scenekit_datasets.synthetic.stage import Stage

WEIGHTS = {
    "chair": 1.1,
    "table": 1.1,
    "lamp": 0.9,
    "car": 0.8,
    "mug": 1.0,
    "crate": 0.9,
    "box": 0.9,
    "ball": 1.0,
    "cylinder": 0.8,
    "cone": 0.8,
    "ring": 0.8,
}
SMALL = ("mug", "ball", "box", "cone", "cylinder", "ring", "crate")
GAP = 0.06
MOST = 9
LIFT = 0.002
"""Distance in metres between objects and their support: coinciding faces would compete for the same pixels."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A model in the world: world = turn @ template + place."""

    model: Model
    """The model."""
    turn: Mat3
    """Its rotation."""
    place: Vec3
    """Its translation in metres."""
    yaw: float
    """Its rotation about the vertical axis in radians."""
    tipped: bool = False
    """Whether it lies tipped over."""
    host: int = -1
    """Index of the object that carries or shelters it, -1 for none."""

    @cached_property
    def verts(self) -> Float[np.ndarray, "V 3"]:
        """Vertices in the world, in metres."""
        return np.asarray(self.model.verts @ self.turn.T + self.place)

    @cached_property
    def base(self) -> Float[np.ndarray, "4 2"]:
        """Corners of its footprint."""
        return footprint(self.verts, self.yaw)


STEADY = ("lamp", "table", "car")
"""Categories that are seldom tipped over; persons never are."""


def _tip(dice: Dice, model: Model) -> Mat3:
    """Draw a rotation: on a side, a cone along its slope, sometimes at any angle; identity for what stays upright."""
    if model.category == "person" or (model.category in STEADY and not dice.chance(0.25)):
        return np.eye(3)
    axis = dice.integer(0, 1)
    if dice.chance(0.3):
        return np.asarray(
            rotation(axis, dice.sign() * dice.uniform(0.2, 1.2)) @ rotation(1 - axis, dice.uniform(-0.5, 0.5))
        )
    high = model.extent[1]
    slope = math.atan2(high[0], high[2]) if model.category == "cone" else 0.0
    return rotation(axis, dice.sign() * (math.pi / 2 + slope))


def stand(dice: Dice, model: Model, x: float, y: float, ground: float, tip: float) -> Placed:
    """Place a model upright or tipped, with a random yaw, its lowest point at height `ground`.

    Args:
        dice: Source of random choices.
        model: The model.
        x: First coordinate in metres.
        y: Second coordinate in metres.
        ground: Height of its support in metres.
        tip: Probability that it is tipped over.

    Returns:
        The object.
    """
    yaw = dice.uniform(-math.pi, math.pi)
    if model.category == "person":
        yaw = -math.pi / 2 + dice.uniform(-1.4, 1.4) if dice.chance(0.8) else yaw
    leaning = _tip(dice, model) if dice.chance(tip) else np.eye(3)
    turn = rotation(2, yaw) @ leaning
    lowest = float((model.verts @ turn.T)[:, 2].min())
    tipped = bool(turn[2, 2] < 0.985)
    return Placed(model, turn, np.array([x, y, ground + LIFT - lowest]), yaw, tipped)


class Arrangement:
    """Adds objects to a scene.

    Args:
        dice: Source of random choices.
        stage: The stage.
    """

    def __init__(self, dice: Dice, stage: Stage) -> None:
        self.dice, self.stage = dice, stage
        self.placed: list[Placed] = []

    def fill(self) -> list[Placed]:
        """Place two to nine objects: persons first, then furniture, then small objects on, in and under it.

        Returns:
            The objects.
        """
        for category in self._wishes():
            if len(self.placed) < MOST:
                self.add(category)
        return self.placed

    def _wishes(self) -> list[str]:
        dice = self.dice
        persons = dice.weighted({1: 0.55, 2: 0.32, 3: 0.13}) if dice.chance(0.55) else 0
        total = max(dice.integer(2, MOST), persons + 1)
        others = [dice.weighted(WEIGHTS) for _ in range(total - persons)]
        large = [c for c in others if c in ("table", "car", "chair", "lamp")]
        return ["person"] * persons + large + [c for c in others if c not in large]

    def add(self, category: str) -> None:
        """Place an object of a category on the ground, or on, in or under another one, if there is room.

        Args:
            category: The category.
        """
        dice = self.dice
        if category == "person" and dice.chance(0.3) and self._seat():
            return
        if category in (*SMALL, "lamp") and dice.chance(0.6) and self._nest(category):
            return
        model = make_person(dice, dice.uniform(1.45, 1.85)) if category == "person" else self._build(category)
        self.on_ground(model)

    def _build(self, category: str) -> Model:
        dice = self.dice
        if category == "car":
            indoor = self.stage.walls is not None
            return build(category, dice, dice.uniform(0.35, 0.5) if indoor else dice.uniform(0.8, 1.15))
        if category == "lamp":
            return build(category, dice, dice.uniform(0.82, 1.2))
        return build(category, dice)

    def _spot(self, model: Model) -> tuple[float, float]:
        """Draw a place on the ground whose middle is in the image."""
        stage, dice = self.stage, self.dice
        start = stage.near + (0.9 if model.category == "car" and model.scale > 0.6 else 0.0)
        y = start + (stage.far - start) * dice.unit() ** 1.15
        half = y * 0.5 / stage.view.focal * 0.95
        if stage.walls:
            half = min(half, -stage.walls[0] - 0.4, stage.walls[1] - 0.4)
        return dice.uniform(-half, half), y

    def on_ground(self, model: Model, tip: float = 0.28) -> int:
        """Place a model on the ground.

        Args:
            model: The model.
            tip: Probability that it is tipped over.

        Returns:
            Its index, or -1 when no free spot was drawn.
        """
        for _ in range(12):
            x, y = self._spot(model)
            candidate = stand(self.dice, model, x, y, 0.0, tip)
            if not self._hits(candidate, -1) and self._in_room(candidate):
                self.placed.append(candidate)
                return len(self.placed) - 1
        return -1

    def _in_room(self, candidate: Placed) -> bool:
        low, high = candidate.verts.min(0), candidate.verts.max(0)
        if low[1] < 1.2:
            return False
        if not self.stage.walls:
            return True
        left, right, back, height = self.stage.walls
        return bool(low[0] > left and high[0] < right and high[1] < back and high[2] < height)

    def _seat(self) -> bool:
        """Place a person on a new chair or box."""
        dice = self.dice
        host = build(dice.pick(("chair", "chair", "box")), dice, 1.05)
        if host.top is None:
            return False
        index = self.on_ground(host)
        if index < 0:
            return False
        chair = self.placed[index]
        if chair.tipped:
            return True
        rest = host.top
        model = make_person(dice, dice.uniform(1.5, 1.8), sitting=True, seat=rest.z)
        ahead = rest.half_x * 0.35 if host.category == "chair" else rest.half_x * 0.6
        seat = chair.place + chair.turn @ np.array([rest.x + ahead - 0.08, 0.0, 0.0])
        person = Placed(model, chair.turn, seat, chair.yaw, host=index)
        if not self._in_room(person) or self._hits(person, index):
            return True
        self.placed.append(person)
        return True

    def _hits(self, candidate: Placed, but: int) -> bool:
        """Return whether a candidate is too near to an object on the ground, other than object `but`."""
        grounded = (o for i, o in enumerate(self.placed) if i != but and (o.host < 0 or o.model.category == "person"))
        return any(rectangles_overlap(candidate.base, other.base, GAP) for other in grounded)

    def _nest(self, category: str) -> bool:
        """Place an object on, in or under an upright one."""
        hosts = [i for i, host in enumerate(self.placed) if not host.tipped and self._rests(host)]
        for index in self.dice.shuffled(hosts)[:3]:
            for rest in self.dice.shuffled(self._rests(self.placed[index])):
                if self._rest_on(category, index, rest):
                    return True
        return False

    def _rests(self, host: Placed) -> list[Rest]:
        model = host.model
        return [rest for rest in (model.top, model.cavity, model.shelter) if rest is not None]

    def _rest_on(self, category: str, index: int, rest: Rest) -> bool:
        dice, host = self.dice, self.placed[index]
        inside = rest is host.model.cavity
        room = min(rest.half_x, rest.half_y)
        model = self._fitting(category, room, rest, inside)
        if model is None:
            return False
        slack = [max(half - 0.55 * self._width(model), 0.0) for half in (rest.half_x, rest.half_y)]
        spot = np.array(
            [rest.x + dice.uniform(-1.0, 1.0) * slack[0], rest.y + dice.uniform(-1.0, 1.0) * slack[1], rest.z]
        )
        world = host.place + host.turn @ spot
        candidate = replace(stand(dice, model, world[0], world[1], world[2], tip=0.12), host=index)
        if not self._rests_freely(candidate, host, rest, inside):
            return False
        self.placed.append(candidate)
        return True

    @staticmethod
    def _width(model: Model) -> float:
        low, high = model.extent
        return float(max(high[0] - low[0], high[1] - low[1]))

    def _fitting(self, category: str, room: float, rest: Rest, inside: bool) -> Model | None:
        """Return a model small enough for the rest, None when that would make it tiny."""
        dice = self.dice
        if inside and category not in ("ball", "mug", "cylinder", "cone", "box", "ring"):
            return None
        if category == "lamp":
            return build("lamp", dice, dice.uniform(0.6, 0.79)) if rest.z > 0.4 and room > 0.2 else None
        model = build(category, dice)
        limit = min(1.9 * room / self._width(model), rest.clearance * 0.95 / model.height if not inside else 10.0)
        if limit >= 1.0:
            return model
        scale = model.scale * limit * 0.97
        return build(category, dice, scale) if scale > (0.35 if inside else 0.55) else None

    def _rests_freely(self, candidate: Placed, host: Placed, rest: Rest, inside: bool) -> bool:
        """Return whether a candidate fits the rest and is clear of other objects on the same host."""
        local = (candidate.verts - host.place) @ host.turn
        low, high = local.min(0), local.max(0)
        fits = (
            low[0] >= rest.x - rest.half_x
            and high[0] <= rest.x + rest.half_x
            and low[1] >= rest.y - rest.half_y
            and high[1] <= rest.y + rest.half_y
        )
        if not fits or (not inside and high[2] > rest.z + rest.clearance):
            return False
        mine = self.placed.index(host)
        siblings = (o for o in self.placed if o.host == mine)
        return not any(rectangles_overlap(candidate.base, other.base, 0.02) for other in siblings)


def arrange(dice: Dice, stage: Stage) -> list[Placed]:
    """Draw and place the objects of one scene.

    Args:
        dice: Source of random choices.
        stage: The stage.

    Returns:
        The objects; hosts precede what they carry.
    """
    return Arrangement(dice, stage).fill()
