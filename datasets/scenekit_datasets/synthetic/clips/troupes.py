"""What happens in clips: each function adds objects that do something, or returns False where there is no room.

Lengths are in metres, times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scenekit_datasets.synthetic.clips.camera import ease
from scenekit_datasets.synthetic.clips.people import (
    STAND,
    Stance,
    Stances,
    forward,
    hands,
    holding,
    pushing,
    random_figure,
    sitting,
    walking,
    with_arm,
)
from scenekit_datasets.synthetic.clips.planner import Action, Planner
from scenekit_datasets.synthetic.clips.tables import between, fall, half_width, portable, put
from scenekit_datasets.synthetic.clips.tracks import (
    Track,
    coasting,
    cruising,
    held,
    person,
    resting,
    rolling,
    sliding,
)
from scenekit_datasets.synthetic.geometry import rotation, vec
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
        leaning = between(STAND, lean, (span[0] - 0.4, span[0]), (span[1] + 0.1, span[1] + 0.5))
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


def carry(planner: Planner) -> bool:
    """Let a person carry an object.

    Args:
        planner: The clip.

    Returns:
        Whether there was room.
    """
    figure = random_figure(planner.dice)
    model, speed = portable(planner), planner.dice.uniform(0.7, 1.1)
    pose = holding(figure, half_width(model))
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
