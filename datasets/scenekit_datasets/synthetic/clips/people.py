"""A person in motion: stances as functions of time.

Angles are in radians, lengths in metres, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from scenekit_datasets.synthetic.clips.camera import ease
from scenekit_datasets.synthetic.figure import THIGH, Pose, Wardrobe, hips_above_ground, posed, random_wardrobe
from scenekit_datasets.synthetic.geometry import Vec3, rotation, vec
from scenekit_datasets.synthetic.layout import LIFT, Placed
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.vocabulary import KEYPOINTS

UPPER_LEG, LOWER_LEG, SOLE = 0.245, 0.235, 0.05
"""Lengths of the legs in body heights; the sole is below the ankle."""

SHOULDER, ARM = 0.108, 0.31
"""Distance of the shoulders from the middle and length of the arms, in body heights."""

SWING = 0.42
"""Largest forward angle of a thigh while walking."""

STAND = Pose(
    "standing",
    lean=0.03,
    twist=0.0,
    nod=0.06,
    look=0.0,
    raise_side=(0.14, 0.14),
    raise_front=(0.0, 0.0),
    elbow=(0.25, 0.25),
    hip=(0.02, 0.02),
    spread=(0.05, 0.05),
    knee=(0.05, 0.05),
)

SETTLED = 0.97
"""Part of the way down from which on a person is sitting."""


def mixed(one: Pose, two: Pose, weight: float, name: str = "standing") -> Pose:
    """Interpolate two poses.

    Args:
        one: A pose.
        two: The other pose.
        weight: Weight of `two`, from 0 to 1.
        name: Name of the result.

    Returns:
        The pose.
    """

    def blend(a: Any, b: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(blend(p, q) for p, q in zip(a, b, strict=True))
        return a + (b - a) * weight

    angles = [entry.name for entry in fields(Pose) if entry.name != "name"]
    return Pose(name, **{angle: blend(getattr(one, angle), getattr(two, angle)) for angle in angles})


@dataclass(frozen=True)
class Stance:
    """Where and how a person stands or sits."""

    x: float
    """Position of the hips along x."""
    y: float
    """Position of the hips along y."""
    yaw: float
    """Direction that the person faces, counter-clockwise from x."""
    pose: Pose = STAND
    """The pose."""
    hips: float = 0.0
    """The hips are at least this high."""
    room: tuple[float, float] = (0.19, 0.17)
    """Half length and half width of the ground that the person needs, in body heights."""


@dataclass(eq=False)
class Figure:
    """One person, who can take any stance."""

    height: float
    """Body height."""
    wear: Wardrobe
    """Paints of skin, hair and clothes."""
    _placed: dict[Stance, Placed] = field(default_factory=dict)

    def placed(self, stance: Stance) -> Placed:
        """Return the person in a stance.

        Args:
            stance: The stance.

        Returns:
            The object.
        """
        if stance not in self._placed:
            self._placed[stance] = self._build(stance)
        return self._placed[stance]

    def _build(self, stance: Stance) -> Placed:
        hips = max(hips_above_ground(self.height, stance.pose, self.wear) + LIFT, stance.hips)
        seat = hips - THIGH * self.height if stance.pose.name == "sitting" else None
        model = posed(self.height, stance.pose, self.wear, hips, seat)
        return Placed(model, rotation(2, stance.yaw), vec(stance.x, stance.y, 0.0), stance.yaw)

    def base(self, stance: Stance) -> np.ndarray:
        """Return the corners [4 2] of the ground that the person needs, without building the person.

        Args:
            stance: The stance.

        Returns:
            The corners.
        """
        long, wide = (half * self.height for half in stance.room)
        corners = np.array([[-long, -wide], [long, -wide], [long, wide], [-long, wide]])
        return np.asarray(corners @ rotation(2, stance.yaw)[:2, :2].T + np.array([stance.x, stance.y]))


def random_figure(dice: Dice) -> Figure:
    """Draw a person.

    Args:
        dice: Source of random choices.

    Returns:
        The person.
    """
    return Figure(dice.uniform(1.5, 1.82), random_wardrobe(dice))


Stances = Callable[[float], Stance]


def forward(yaw: float) -> Vec3:
    """Return the unit vector of a direction on the ground.

    Args:
        yaw: The direction.

    Returns:
        The vector.
    """
    return vec(math.cos(yaw), math.sin(yaw), 0.0)


def way(time: float, start: float, end: float, ramp: float = 0.2) -> float:
    """Compute the part of a way done with a constant speed but for a ramp at either end.

    Args:
        time: Seconds.
        start: Start of the motion.
        end: End of the motion.
        ramp: Part of the time of each ramp.

    Returns:
        From 0 to 1.
    """
    u = min(max((time - start) / (end - start), 0.0), 1.0)
    top = 1.0 / (1.0 - ramp)
    if u < ramp:
        return top * u * u / (2.0 * ramp)
    if u > 1.0 - ramp:
        return 1.0 - top * (1.0 - u) ** 2 / (2.0 * ramp)
    return top * (u - ramp / 2.0)


def _stride(pose: Pose, phase: float, amount: float, arms: bool) -> Pose:
    """Return a pose with the legs, and the arms if they are free, at a phase of walking.

    The thighs swing at a constant speed, forwards and back, so that the foot on the ground does not slip.
    """
    swing, lift = SWING * amount * math.asin(math.sin(phase)) * 2.0 / math.pi, 0.6 * amount * math.cos(phase)
    hip = (pose.hip[0] + swing, pose.hip[1] - swing)
    knee = (pose.knee[0] + 0.08 * amount + max(lift, 0.0), pose.knee[1] + 0.08 * amount + max(-lift, 0.0))
    front = (pose.raise_front[0] - 0.8 * swing, pose.raise_front[1] + 0.8 * swing) if arms else pose.raise_front
    return replace(pose, hip=hip, knee=knee, raise_front=front)


def walking(
    figure: Figure,
    begin: Vec3,
    yaw: float,
    distance: float,
    span: tuple[float, float],
    pose: Callable[[float], Pose] | None = None,
) -> Stances:
    """Create a walk straight ahead: a foot on the ground stays where it is, as half a cycle advances by one step.

    Args:
        figure: The person.
        begin: Start on the ground.
        yaw: Direction.
        distance: Length of the way.
        span: Start and end.
        pose: How the trunk and the arms are held at each time; the arms swing, if None.

    Returns:
        The stance at each time.
    """
    step = 2.0 * (UPPER_LEG + LOWER_LEG) * figure.height * math.sin(SWING)
    steps = max(round(distance / step), 1)

    def stance(time: float) -> Stance:
        done = way(time, *span) * distance
        amount = ease(min(done, distance - done) / (0.4 * step))
        held = STAND if pose is None else pose(time)
        body = _stride(held, math.pi * steps * done / distance, amount, arms=pose is None)
        place = begin + forward(yaw) * done
        return Stance(float(place[0]), float(place[1]), yaw, body, room=(0.29, 0.19))

    return stance


def seated_pose(figure: Figure, seat: float) -> Pose:
    """Return the pose of a person whose feet are on the ground and whose shins are upright.

    Args:
        figure: The person.
        seat: Height of the seat.

    Returns:
        The pose.
    """
    drop = seat / figure.height + THIGH - LOWER_LEG - SOLE
    hip = math.acos(min(max(drop / UPPER_LEG, 0.0), 0.6))
    return replace(STAND, name="sitting", lean=0.05, hip=(hip, hip), knee=(hip, hip), raise_front=(0.5, 0.5))


def ankle_ahead(figure: Figure, pose: Pose) -> float:
    """Compute how far the ankles are in front of the hips.

    Args:
        figure: The person.
        pose: The pose.

    Returns:
        The distance.
    """
    hip, knee = sum(pose.hip) / 2, sum(pose.knee) / 2
    return figure.height * (UPPER_LEG * math.sin(hip) + LOWER_LEG * math.sin(hip - knee))


def sitting(figure: Figure, seat: Vec3, yaw: float, span: tuple[float, float], down: bool) -> tuple[Stances, Vec3]:
    """Create the motion of sitting down, or of standing up.

    Args:
        figure: The person.
        seat: Where the hips are when seated; z is the height of the seat.
        yaw: Direction that the person faces.
        span: Start and end.
        down: Whether the person sits down.

    Returns:
        (stance at each time, where the person stands).
    """
    low = seated_pose(figure, float(seat[2]))
    feet = seat + forward(yaw) * ankle_ahead(figure, low)

    def stance(time: float) -> Stance:
        part = ease((time - span[0]) / (span[1] - span[0]))
        weight = part if down else 1.0 - part
        pose = mixed(STAND, low, weight, "sitting" if weight >= SETTLED else "standing")
        pose = replace(pose, lean=pose.lean + 0.55 * math.sin(math.pi * weight))
        hips = feet - forward(yaw) * ankle_ahead(figure, pose)
        return Stance(
            float(hips[0]), float(hips[1]), yaw, pose, float(seat[2]) + THIGH * figure.height, room=(0.33, 0.19)
        )

    return stance, feet - forward(yaw) * ankle_ahead(figure, STAND)


def with_arm(pose: Pose, side: int, weight: float) -> Pose:
    """Return a pose with one arm raised.

    Args:
        pose: The pose.
        side: 0 for the left arm, 1 for the right one.
        weight: How far it is raised, from 0 to 1.

    Returns:
        The pose.
    """
    raised, bent = list(pose.raise_side), list(pose.elbow)
    raised[side] += (2.7 - raised[side]) * weight
    bent[side] += (0.1 - bent[side]) * weight
    return replace(pose, raise_side=(raised[0], raised[1]), elbow=(bent[0], bent[1]))


def holding(figure: Figure, half: float) -> Pose:
    """Return the pose of a person who holds something in front with both hands.

    Args:
        figure: The person.
        half: Half the width of what is held.

    Returns:
        The pose.
    """
    side = math.asin(min(max((half + 0.05 - SHOULDER * figure.height) / (ARM * figure.height), -0.25), 0.3))
    return replace(STAND, raise_side=(side, side), raise_front=(0.35, 0.35), elbow=(1.1, 1.1))


REACHING = replace(STAND, lean=0.5, raise_side=(0.0, 0.0), raise_front=(0.95, 0.95), elbow=(0.05, 0.05), nod=0.2)
"""Leaning forward with the hands at the height of a table."""


def hands(figure: Figure, stance: Stance) -> Vec3:
    """Return the middle between the wrists.

    Args:
        figure: The person.
        stance: The stance.

    Returns:
        Point in the world.
    """
    placed = figure.placed(stance)
    assert placed.model.joints is not None
    wrists = placed.model.joints[[KEYPOINTS.index("left_wrist"), KEYPOINTS.index("right_wrist")]]
    return np.asarray(placed.turn @ wrists.mean(0) + placed.place)


def pushing(figure: Figure, top: float) -> Pose:
    """Return the pose of a person who pushes something: leaning over until the hands are below its top.

    Args:
        figure: The person.
        top: Height of what is pushed.

    Returns:
        The pose.
    """
    low, high = 0.25, 1.2
    for _ in range(6):
        lean = (low + high) / 2
        lower = hands(figure, Stance(0.0, 0.0, 0.0, _leaning(lean)))[2] < top - 0.06
        low, high = (low, lean) if lower else (lean, high)
    return _leaning(high)


def _leaning(lean: float) -> Pose:
    return replace(
        STAND,
        lean=lean,
        raise_side=(0.02, 0.02),
        raise_front=(lean + 0.5, lean + 0.5),
        elbow=(0.1, 0.1),
        nod=-0.4 * lean,
    )
