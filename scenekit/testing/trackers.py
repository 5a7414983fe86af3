"""The contract of trackers. Letters: N objects of an image."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.hooks import TrackerSpec
from scenekit.keys import OBJECTS, Key
from scenekit.scene import Objects, Scene
from scenekit.structures.cameras import Camera
from scenekit.structures.moments import Moment
from scenekit.testing.check import RuleError, SkipError, check, report_of
from scenekit.testing.compare import difference
from scenekit.testing.images import VOCABULARY, example
from scenekit.testing.report import Report
from scenekit.tracking.track import built, checked_ids
from scenekit.tracking.tracker import UNCONFIRMED, Tracker

SIZE, STEP, LENGTH = (96, 128), 0.04, 12
"""Height and width of the images, seconds between them, and how many there are."""

LONG = 3600.0
"""Seconds after which no object is still expected."""


@dataclass(frozen=True, eq=False)
class TrackerBench:
    """The tracker under check, and the keys that its scenes have."""

    tracker: Tracker
    keys: tuple[Key[Any, Any], ...]

    def scene(self, places: Sequence[int], number: int, later: float = 0.0) -> Scene:
        """Return a scene with objects at these places, left to right."""
        boxes = torch.tensor([[x, 20.0, x + 24.0, 60.0] for x in places]).reshape(-1, 4)
        labels = torch.arange(len(places)) % len(VOCABULARY.things)
        objects = Objects(boxes, labels, scores=torch.full((len(places),), 0.95))
        moment = Moment(number * STEP + later, number)
        scene = Scene(SIZE, VOCABULARY, {OBJECTS: objects}, camera=Camera.default(*SIZE), moment=moment)
        return replace(scene, values={key: example(key, scene) for key in self.keys})

    def run(self, scenes: Sequence[Scene]) -> list[Int[Tensor, " N"]]:
        """Return the ids that the tracker gives the objects of a stream."""
        self.tracker.reset()
        return [checked_ids(self.tracker.update(scene), scene) for scene in scenes]

    def standing(self, count: int = LENGTH) -> list[Scene]:
        """Return the scenes of a stream whose three objects stand still."""
        return [self.scene((4, 44, 84), number) for number in range(count)]

    def moving(self) -> list[Scene]:
        """Return the scenes of a stream whose two objects move slowly."""
        return [self.scene((4 + number, 90 - number), number) for number in range(LENGTH)]


def check_tracker(
    spec: TrackerSpec, *, options: Mapping[str, Any] | None = None, only: Collection[str] | None = None
) -> Report:
    """Check a tracker against the rules that `sk.track` relies on.

    Args:
        spec: Record of the tracker.
        options: Its options.
        only: Names of the checks to run; all, if None.

    Returns:
        Every broken rule with the reason and the remedy, what passed and what was skipped. A tracker of a package that
        is not installed is skipped.

    Raises:
        InputError: For unknown checks.
    """

    def bench() -> TrackerBench:
        try:
            tracker = built(spec, options or {})
        except InputError as error:
            if isinstance(error.__context__, ImportError):
                raise SkipError(str(error)) from None
            raise
        return TrackerBench(tracker, spec.uses)

    remedy = "see the error; `build(config)` must return a scenekit.Tracker"
    return report_of("tracker", spec.name, bench, TRACKER_CHECKS, only, remedy)


@check("return a tensor of integers, one for each object: its id from 0, or -1", essential=True)
def ids(bench: TrackerBench) -> None:
    """It returns an id for each object, each at most once in an image, also where there are no objects."""
    bench.run([*bench.moving(), bench.scene((), LENGTH), bench.scene((30,), LENGTH + 1)])


@check("match each object with the track whose last box is closest to it")
def lasting(bench: TrackerBench) -> None:
    """Objects that stand still or move slowly get ids within ten images, and keep them."""
    for scenes in (bench.standing(), bench.moving()):
        rows = bench.run(scenes)
        if (rows[-2] == UNCONFIRMED).any():
            raise RuleError(f"after {len(rows) - 1} images the ids are {rows[-2].tolist()}; expected no -1")
        for number, row in enumerate(rows[1:], start=1):
            before = rows[number - 1]
            changed = (row != before) & (before != UNCONFIRMED)
            if changed.any():
                raise RuleError(f"image {number}: ids changed from {before.tolist()} to {row.tolist()}")


@check("go by boxes, not by rows: objects come in any order")
def rows(bench: TrackerBench) -> None:
    """Ids follow the objects when their rows change places."""
    scenes, order = bench.standing(), torch.tensor([2, 0, 1])
    swapped = [scene.select(OBJECTS, order) if number == LENGTH - 1 else scene for number, scene in enumerate(scenes)]
    found = bench.run(swapped)
    if found[-1].tolist() != found[-2][order].tolist():
        raise RuleError(f"ids {found[-2].tolist()} became {found[-1].tolist()} for the rows {order.tolist()}")


@check("count ids on for the whole stream, and end tracks that have had no object for long")
def never_again(bench: TrackerBench) -> None:
    """An id is never used again for another object of the stream."""
    early = bench.moving()
    late = [bench.scene((60,), LENGTH + number, later=LONG) for number in range(LENGTH)]
    found = bench.run([*early, bench.scene((), LENGTH, later=LONG / 2), *late])
    used = {number for row in found[:LENGTH] for number in row.tolist()} - {UNCONFIRMED}
    again = used & {number for row in found[LENGTH:] for number in row.tolist()}
    if again:
        raise RuleError(f"an object that comes {LONG:g} s after all others have left gets the id {min(again)} of one")


@check("set everything back in `reset`, also what counts the ids, and draw no random numbers")
def resets(bench: TrackerBench) -> None:
    """After `reset` the same scenes get the same ids."""
    first, second = (bench.run(bench.moving()) for _ in range(2))
    if differing := difference(first, second, tolerance=0.0):
        raise RuleError(f"the ids differ: {differing}")


@check("copy tensors of the scene before you change them")
def scenes(bench: TrackerBench) -> None:
    """It leaves the scenes as they are."""
    given = bench.moving()
    before = pickle.loads(pickle.dumps([list(_tensors(scene)) for scene in given]))
    bench.run(given)
    if differing := difference(before, [list(_tensors(scene)) for scene in given], tolerance=0.0):
        raise RuleError(f"it changes the scene: {differing}")


def _tensors(scene: Scene) -> Iterator[Float[Tensor, "..."] | Int[Tensor, "..."]]:
    yield from (scene.objects.boxes, scene.objects.labels, scene.objects.ids)
    yield from (value for value in scene.values.values() if isinstance(value, Tensor))


TRACKER_CHECKS = (ids, lasting, rows, never_again, resets, scenes)
"""The rules of trackers."""
