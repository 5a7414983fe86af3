"""What happens at tables in clips, and what people hold in their hands.

Lengths are in metres, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenekit_datasets.synthetic.clips.camera import ease
from scenekit_datasets.synthetic.clips.people import (
    REACHING,
    STAND,
    Figure,
    Stance,
    Stances,
    forward,
    holding,
    mixed,
    random_figure,
    walking,
)
from scenekit_datasets.synthetic.clips.planner import Action, Planner
from scenekit_datasets.synthetic.clips.tracks import (
    Roll,
    State,
    Track,
    coasting,
    falling,
    held,
    moved,
    person,
    resting,
    rolling,
    round_parts,
    sliding,
    still,
)
from scenekit_datasets.synthetic.figure import Pose
from scenekit_datasets.synthetic.geometry import Vec3, rotation, vec
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.model import Model
from scenekit_datasets.synthetic.shapes import build


def between(
    one: Pose, two: Pose, to: tuple[float, float], back: tuple[float, float] | None = None
) -> Callable[[float], Pose]:
    """Return a pose that goes from `one` to `two`, and back again.

    Args:
        one: The first pose.
        two: The other pose.
        to: Start and end of the change to `two`.
        back: Start and end of the change back; it stays, if None.

    Returns:
        The pose at each time.
    """

    def pose(time: float) -> Pose:
        weight = ease((time - to[0]) / (to[1] - to[0]))
        if back is not None:
            weight -= ease((time - back[0]) / (back[1] - back[0]))
        return mixed(one, two, weight)

    return pose


def portable(planner: Planner) -> Model:
    """Draw an object that a person can hold.

    Args:
        planner: The clip.

    Returns:
        The object.
    """
    dice = planner.dice
    name = dice.pick(("mug", "ball", "box", "cylinder", "cone"))
    return build(name, dice, dice.uniform(0.5, 0.62) if name == "box" else dice.uniform(0.55, 0.75))


def half_width(model: Model) -> float:
    """Return half the width of an object as a person holds it.

    Args:
        model: The object.

    Returns:
        Half its width.
    """
    low, high = model.extent
    return float(high[1] - low[1]) / 2


def _side(planner: Planner, table: Placed) -> tuple[float, float]:
    """Draw one of a table's sides: its direction from the middle, and its distance."""
    low, high = table.model.extent
    axis = planner.dice.integer(0, 3)
    half = float((high - low)[axis % 2]) / 2
    return table.yaw + axis * math.pi / 2, half


def _table(planner: Planner) -> int:
    return planner.stand(build("table", planner.dice, planner.dice.uniform(0.85, 1.2)))


