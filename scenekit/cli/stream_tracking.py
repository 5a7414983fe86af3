"""The part of `scenekit predict` that is about tracking: --track and --smooth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from scenekit.cli.evaluate import parsed_options
from scenekit.cli.predict_stream import Pairs
from scenekit.cli.stream_sinks import STDOUT
from scenekit.errors import InputError

if TYPE_CHECKING:
    from scenekit.hooks import TrackerSpec
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.structures.moments import VideoFrame

DEFAULT = "associate"
"""The tracker of --track without a name."""

Predict = Callable[[Iterator["VideoFrame"]], Pairs]
"""(frames) -> their scenes, with the frames, lazily."""

TrackOption = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="[NAME]",
        help="Give the objects of a video ids that last, by this tracker; by default associate.",
    ),
]
TrackSetOption = Annotated[
    list[str] | None,
    typer.Option("--track-set", metavar="KEY=VALUE", help="An option of the tracker, as birth=0.3; repeatable."),
]
SmoothOption = Annotated[
    float | None,
    typer.Option("--smooth", metavar="SECONDS", min=0.0, help="With --track: average values over so long."),
]


def is_tracker_name(word: str) -> bool:
    """Return whether the word after --track is its value: names of trackers have no dot, as sources have.

    Args:
        word: The word; empty where there is none.

    Returns:
        False for other options, for numbers of cameras and for files and addresses.
    """
    return bool(word) and not word.startswith("-") and not word.isdecimal() and "." not in word and ":" not in word


@dataclass(frozen=True)
class Tracking:
    """How objects are tracked."""

    spec: TrackerSpec
    """The record of the tracker."""
    smooth: float | None
    """Seconds over which values are averaged; None for none."""
    options: Mapping[str, Any]
    """Options of the tracker."""

    @classmethod
    def of(cls, name: str | None, smooth: float | None, options: Sequence[str] = ()) -> Tracking | None:
        """Return what the options ask for, and check it.

        Args:
            name: Value of --track; None where it is not set.
            smooth: Value of --smooth.
            options: Values of --track-set.

        Returns:
            The tracking, if any.

        Raises:
            InputError: There is no such tracker or option, its package is missing, or --track is missing.
        """
        from scenekit.hooks import registry
        from scenekit.tracking.smoothing import Smoother
        from scenekit.tracking.track import built

        if name is None:
            if smooth is not None or options:
                option = "--track-set" if options else "--smooth"
                raise InputError(f"{option} is for tracked objects; add --track")
            return None
        values = parsed_options(options, "--track-set")
        spec: TrackerSpec = registry().get("tracker", DEFAULT if name == STDOUT else name)
        built(spec, values)
        Smoother.of(smooth, votes=False)
        return cls(spec, smooth, values)

    def prepared(self, network: SceneModel, tasks: list[str] | None) -> tuple[SceneModel, list[str] | None]:
        """Return a model with the tasks without weights that the tracker reads.

        Args:
            network: The model.
            tasks: Names of tasks that are asked for; all if None.

        Returns:
            The model, and the names with those of the tasks that were added.
        """
        from scenekit.model.added import with_keys

        more = with_keys(network, self.spec.uses)
        added = [name for name in more.tasks if name not in network.tasks]
        return more, tasks if tasks is None else [*tasks, *added]

    def pairs(self, predict: Predict, frames: Iterator[VideoFrame]) -> Pairs:
        """Yield the tracked scenes of the frames of one source; each call begins with new tracks.

        Args:
            predict: Predicts scenes, with their frames.
            frames: The frames.

        Yields:
            Scenes with their frames.
        """
        from scenekit.tracking import track

        waiting: deque[VideoFrame] = deque()

        def scenes() -> Iterator[Scene]:
            for scene, frame in predict(frames):
                waiting.append(frame)
                yield scene

        for scene in track(scenes(), self.spec.name, smooth=self.smooth, **self.options):
            yield cast("Scene", scene), waiting.popleft()
