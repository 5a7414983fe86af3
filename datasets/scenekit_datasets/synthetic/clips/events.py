"""What happens in a clip, in words: a small closed vocabulary filled in with the ground truth.

Letters: S sample times, N objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit_datasets.synthetic import annotate, textures
from scenekit_datasets.synthetic.captions import brief, indefinite
from scenekit_datasets.synthetic.clips.planner import STEP, Action, Plan
from scenekit_datasets.synthetic.geometry import Vec3, rectangles_overlap
from scenekit_datasets.synthetic.layout import Placed
from scenekit_datasets.synthetic.relations import middle_world
from scenekit_datasets.synthetic.render import Renderer, Surface, pixel_rays

GRID = (60, 80)
"""Rows and columns of the rays with which visibility is sampled, whatever the size of the images."""

SHOWN = 5
"""An actor is visible when it covers at least this many rays of the grid: 80 pixels of 240 x 320."""

SEEN = 0.6
"""Part of an event in which its actor must be visible."""

WHOLE = 0.75
"""Part of an action, such as a fall, in which its actor must be visible; a motion is cut to its visible part."""

UNNOTICED = 3
"""Samples in which the actor of an action that is no event may be visible."""

SHORTEST = 0.35
"""Seconds that an event lasts at least."""

AWAY = 0.3
"""Metres that an object moves in a direction for it to be named."""

CLEARLY = 1.2
"""That direction exceeds the other by this factor."""

VERBS: dict[str, str] = {"roll": "rolls", "slide": "slides", "drive": "drives", "walk": "walks"}
"""Verbs of motion."""

TEMPLATES: dict[str, tuple[str, ...]] = {
    "sit": ("{a} sits down on {s}", "{a} sits down", "{short} takes a seat on a chair"),
    "rise": ("{a} stands up from {s}", "{a} stands up", "{short} gets up from a chair"),
    "raise": ("{a} raises the {side} arm", "{a} raises an arm", "{short} lifts the {side} arm"),
    "lower": ("{a} lowers the {side} arm", "{a} lowers an arm", "{short} puts the {side} arm down"),
    "fall": ("{a} falls off {s}", "{a} falls to the {ground}", "{short} falls off a table"),
    "put": ("{a} puts {o} on {s}", "{short} puts {o} down", "{o} is put on a table"),
    "take": ("{a} takes {o} from {s}", "{short} picks {o} up", "{o} is taken from a table"),
    "push": ("{a} pushes {o}", "{short} pushes {o}{way}", "{o} is pushed by a person"),
    "carry": ("{a} carries {o}", "{short} carries {o}{way}", "{o} is carried by a person"),
}
"""Sentences of actions: actor a, object o and support s by color and class, the actor's class alone in short."""


