"""From scenes of a stream to scenes whose ids last."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Int
from torch import Tensor

from scenekit.config import validated
from scenekit.errors import InputError, PluginError, repr_of
from scenekit.hooks import TrackerSpec, naming_plugin, registry
from scenekit.io.clock import USUAL_RATE, ForwardClock
from scenekit.keys import OBJECTS
from scenekit.scene import Scene
from scenekit.structures.moments import Moment
from scenekit.tracking.smoothing import Smoother
from scenekit.tracking.tracker import UNCONFIRMED, Tracker

_log = logging.getLogger(__name__)


def track(
    scenes: Iterable[Scene | InputError],
    tracker: str | Tracker = "associate",
    *,
    smooth: float | int | None = None,
    votes: bool = False,
    unconfirmed: str = "drop",
    rate: float | int = USUAL_RATE,
    **options: Any,
) -> Iterator[Scene | InputError]:
    """Track the objects of a stream: yield its scenes with ids that last, one after the other, lazily.

    All values of an object follow it: `scene.objects.ids` says which row of `scene[sk.MASKS]` is whose. A scene whose
    time repeats or goes back counts as one image (1 / `rate` seconds) later than the one before, and those after it
    from there; that is logged once, and the scenes keep their times.

    ```python
    for scene in sk.track(model.predict(sk.video("clip.mp4"))):
        print(scene.moment.time, scene.objects.ids)
    ```

    Args:
        scenes: The scenes of one stream in order, of one vocabulary. An InputError in the place of an image, as
            `predict` yields it, is passed on.
        tracker: The name of a tracker that is installed (see `scenekit plugins`), or a `Tracker`.
        smooth: Seconds over which values of an object are averaged, later ones never: keypoints, the distance, size and
            rotation of 3D boxes, attributes, scores, labels by votes, and values of other keys whose field has `blend`.
            None leaves them as they are.
        votes: Whether an object gets the label that scored most over its track so far; `smooth` counts the votes of the
            last seconds, without `votes`, too.
        unconfirmed: What becomes of objects that belong to no confirmed track: "drop" leaves them out, "keep" keeps
            them with the id -1.
        rate: Images a second where scenes have no `moment`, or their times repeat; those that failed count.
        **options: Options of the tracker, see its configuration.

    Returns:
        An iterator over the scenes with `objects.ids`, whose rows are those of the given scene that are left.

    Raises:
        InputError: There is no such tracker or option. While iterating: a scene that has no time where others have one,
            or another vocabulary.
        PluginError: While iterating: the tracker returns something else than ids.
    """
    if isinstance(scenes, Scene):
        raise InputError("track expects the scenes of a stream in order, got a single scene")
    if unconfirmed not in ("drop", "keep"):
        raise InputError(f"unconfirmed: expected 'drop' or 'keep', got {unconfirmed!r}")
    if not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"rate: expected images a second, a number above 0, got {repr_of(rate)}")
    smoother = Smoother.of(smooth, votes)
    clock = _Clock(float(rate), ForwardClock(1 / rate))
    if isinstance(tracker, Tracker):
        if options:
            raise InputError(f"{next(iter(options))!r}: a tracker that is built already takes no options")
        return _tracked(scenes, None, tracker, smoother, unconfirmed, clock)
    spec: TrackerSpec = registry().get("tracker", tracker)
    return _tracked(scenes, spec, built(spec, options), smoother, unconfirmed, clock)


def built(spec: TrackerSpec, options: Mapping[str, Any]) -> Tracker:
    """Build a tracker.

    Args:
        spec: Its record.
        options: Its options.

    Returns:
        The tracker.

    Raises:
        InputError: It has no such option, or needs a package that is not installed.
        PluginError: What its plugin builds is none.
    """
    config = validated(spec.config, options, f"tracker {spec.name!r}")
    with naming_plugin(spec):
        made: object = spec.build(config)
        if not isinstance(made, Tracker):
            kind = type(made).__name__
            raise PluginError(f"`build` of tracker {spec.name!r} must return a scenekit.Tracker, got {kind}")
        return made


def _tracked(
    scenes: Iterable[Scene | InputError],
    spec: TrackerSpec | None,
    tracker: Tracker,
    smoother: Smoother | None,
    unconfirmed: str,
    clock: _Clock,
) -> Iterator[Scene | InputError]:
    tracker.reset()
    for scene in scenes:
        if not isinstance(scene, Scene):
            clock.failed(scene)
            yield scene
            continue
        moment = clock.next(scene)
        with naming_plugin(spec):
            ids = checked_ids(tracker.update(replace(scene, moment=moment)), scene)
        objects = replace(scene.objects, ids=ids)
        streams = {**scene.streams, OBJECTS: objects} if OBJECTS in scene.streams else scene.streams
        known = replace(scene, streams=streams, tracked=True)
        if unconfirmed == "drop" and bool((ids == UNCONFIRMED).any()):
            known = replace(known.select(OBJECTS, ids != UNCONFIRMED), unknown=scene.unknown)
        yield known if smoother is None else smoother(known, moment)


def checked_ids(ids: object, scene: Scene) -> Int[Tensor, " N"]:
    """Return ids as 64-bit integers on the CPU.

    Args:
        ids: What a tracker returned.
        scene: The scene that it is for.

    Returns:
        The ids.

    Raises:
        PluginError: They are no ids of the objects, or repeat.
    """
    count = len(scene.objects)
    if not isinstance(ids, Tensor) or ids.shape != (count,) or ids.is_floating_point():
        found = f"{ids.dtype} of shape {[*ids.shape]}" if isinstance(ids, Tensor) else type(ids).__name__
        raise PluginError(f"a tracker must return an integer for each of the {count} objects, got {found}")
    numbers = ids.detach().cpu().long()
    known = numbers[numbers != UNCONFIRMED]
    if bool((known < 0).any()):
        raise PluginError(f"a tracker must return ids from 0, or -1 for none, got {int(known.min())}")
    if len(set(known.tolist())) < len(known):
        raise PluginError(f"a tracker must return each id once for an image, got {numbers.tolist()}")
    return numbers


@dataclass
class _Clock:
    """When each scene of a stream is from, and whether they belong together."""

    rate: float
    forward: ForwardClock
    count: int = 0
    last: Scene | None = None
    noted: bool = False
    """Whether a time that repeats or goes back has been logged."""

    def failed(self, error: object) -> None:
        """Count an image without a scene."""
        if not isinstance(error, InputError):
            raise InputError(f"track expects scenes, and an InputError for one that failed; got {repr_of(error)}")
        self.count += 1

    def next(self, scene: Scene) -> Moment:
        """Return the moment of a scene; InputError where it does not continue the stream."""
        number, last = self.count, self.last
        self.count, self.last = number + 1, scene
        moment = scene.moment or Moment(number / self.rate, number)
        if last is not None:
            self._compare(last, scene, number)
        return replace(moment, time=self._time(moment.time, number))

    def _time(self, stamp: float, number: int) -> float:
        """Return when a scene counts as taken; log the first stamp that repeats or goes back."""
        shift, before = self.forward.shift, self.forward.last - self.forward.shift
        time = self.forward.at(stamp)
        if self.forward.shift != shift and not self.noted:
            self.noted = True
            _log.warning(
                "scene %d is from %g s, and the one before from %g s; a scene whose time repeats or goes back counts as"
                " %g s later than the one before. Track each stream by a call of its own",
                *(number, stamp, before, self.forward.step),
            )
        return time

    @staticmethod
    def _compare(last: Scene, scene: Scene, number: int) -> None:
        if (scene.moment is None) != (last.moment is None):
            has = "no time, which those before have" if scene.moment is None else "a time, which those before lack"
            raise InputError(f"scene {number} has {has}; expected `moment` in all scenes of a stream, or in none")
        if scene.vocabulary is not last.vocabulary and scene.vocabulary.things != last.vocabulary.things:
            raise InputError(
                f"scene {number} has other classes than those before; expected one vocabulary in a stream:"
                f" {len(last.vocabulary.things)} things, got {len(scene.vocabulary.things)}"
            )
