"""What happens in clips: each function adds objects that do something, or returns False where there is no room.

Lengths are in metres, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scenekit_datasets.synthetic.clips.camera import ease
from scenekit_datasets.synthetic.clips.people import (
    REACHING,
    STAND,
    Figure,
    Stance,
    Stances,
    forward,
    hands,
    holding,
    mixed,
    pushing,
    random_figure,
    sitting,
    walking,
    with_arm,
)
from scenekit_datasets.synthetic.clips.planner import Action, Planner
from scenekit_datasets.synthetic.clips.tracks import (
    Roll,
    State,
    Track,
    coasting,
    cruising,
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

TRIES = 10
"""How many ways are drawn before a moving object is given up."""

SHORTEST = 0.6
"""Length of the shortest way."""


def _timed(planner: Planner, length: float, speed: float) -> tuple[float, tuple[float, float]]:
    """Return a length that fits the clip at a mean speed, and when the motion happens."""
    longest = 0.65 * planner.duration * speed
    length = min(length, longest)
    return length, planner.slot(length / speed)


def roll(planner: Planner) -> bool:
    """Let a ball or a cylinder roll.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice = planner.dice
    model = build(dice.pick(("ball", "ball", "cylinder")), dice, dice.uniform(0.7, 1.25))
    return _mover(planner, model, "roll", dice.uniform(0.9, 1.5))


def slide(planner: Planner) -> bool:
    """Let an object slide.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice = planner.dice
    model = build(dice.pick(("box", "box", "crate", "cone", "mug")), dice, dice.uniform(0.75, 1.2))
    return _mover(planner, model, "slide", dice.uniform(0.6, 1.1))


def drive(planner: Planner) -> bool:
    """Let a car drive.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice = planner.dice
    scale = dice.uniform(0.35, 0.5) if planner.stage.walls else dice.uniform(0.6, 0.9)
    return _mover(planner, build("car", dice, scale), "drive", dice.uniform(0.9, 1.6))


def _mover(planner: Planner, model: Model, verb: str, speed: float) -> bool:
    dice = planner.dice
    for _ in range(TRIES):
        begin, yaw, length = planner.course(4.0)
        length, span = _timed(planner, length, speed)
        if length < SHORTEST:
            continue
        if verb == "roll":
            track = Track(model.category, [(0.0, rolling(model, begin, yaw, coasting(length, span)))])
        else:
            turn = rotation(2, yaw if verb == "drive" else dice.uniform(-math.pi, math.pi))
            facing = math.atan2(turn[1, 0], turn[0, 0])
            placed = resting(model, turn, float(begin[0]), float(begin[1]), 0.0, facing)
            track = Track(model.category, [(0.0, sliding(placed, yaw, cruising(length, span)))])
        if planner.clear([track]):
            planner.actions.append(Action(verb, planner.add(track), *span))
            return True
    return False