@dataclass(frozen=True)
class Event:
    """Something that happens and is visible."""

    start: float
    """When it begins, in seconds."""
    end: float
    """When it ends, in seconds."""
    captions: tuple[str, ...]
    """Sentences that describe it."""
    verb: str
    """Name of the action."""
    objects: tuple[int, ...]
    """Ids of who takes part, the actor first."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """A plan at sample times, as seen by a coarse grid of rays."""

    plan: Plan
    times: Float[np.ndarray, " S"]
    """The times in seconds."""
    renderers: list[Renderer]
    """The scene at each time."""
    surfaces: list[Surface]
    """What the rays show."""
    shown: Int[np.ndarray, "S N"]
    """Rays that show each object."""
    rows: dict[int, int] = field(default_factory=dict)
    """Column of each object number."""

    def visible(self, number: int) -> np.ndarray:
        """Return at which times [S] an object is visible."""
        return np.asarray(self.shown[:, self.rows[number]] >= SHOWN)

    def middle(self, sample: int, number: int, camera: int) -> Vec3:
        """Return the middle of an object at a sample, in the camera frame of another."""
        view = self.renderers[camera].stage.view
        placed = self.renderers[sample].objects[self.rows[number]]
        return np.asarray(view.rotation @ (middle_world(placed) - view.position))


def sampled(plan: Plan) -> Sampled:
    """Look at a plan at sample times.

    Args:
        plan: The plan.

    Returns:
        What is visible when.
    """
    rays = pixel_rays(GRID, plan.stage.view.focal * GRID[1])
    times = np.arange(0.0, plan.duration + 1e-9, STEP)
    renderers = [plan.renderer(float(time)) for time in times]
    surfaces = [renderer.surface(rays) for renderer in renderers]
    count = len(plan.present)
    shown = [np.bincount(s.owner[(s.owner >= 0) & (s.owner < count)], minlength=count) for s in surfaces]
    rows = {number: row for row, number in enumerate(plan.present)}
    return Sampled(plan, times, renderers, surfaces, np.array(shown), rows)


def events(seen: Sampled) -> list[Event]:
    """Describe the visible actions of a plan.

    Args:
        seen: The plan at sample times.

    Returns:
        The events by their start.
    """
    found = [_event(seen, action) for action in seen.plan.actions]
    return sorted((event for event in found if event is not None), key=lambda event: (event.start, event.end))


def undescribed(seen: Sampled) -> bool:
    """Return whether an action that can be seen for a while is none of the events.

    Args:
        seen: The plan at sample times.

    Returns:
        True if so: the events of such a clip would not be all that happens.
    """
    actions = [action for action in seen.plan.actions if _event(seen, action) is None]
    return any((_inside(seen, action) & seen.visible(action.actor)).sum() > UNNOTICED for action in actions)


def _inside(seen: Sampled, action: Action) -> Bool[np.ndarray, " S"]:
    """Return the sample times of an action."""
    return np.asarray((seen.times >= action.start - STEP / 2) & (seen.times <= action.end + STEP / 2))


def _event(seen: Sampled, action: Action) -> Event | None:
    """Return the event of an action, cut to when all who take part are visible; None where that is too short."""
    who = tuple(number for number in (action.actor, action.object, action.support) if number >= 0)
    inside = _inside(seen, action)
    movers = [number for number in who if number != action.support]
    visible = inside & np.all([seen.visible(number) for number in movers], axis=0)
    if visible.sum() < 2:
        return None
    first, last = np.flatnonzero(visible)[[0, -1]]
    begins, ends = bool(visible[inside][0]), bool(visible[inside][-1])
    start = action.start if begins else float(seen.times[first])
    end = min(action.end if ends else float(seen.times[last]), seen.plan.duration)
    enough = visible.sum() >= SEEN * (last - first + 1) and end - start >= SHORTEST
    whole = action.verb in (*VERBS, "push", "carry") or (begins and visible.sum() >= WHOLE * inside.sum())
    held = action.support < 0 or seen.visible(action.support)[first : last + 1].mean() >= SEEN
    if not (enough and whole and held and action.end <= seen.plan.duration + STEP):
        return None
    samples = np.arange(first, last + 1)
    captions, named = _sentences(seen, action, samples, begins, ends)
    return Event(start, end, captions, action.verb, (*who, *named))


def _look(seen: Sampled, number: int, samples: Int[np.ndarray, " M"]) -> annotate.Looks:
    """Return the looks of an object when it is most visible."""
    row = seen.rows[number]
    best = int(samples[seen.shown[samples, row].argmax()])
    return annotate.looks(seen.renderers[best], seen.surfaces[best], row, None)


def _sentences(
    seen: Sampled, action: Action, samples: Int[np.ndarray, " M"], begins: bool, ends: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the sentences of an event, and the numbers of further objects that they name."""
    look = _look(seen, action.actor, samples)
    full, short = brief(look), indefinite(look.category)
    way = _direction(seen, action.actor, samples)
    if action.verb not in VERBS:
        words = {
            "a": full,
            "short": short,
            "o": brief(_look(seen, action.object, samples)) if action.object >= 0 else "",
            "s": brief(_look(seen, action.support, samples)) if action.support >= 0 else "",
            "side": action.side,
            "ground": _ground(seen, action.actor, samples[-1:]),
            "way": f" {way}" if way else "",
        }
        return _unique(template.format(**words) for template in TEMPLATES[action.verb]), ()
    verb, number = VERBS[action.verb], -1
    passing = _passing(seen, action, samples)
    texts = []
    if passing is not None:
        relation, number = passing
        texts.append(f"{full} {verb} {relation} {brief(_look(seen, number, samples))}")
        texts.append(f"{short} {verb} {relation} {indefinite(seen.plan.tracks[number].category)}")
    if begins != ends:
        texts.append(f"{full} {verb} {'out of' if begins else 'into'} view")
    if way:
        texts.append(f"{full} {verb} {way}")
        texts.append(f"{short} {verb} {way}")
    if len(texts) < 2:
        place = _ground(seen, action.actor, samples)
        texts.append(f"{full} {verb} on the {place}" if place else f"{full} {verb}")
        texts.append(f"{short} {verb}")
    return _unique(texts[:4]), (number,) if number >= 0 else ()


