"""Objects over time: an object is a function from seconds to a placed model.

Lengths are in metres, times in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from scenekit_datasets.synthetic.clips.people import Figure, Stance, Stances, forward, hands, way
from scenekit_datasets.synthetic.geometry import Mat3, Vec3, rotation, vec
from scenekit_datasets.synthetic.layout import LIFT, Placed
from scenekit_datasets.synthetic.model import Model

T = TypeVar("T")
State = Callable[[float], Placed]
"""The object at each time; the same object again while nothing changes."""

TIPPED = 0.985
"""Cosine of the lean beyond which an object is tipped over, as for still scenes."""

GRAVITY = 9.81


@dataclass(eq=False)
class Track:
    """One object over time."""

    category: str
    """Its category."""
    pieces: list[tuple[float, State]]
    """(start, state) of each part of its history, in order; the first start is 0."""
    touches: set[int] = field(default_factory=set)
    """Numbers of objects that it may touch."""
    raised: bool = False
    """Whether it rests on, in or under another object all the time."""
    figure: Figure | None = None
    """The person, if it is one who moves."""
    stances: list[tuple[float, Stances]] = field(default_factory=list)
    """(start, stance) of each part of a person's history."""
    visits: tuple[int, ...] = (0, 1)
    """Visits in which it is there."""

    def at(self, time: float) -> Placed:
        """Return the object at a time.

        Args:
            time: Seconds.

        Returns:
            The object.
        """
        if self.figure is not None:
            return self.figure.placed(self.stance(time))
        return _piece(self.pieces, time)(time)

    def stance(self, time: float) -> Stance:
        """Return the stance of a person at a time.

        Args:
            time: Seconds.

        Returns:
            The stance.
        """
        return _piece(self.stances, time)(time)

    def base(self, time: float) -> Float[np.ndarray, "4 2"]:
        """Return the corners of the ground that it takes at a time; for a person with room for its limbs.

        Args:
            time: Seconds.

        Returns:
            The corners.
        """
        if self.figure is not None:
            return self.figure.base(self.stance(time))
        return self.at(time).base


def _piece(pieces: list[tuple[float, Callable[[float], T]]], time: float) -> Callable[[float], T]:
    starts = [start for start, _ in pieces]
    return pieces[max(bisect_right(starts, time) - 1, 0)][1]


def still(placed: Placed) -> State:
    """Return the state of an object that does not move.

    Args:
        placed: The object.

    Returns:
        The state.
    """
    return lambda time: placed


def standing(stance: Stance) -> Stances:
    """Return the stances of a person who does not move.

    Args:
        stance: The stance.

    Returns:
        The stances.
    """
    return lambda time: stance


def person(figure: Figure, *stances: tuple[float, Stances]) -> Track:
    """Create the track of a person.

    Args:
        figure: The person.
        stances: (start, stance) of each part of the history.

    Returns:
        The track.
    """
    return Track("person", [], figure=figure, stances=list(stances))


def about(axis: Vec3, angle: float) -> Mat3:
    """Create the rotation about any axis (Rodrigues).

    Args:
        axis: Unit vector.
        angle: Angle in radians.

    Returns:
        The rotation.
    """
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    out: Mat3 = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
    return out


def resting(model: Model, turn: Mat3, x: float, y: float, ground: float, yaw: float) -> Placed:
    """Place a model so that its lowest point is at a height.

    Args:
        model: The model.
        turn: Its rotation.
        x: Position along x of the model's origin.
        y: Position along y of the model's origin.
        ground: The height.
        yaw: Direction of its footprint.

    Returns:
        The object.
    """
    lowest = float((model.verts @ turn.T)[:, 2].min())
    return Placed(model, turn, vec(x, y, ground + LIFT - lowest), yaw, bool(turn[2, 2] < TIPPED))


@dataclass(frozen=True)
class Roll:
    """Something round rolls straight ahead without slipping: angle = distance / radius."""

    model: Model
    """The model."""
    radius: float
    """Its radius."""
    center: Vec3
    """Where its axis is in the template."""
    begin: Vec3
    """Start of the axis in the world."""
    turn: Mat3
    """Rotation at the start."""
    yaw: float
    """Direction of the way."""
    distance: Callable[[float], float]
    """Length of the way up to each time."""

    def __call__(self, time: float) -> Placed:
        done = self.distance(time)
        axis = np.cross(vec(0.0, 0.0, 1.0), forward(self.yaw))
        turn = about(axis, done / self.radius) @ self.turn
        place = self.begin + forward(self.yaw) * done - turn @ self.center
        return Placed(self.model, turn, place, self.yaw, bool(turn[2, 2] < TIPPED))