def put(planner: Planner) -> bool:
    """Let a person walk to a table and put an object there, or take one from it.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    figure = random_figure(planner.dice)
    model, takes = portable(planner), planner.dice.chance(0.4)
    number = _table(planner)
    if number < 0:
        return False
    for _ in range(4):
        at = _Counter.beside(planner, number, figure, model)
        done = at.take() if takes else at.put()
        if done:
            return True
    return False


@dataclass(frozen=True)
class _Counter:
    """A person at a side of a table with an object that goes from hand to table, or back."""

    planner: Planner
    table: int
    figure: Figure
    model: Model
    place: Vec3
    """Where the person stands."""
    yaw: float
    """Direction that the person faces."""
    rest: Placed
    """The object on the table."""

    @classmethod
    def beside(cls, planner: Planner, number: int, figure: Figure, model: Model) -> _Counter:
        table = planner.tracks[number].at(0.0)
        side, half = _side(planner, table)
        low, high = (np.asarray(corner) for corner in model.extent)
        middle, turn = (low + high) / 2, rotation(2, side + math.pi)
        spot = table.place + forward(side) * (half - float(high[0] - low[0]) / 2 - 0.05) - turn @ middle
        top = table.place[2] + table.model.height
        rest = resting(model, turn, float(spot[0]), float(spot[1]), float(top), side + math.pi)
        place = vec(table.place[0], table.place[1], 0.0) + forward(side) * (half + 0.18 * figure.height)
        return cls(planner, number, figure, model, place, side + math.pi, rest)

    def put(self) -> bool:
        dice = self.planner.dice
        distance, speed = dice.uniform(0.7, 1.6), dice.uniform(0.8, 1.1)
        walks = self.planner.slot(distance / speed + 1.4)
        walks = (walks[0], walks[0] + distance / speed)
        hold, acts = holding(self.figure, half_width(self.model)), (walks[1] + 0.1, walks[1] + 1.0)
        begin = self.place - forward(self.yaw) * distance
        stances = walking(self.figure, begin, self.yaw, distance, walks, lambda time: hold)
        reach = between(hold, REACHING, acts)
        leave = between(REACHING, STAND, (acts[1] + 0.05, acts[1] + 0.55))
        carrier = person(self.figure, (0.0, stances), (acts[0], self._stay(reach)), (acts[1] + 0.05, self._stay(leave)))
        hand = held(self.figure, stances, self.model, np.eye(3))
        moves = _carried(hand(acts[0]), self.rest, acts)
        thing = Track(self.model.category, [(0.0, hand), (acts[0], moves), (acts[1], still(self.rest))])
        verbs = [("carry", walks, -1), ("put", acts, self.table)]
        return self._perform(carrier, thing, verbs)

    def take(self) -> bool:
        start, end = self.planner.slot(1.5)
        acts = (start + 0.6, end)
        hold = holding(self.figure, half_width(self.model))
        bend, lift = between(STAND, REACHING, (start, acts[0])), between(REACHING, hold, acts)
        carrier = person(self.figure, (0.0, self._stay(bend)), (acts[0], self._stay(lift)))
        hand = held(self.figure, self._stay(lift), self.model, np.eye(3))(acts[1])
        moves = _carried(self.rest, hand, acts)
        thing = Track(self.model.category, [(0.0, still(self.rest)), (acts[0], moves), (acts[1], still(hand))])
        return self._perform(carrier, thing, [("take", acts, self.table)])

    def _stay(self, pose: Callable[[float], Pose]) -> Stances:
        return lambda time: Stance(float(self.place[0]), float(self.place[1]), self.yaw, pose(time))

    def _perform(self, carrier: Track, thing: Track, verbs: list[tuple[str, tuple[float, float], int]]) -> bool:
        planner = self.planner
        carrier.touches.add(self.table)
        thing.touches.add(self.table)
        if not planner.clear([carrier, thing]):
            return False
        one, two = planner.add(carrier), planner.add(thing)
        carrier.touches.add(two)
        thing.touches.add(one)
        planner.actions += [Action(verb, one, *span, object=two, support=support) for verb, span, support in verbs]
        return True


def _carried(one: Placed, two: Placed, span: tuple[float, float]) -> State:
    """Return the motion of an object straight from one place to another."""
    gap = two.place - one.place
    return lambda time: moved(one, gap * ease((time - span[0]) / (span[1] - span[0])))


def fall(planner: Planner) -> bool:
    """Let an object fall off a table: a ball rolls over the edge, others slide over it and tip over.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice = planner.dice
    name = dice.pick(("ball", "mug", "box", "cylinder", "cone"))
    model = build(name, dice, dice.uniform(0.5, 0.75))
    number = _table(planner)
    if number < 0:
        return False
    start = planner.slot(2.0)[0]
    for _ in range(4):
        track, span = _over_the_edge(planner, model, planner.tracks[number].at(0.0), start)
        track.touches.add(number)
        if planner.clear([track]):
            planner.actions.append(Action("fall", planner.add(track), *span, support=number))
            return True
    return False


def _over_the_edge(planner: Planner, model: Model, table: Placed, start: float) -> tuple[Track, tuple[float, float]]:
    """Return an object that speeds up on a table, falls and comes to rest; and when it does so."""
    dice, is_ball = planner.dice, model.category == "ball"
    yaw, half = _side(planner, table)
    speed, top = dice.uniform(1.1, 1.4), float(table.place[2] + table.model.height)
    low, high = (np.asarray(corner) for corner in model.extent)
    beyond = 0.0 if is_ball else float(np.hypot(*(high - low)[:2])) / 2 + 0.01
    length = min(dice.uniform(0.25, 0.5), half) + beyond
    edge = start + 2.0 * length / speed
    begin = vec(table.place[0], table.place[1], 0.0) + forward(yaw) * (half + beyond - length)

    def distance(time: float) -> float:
        return speed * min(max(time - start, 0.0), edge - start) ** 2 / (2.0 * (edge - start))

    first = _upon(model, begin, yaw, top, distance)
    radius = float(high[0] - low[0]) / 2
    tumble = speed * math.sqrt(2.0 * top / 9.81) / radius if is_ball else math.pi / 2
    drop, landed, lying = falling(first(edge), yaw, speed, edge, tumble)
    after = (landed, landed + (1.2 if is_ball else 0.4))
    go = coasting(dice.uniform(0.5, 0.65) if is_ball else 0.15, after)
    last: State = sliding(lying, yaw, go)
    if is_ball:
        radius, center, _ = round_parts(model)
        last = Roll(model, radius, center, lying.place + lying.turn @ center, lying.turn, yaw, go)
    return Track(model.category, [(0.0, first), (edge, drop), (landed, last)]), (start, after[1])


def _upon(model: Model, begin: Vec3, yaw: float, top: float, distance: Callable[[float], float]) -> State:
    """Return an object that moves on a table: a ball rolls, others slide."""
    if model.category == "ball":
        return rolling(model, begin, yaw, distance, top)
    low, high = (np.asarray(corner) for corner in model.extent)
    turn = rotation(2, yaw)
    at = begin - turn @ np.array([*((low + high) / 2)[:2], 0.0])
    return sliding(resting(model, turn, float(at[0]), float(at[1]), top, yaw), yaw, distance)
