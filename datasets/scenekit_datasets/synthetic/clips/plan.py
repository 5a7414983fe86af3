"""Plans of clips: draws a stage, a camera path and what happens until enough of it is visible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenekit_datasets.synthetic.clips.camera import random_path
from scenekit_datasets.synthetic.clips.events import Event, Sampled, events, sampled
from scenekit_datasets.synthetic.clips.planner import Plan, Planner
from scenekit_datasets.synthetic.clips.troupes import TROUPES, WEIGHTS
from scenekit_datasets.synthetic.rng import Dice
from scenekit_datasets.synthetic.stage import random_stage
from scenekit_datasets.synthetic.tracer import require_embree

FEWEST, MOST = 2, 5
"""Events of a clip."""

MOST_OBJECTS = 10


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan and what is visible of it."""

    plan: Plan
    """The plan."""
    events: tuple[Event, ...]
    """What happens, by its start."""


def plan_clip(seed: int, index: int, duration: float, still: bool = False) -> Planned:
    """Draw the plan of a clip.

    Args:
        seed: Seed of the clip.
        index: Index of the clip.
        duration: Its length in seconds.
        still: Whether nothing moves but the camera, which then shows the objects from several sides.

    Returns:
        The plan, with two to five events unless it is still.

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
        if (still and _visible(seen) >= 3) or (not still and FEWEST <= len(found) <= MOST):
            return Planned(plan, tuple(found))
        attempt += 1


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