def round_parts(model: Model) -> tuple[float, Vec3, Mat3]:
    """Return how a ball or a cylinder rolls.

    Args:
        model: A ball or a cylinder.

    Returns:
        (radius, center of the template, rotation that lays the axis across the way along x).
    """
    low, high = model.extent
    lie = np.eye(3) if model.category == "ball" else rotation(0, math.pi / 2)
    return float(high[0] - low[0]) / 2, np.asarray((low + high) / 2), lie


def rolling(model: Model, begin: Vec3, yaw: float, distance: Callable[[float], float], ground: float = 0.0) -> Roll:
    """Create the motion of a rolling ball or cylinder.

    Args:
        model: The model.
        begin: Start on the ground.
        yaw: Direction of the way.
        distance: Length of the way up to each time.
        ground: Height of the ground.

    Returns:
        The motion.
    """
    radius, center, lie = round_parts(model)
    axis = vec(begin[0], begin[1], ground + radius + LIFT)
    return Roll(model, radius, center, axis, rotation(2, yaw) @ lie, yaw, distance)


def sliding(placed: Placed, yaw: float, distance: Callable[[float], float]) -> State:
    """Create the motion of an object that slides straight ahead.

    Args:
        placed: The object at the start.
        yaw: Direction of the way.
        distance: Length of the way up to each time.

    Returns:
        The state.
    """
    return lambda time: moved(placed, forward(yaw) * distance(time))


def moved(placed: Placed, by: Vec3) -> Placed:
    """Move an object.

    Args:
        placed: The object.
        by: The translation.

    Returns:
        The object elsewhere.
    """
    return replace(placed, place=placed.place + by)


def coasting(length: float, span: tuple[float, float]) -> Callable[[float], float]:
    """Create the distance of something that is pushed off and slows down to a stop.

    Args:
        length: Length of the way.
        span: Start and end.

    Returns:
        The distance at each time.
    """

    def distance(time: float) -> float:
        u = min(max((time - span[0]) / (span[1] - span[0]), 0.0), 1.0)
        return length * u * (2.0 - u)

    return distance


def cruising(length: float, span: tuple[float, float]) -> Callable[[float], float]:
    """Create the distance of something that starts and stops gently.

    Args:
        length: Length of the way.
        span: Start and end.

    Returns:
        The distance at each time.
    """
    return lambda time: length * way(time, *span)


def held(figure: Figure, stances: Stances, model: Model, turn: Mat3) -> State:
    """Create the state of an object between a person's hands.

    Args:
        figure: The person.
        stances: The stances.
        model: The model.
        turn: Its rotation relative to the person.

    Returns:
        The state.
    """
    middle = sum(model.extent) / 2

    def state(time: float) -> Placed:
        stance = stances(time)
        facing = rotation(2, stance.yaw) @ turn
        center = hands(figure, stance) + forward(stance.yaw) * 0.05
        return Placed(model, facing, center - facing @ middle, stance.yaw, bool(facing[2, 2] < TIPPED))

    return state


def falling(start: Placed, yaw: float, speed: float, time0: float, tumble: float) -> tuple[State, float, Placed]:
    """Create the fall of an object that leaves an edge at a speed and turns over on its way to the ground.

    Args:
        start: The object as it leaves the edge, on the level of its support.
        yaw: Direction of its motion.
        speed: Its speed.
        time0: When it leaves the edge.
        tumble: Angle that it turns forward, in radians.

    Returns:
        (state, when it reaches the ground, the object there).
    """
    low, high = start.model.extent
    middle, top = np.asarray((low + high) / 2), float(start.verts[:, 2].min()) - LIFT
    center = start.turn @ middle + start.place
    length = math.sqrt(2.0 * top / GRAVITY)
    axis = np.cross(vec(0.0, 0.0, 1.0), forward(yaw))

    def state(time: float) -> Placed:
        tau = min(max(time - time0, 0.0), length)
        turn = about(axis, tumble * (tau / length) ** 2) @ start.turn
        height = max(top - GRAVITY * tau * tau / 2.0, 0.0)
        at = center + forward(yaw) * (speed * tau) - turn @ middle
        return resting(start.model, turn, float(at[0]), float(at[1]), height, yaw)

    return state, time0 + length, state(time0 + length)