def _ground(seen: Sampled, number: int, samples: Int[np.ndarray, " M"]) -> str | None:
    """Return the ground under an object, None where it is not the same all the time."""
    stage, row = seen.plan.stage, seen.rows[number]
    places = np.array([middle_world(seen.renderers[int(sample)].objects[row])[:2] for sample in samples])
    if stage.patch is None:
        return stage.ground
    on_patch = textures.in_patch(stage.patch, places[:, 0], places[:, 1])
    if on_patch.any() and not on_patch.all():
        return None
    return stage.patch.kind if on_patch.all() else stage.ground


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _direction(seen: Sampled, number: int, samples: Int[np.ndarray, " M"]) -> str | None:
    """Return the direction of a motion as the camera in its middle sees it, if image and geometry agree."""
    first, last, camera = int(samples[0]), int(samples[-1]), int(samples[len(samples) // 2])
    begin, end = (seen.middle(sample, number, camera) for sample in (first, last))
    across, deep = end[0] - begin[0], end[2] - begin[2]
    if abs(across) >= AWAY and abs(across) > CLEARLY * abs(deep):
        one, two = (seen.middle(sample, number, sample) for sample in (first, last))
        agrees = (two[0] / max(two[2], 0.3) - one[0] / max(one[2], 0.3)) * across > 0
        return f"to the {'right' if across > 0 else 'left'}" if agrees else None
    if abs(deep) >= AWAY and abs(deep) > CLEARLY * abs(across):
        return "away from the camera" if deep > 0 else "towards the camera"
    return None


def _passing(seen: Sampled, action: Action, samples: Int[np.ndarray, " M"]) -> tuple[str, int] | None:
    """Return the still object that a mover passes: behind or in front of it in the image, or past it on the ground."""
    best: tuple[str, int] | None = None
    for number, placed in _landmarks(seen, action.actor, samples):
        relation = _relation(seen, action.actor, number, placed, samples)
        if relation in ("behind", "in front of"):
            return relation, number
        best = best or ((relation, number) if relation else None)
    return best


def _landmarks(seen: Sampled, actor: int, samples: Int[np.ndarray, " M"]) -> list[tuple[int, Placed]]:
    """Return what stands still and is visible during an event, the largest first."""
    out = []
    for number, row in seen.rows.items():
        track = seen.plan.tracks[number]
        ends = [seen.renderers[int(sample)].objects[row] for sample in (samples[0], samples[-1])]
        if number != actor and not track.raised and ends[0] is ends[1] and seen.visible(number)[samples].all():
            out.append((number, ends[0]))
    return sorted(out, key=lambda entry: -int(seen.shown[samples, seen.rows[entry[0]]].sum()))


def _relation(seen: Sampled, actor: int, number: int, placed: Placed, samples: Int[np.ndarray, " M"]) -> str | None:
    offsets, deeper, overlap, close = [], [], [], False
    for sample in samples.tolist():
        mover = seen.renderers[sample].objects[seen.rows[actor]]
        one, two = (seen.middle(sample, n, sample) for n in (actor, number))
        offsets.append(one[0] / max(one[2], 0.3) - two[0] / max(two[2], 0.3))
        deeper.append(one[2] - two[2])
        overlap.append(_overlap(*(_image_box(seen.renderers[sample], seen.rows[n]) for n in (actor, number))))
        close = close or rectangles_overlap(mover.base, placed.base, 0.8)
    if offsets[0] * offsets[-1] > 0:
        return None
    crossing = int(np.abs(offsets).argmin())
    if overlap[crossing] and abs(deeper[crossing]) > 0.25 and abs(deeper[crossing]) < 2.0:
        return "behind" if deeper[crossing] > 0 else "in front of"
    return "past" if close else None


def _image_box(renderer: Renderer, row: int) -> Float[np.ndarray, "4"]:
    """Return the box of an object, hidden parts included, on the plane z = 1."""
    verts = renderer.solids[row].verts
    xy = verts[:, :2] / np.maximum(verts[:, 2:], 0.1)
    return np.concatenate([xy.min(0), xy.max(0)])


def _overlap(one: Float[np.ndarray, "4"], two: Float[np.ndarray, "4"]) -> bool:
    """Return whether two boxes share a good part of the smaller one."""
    sides = np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2])
    least = np.minimum(one[2:] - one[:2], two[2:] - two[:2])
    return bool((sides > 0.2 * least).all())
