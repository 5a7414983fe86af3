"""Plans of clips: draws a stage, a camera path and what happens until enough of it is visible."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scenekit_datasets.synthetic.clips.camera import random_path
from scenekit_datasets.synthetic.clips.events import Event, Sampled, events, sampled, undescribed
from scenekit_datasets.synthetic.clips.planner import Plan, Planner
from scenekit_datasets.synthetic.clips.tracks import Track, resting
from scenekit_datasets.synthetic.clips.tracks import still as still_state
from scenekit_datasets.synthetic.clips.troupes import TROUPES, WEIGHTS
from scenekit_datasets.synthetic.geometry import rotation
from scenekit_datasets.synthetic.layout import WEIGHTS as SOLID
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.relations import middle_world
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.shapes import build
from scenekit_datasets.synthetic.stage import random_stage
from scenekit_datasets.synthetic.tracer import require_embree
from scenekit_datasets.synthetic.vocabulary import THINGS

FEWEST, MOST = 2, 5
"""Events of a clip."""

MOST_OBJECTS = 10

FARTHER = 0.5
"""Metres that an object is moved between visits at least."""


@dataclass(frozen=True)
class Change:
    """What is different about one object at a later visit."""

    kind: str
    """"moved", "appeared" or "vanished"."""
    id: int
    """Identity of the object."""
    label: int
    """Index into vocabulary.THINGS."""
    before: tuple[float, float, float] | None
    """Middle of its 3D box in the world at the end of visit 0, in metres; None for one that appeared."""
    after: tuple[float, float, float] | None
    """Middle of its 3D box in the world at visit 1, in metres; None for one that vanished."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan and what is visible of it."""

    plan: Plan
    """The plan."""
    events: tuple[Event, ...]
    """What happens, by its start."""
    changes: tuple[Change, ...] = ()
    """What is different from the end of visit 0."""


def plan_clip(seed: int, index: int, duration: float, still: bool = False, visit: int = 0) -> Planned:
    """Draw the plan of a clip.

    Args:
        seed: Seed of the clip.
        index: Index of the clip.
        duration: Its length in seconds.
        still: Whether nothing moves but the camera, which then shows the objects from several sides.
        visit: 0, or 1 for a later visit.

    Returns:
        The plan, with two to five events unless nothing moves.

    Raises:
        InputError: If embree is missing.
    """
    require_embree()
    attempt = 0
    while True:
        dice = Dice("scenekit clip", seed, index, attempt)
        plan = _draw(dice, duration, still)
        seen = sampled(plan)
        found = events(seen)
        if (still and _visible(seen) >= 3) or (not still and FEWEST <= len(found) <= MOST and not undescribed(seen)):
            break
        attempt += 1
    return revisited(Dice("scenekit visit", seed, index), plan) if visit else Planned(plan, tuple(found))


def _visible(seen: Sampled) -> int:
    return int((np.array([seen.visible(number).any() for number in seen.rows])).sum())


def _draw(dice: Dice, duration: float, still: bool) -> Plan:
    stage = random_stage(dice)
    planner = Planner(dice, stage, random_path(dice, stage, duration, wide=still), duration)
    planner.furnish(dice.integer(4, 8) if still else dice.integer(2, 5))
    count = 0 if still else dice.weighted({2: 0.45, 3: 0.4, 4: 0.15})
    for _ in range(3 * count):
        if count and len(planner.tracks) < MOST_OBJECTS:
            count -= TROUPES[dice.weighted(WEIGHTS)](planner)
    return Plan(stage, planner.path, tuple(planner.tracks), tuple(planner.actions), duration)


def revisited(dice: Dice, plan: Plan) -> Planned:
    """Draw a later visit to the place in which a clip ends: one or two objects moved, up to one each added and removed.

    Args:
        dice: Source of random choices.
        plan: The clip.

    Returns:
        The plan of the visit, and what has changed. Objects that carry others, and persons, stay.
    """
    path = random_path(dice, plan.stage, plan.duration, wide=True)
    planner = Planner(dice, plan.stage, path, plan.duration)
    last = [track.at(plan.duration) for track in plan.tracks]
    planner.tracks = [_remaining(track, placed) for track, placed in zip(plan.tracks, last, strict=True)]
    planner.keep_clear(last)
    free = dice.shuffled([number for number, track in enumerate(plan.tracks) if _loose(plan, number, track)])
    changes: list[Change | None] = [_vanish(planner, free.pop(), last)] if free and dice.chance(0.6) else []
    changes += [_move(planner, free.pop(), last) for _ in range(min(dice.integer(1, 2), len(free)))]
    if dice.chance(0.7):
        changes.append(_appear(planner))
    found = [change for change in changes if change is not None]
    return Planned(Plan(plan.stage, planner.path, tuple(planner.tracks), (), plan.duration, visit=1), (), tuple(found))


def _remaining(track: Track, placed: Placed) -> Track:
    """Return the track of an object that stays where it is; for good if it rests on another one."""
    raised = track.raised or placed.verts[:, 2].min() > 0.05
    return Track(track.category, [(0.0, still_state(placed))], set(track.touches), raised=raised)


def _loose(plan: Plan, number: int, track: Track) -> bool:
    """Return whether an object can be moved by itself: it is no person, and nothing rests on it or holds it."""
    carried = any(number in other.touches for other in plan.tracks if other is not track)
    return track.category != "person" and not carried and track.figure is None


def _middle(placed: Placed) -> tuple[float, float, float]:
    x, y, z = middle_world(placed).tolist()
    return x, y, z


def _vanish(planner: Planner, number: int, last: list[Placed]) -> Change:
    track = planner.tracks[number]
    track.visits, track.raised = (0,), True
    return Change("vanished", number, THINGS.index(track.category), _middle(last[number]), None)


def _move(planner: Planner, number: int, last: list[Placed]) -> Change | None:
    """Move an object by at least half a metre; None without room."""
    model, track = last[number].model, planner.tracks[number]
    before = _middle(last[number])
    track.visits = ()
    for _ in range(20):
        spot = planner.spot(inside=True)
        yaw = planner.dice.uniform(-math.pi, math.pi)
        placed = resting(model, rotation(2, yaw), float(spot[0]), float(spot[1]), 0.0, yaw)
        other = Track(track.category, [(0.0, still_state(placed))], {number})
        if math.dist(_middle(placed)[:2], before[:2]) >= FARTHER and planner.clear([other]):
            planner.tracks[number] = other
            return Change("moved", number, THINGS.index(track.category), before, _middle(placed))
    track.visits = (0, 1)
    return None


def _appear(planner: Planner) -> Change | None:
    dice = planner.dice
    model = build(dice.weighted({name: weight for name, weight in SOLID.items() if name != "car"}), dice)
    for _ in range(20):
        spot, yaw = planner.spot(inside=True), dice.uniform(-math.pi, math.pi)
        placed = resting(model, rotation(2, yaw), float(spot[0]), float(spot[1]), 0.0, yaw)
        track = Track(model.category, [(0.0, still_state(placed))], visits=(1,))
        if planner.clear([track]):
            return Change("appeared", planner.add(track), THINGS.index(model.category), None, _middle(placed))
    return None