def walk(planner: Planner) -> bool:
    """Let a person walk, and perhaps raise an arm at the end.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice, figure = planner.dice, random_figure(planner.dice)
    speed, greets, side = dice.uniform(0.8, 1.2), dice.chance(0.35), dice.integer(0, 1)
    for _ in range(TRIES):
        begin, yaw, length = planner.course(3.5)
        length, span = _timed(planner, length, speed)
        if length < SHORTEST:
            continue
        stances = walking(figure, begin, yaw, length, span)
        track = person(figure, (0.0, stances))
        lift = (span[1] + 0.2, span[1] + 0.9)
        if greets and lift[1] < planner.duration:
            track.stances.append((span[1], raising(stances(span[1]), side, lift)))
        if planner.clear([track]):
            number = planner.add(track)
            planner.actions.append(Action("walk", number, *span))
            if len(track.stances) > 1:
                planner.actions.append(Action("raise", number, *lift, side=("left", "right")[side]))
            return True
    return False


def raising(stance: Stance, side: int, up: tuple[float, float], down: tuple[float, float] | None = None) -> Stances:
    """Create the motion of raising an arm, and of lowering it again.

    Args:
        stance: How the person stands.
        side: 0 for the left arm, 1 for the right one.
        up: Start and end of raising it.
        down: Start and end of lowering it; it stays up, if None.

    Returns:
        The stance at each time.
    """

    def stances(time: float) -> Stance:
        weight = ease((time - up[0]) / (up[1] - up[0]))
        if down is not None:
            weight -= ease((time - down[0]) / (down[1] - down[0]))
        return replace(stance, pose=with_arm(stance.pose, side, weight), room=(0.19, 0.45))

    return stances


def greet(planner: Planner) -> bool:
    """Let a person raise an arm, and lower it again.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice, figure, side = planner.dice, random_figure(planner.dice), planner.dice.integer(0, 1)
    length = min(dice.uniform(1.6, 3.0), planner.duration * 0.8)
    start, end = planner.slot(length)
    up, down = (start, start + 0.7), (end - 0.7, end)
    for _ in range(TRIES):
        x, y, _ = planner.spot(inside=True)
        yaw = -math.pi / 2 + dice.uniform(-0.8, 0.8)
        track = person(figure, (0.0, raising(Stance(float(x), float(y), yaw), side, up, down)))
        if planner.clear([track]):
            number, name = planner.add(track), ("left", "right")[side]
            planner.actions += [Action("raise", number, *up, side=name), Action("lower", number, *down, side=name)]
            return True
    return False


def sit(planner: Planner) -> bool:
    """Let a person sit down on a chair, or stand up and perhaps walk away.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice, figure, down = planner.dice, random_figure(planner.dice), planner.dice.chance(0.5)
    leaves = dice.chance(0.6)
    chair = planner.stand(build("chair", dice, 1.05))
    if chair < 0:
        return False
    placed = planner.tracks[chair].at(0.0)
    rest = placed.model.top
    assert rest is not None
    spot = placed.place + placed.turn @ np.array([rest.x + rest.half_x * 0.35 - 0.08, 0.0, 0.0])
    seat = vec(spot[0], spot[1], placed.place[2] + rest.z)
    length = dice.uniform(1.0, 1.4)
    span = planner.slot(length)
    stances, feet = sitting(figure, seat, placed.yaw, span, down)
    track = person(figure, (0.0, stances))
    track.touches.add(chair)
    walks = (span[1] + 0.1, min(span[1] + dice.uniform(1.2, 1.8), planner.duration - 0.1))
    away = (walks[1] - walks[0]) * 0.9
    moves = not down and leaves and away > SHORTEST
    if moves:
        track.stances.append((walks[0], walking(figure, feet, placed.yaw, away, walks)))
    if not planner.clear([track]):
        return False
    number = planner.add(track)
    planner.actions.append(Action("sit" if down else "rise", number, *span, support=chair))
    if moves:
        planner.actions.append(Action("walk", number, *walks))
    return True


def push(planner: Planner) -> bool:
    """Let a person push a box or a chair.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    dice, figure = planner.dice, random_figure(planner.dice)
    model = build(dice.pick(("box", "crate", "chair")), dice, dice.uniform(1.25, 1.45))
    speed, half = dice.uniform(0.6, 0.9), -float(model.extent[0][0])
    lean = pushing(figure, model.height)
    reach = hands(figure, Stance(0.0, 0.0, 0.0, lean))[0] + 0.05 * figure.height + half
    for _ in range(TRIES):
        begin, yaw, length = planner.course(2.6)
        length, span = _timed(planner, length, speed)
        if length < SHORTEST:
            continue
        leaning = _between(STAND, lean, (span[0] - 0.4, span[0]), (span[1] + 0.1, span[1] + 0.5))
        stances = walking(figure, begin - forward(yaw) * reach, yaw, length, span, leaning)
        pusher = person(figure, (0.0, stances))
        placed = resting(model, rotation(2, yaw), float(begin[0]), float(begin[1]), 0.0, yaw)
        thing = Track(model.category, [(0.0, sliding(placed, yaw, cruising(length, span)))])
        if planner.clear([pusher, thing]):
            one, two = planner.add(pusher), planner.add(thing)
            pusher.touches.add(two)
            thing.touches.add(one)
            planner.actions.append(Action("push", one, *span, object=two))
            return True
    return False


def _between(
    one: Pose, two: Pose, to: tuple[float, float], back: tuple[float, float] | None = None
) -> Callable[[float], Pose]:
    """Return a pose that goes from `one` to `two`, and back again."""

    def pose(time: float) -> Pose:
        weight = ease((time - to[0]) / (to[1] - to[0]))
        if back is not None:
            weight -= ease((time - back[0]) / (back[1] - back[0]))
        return mixed(one, two, weight)

    return pose


def _portable(planner: Planner) -> Model:
    dice = planner.dice
    name = dice.pick(("mug", "ball", "box", "cylinder", "cone"))
    return build(name, dice, dice.uniform(0.5, 0.62) if name == "box" else dice.uniform(0.55, 0.75))


def _half(model: Model) -> float:
    """Return half the width of an object as a person holds it."""
    low, high = model.extent
    return float(high[1] - low[1]) / 2


def carry(planner: Planner) -> bool:
    """Let a person carry an object.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    figure = random_figure(planner.dice)
    model, speed = _portable(planner), planner.dice.uniform(0.7, 1.1)
    pose = holding(figure, _half(model))
    for _ in range(TRIES):
        begin, yaw, length = planner.course(3.2)
        length, span = _timed(planner, length, speed)
        if length < SHORTEST:
            continue
        stances = walking(figure, begin, yaw, length, span, lambda time: pose)
        carrier = person(figure, (0.0, stances))
        thing = Track(model.category, [(0.0, held(figure, stances, model, np.eye(3)))])
        if planner.clear([carrier, thing]):
            one, two = planner.add(carrier), planner.add(thing)
            carrier.touches.add(two)
            thing.touches.add(one)
            planner.actions.append(Action("carry", one, *span, object=two))
            return True
    return False


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
    model, takes = _portable(planner), planner.dice.chance(0.4)
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
        hold, acts = holding(self.figure, _half(self.model)), (walks[1] + 0.1, walks[1] + 1.0)
        begin = self.place - forward(self.yaw) * distance
        stances = walking(self.figure, begin, self.yaw, distance, walks, lambda time: hold)
        reach = _between(hold, REACHING, acts)
        leave = _between(REACHING, STAND, (acts[1] + 0.05, acts[1] + 0.55))
        carrier = person(self.figure, (0.0, stances), (acts[0], self._stay(reach)), (acts[1] + 0.05, self._stay(leave)))
        hand = held(self.figure, stances, self.model, np.eye(3))
        moves = _carried(hand(acts[0]), self.rest, acts)
        thing = Track(self.model.category, [(0.0, hand), (acts[0], moves), (acts[1], still(self.rest))])
        verbs = [("carry", walks, -1), ("put", acts, self.table)]
        return self._perform(carrier, thing, verbs)

    def take(self) -> bool:
        start, end = self.planner.slot(1.5)
        acts = (start + 0.6, end)
        hold = holding(self.figure, _half(self.model))
        bend, lift = _between(STAND, REACHING, (start, acts[0])), _between(REACHING, hold, acts)
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


TROUPES: dict[str, Callable[[Planner], bool]] = {
    "roll": roll,
    "slide": slide,
    "drive": drive,
    "walk": walk,
    "greet": greet,
    "sit": sit,
    "push": push,
    "carry": carry,
    "put": put,
    "fall": fall,
}
"""All troupes by name."""

WEIGHTS = {
    "roll": 1.3,
    "slide": 1.0,
    "drive": 0.6,
    "walk": 1.5,
    "greet": 0.6,
    "sit": 1.6,
    "push": 0.8,
    "carry": 0.6,
    "put": 1.6,
    "fall": 1.5,
}
"""How often each is drawn."""
