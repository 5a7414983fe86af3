"""The part of `scenekit predict` that is about streams of frames: from sources over the model to sinks."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, cast

from scenekit.cli import output
from scenekit.cli.image_inputs import pinhole
from scenekit.cli.stream_sinks import STDOUT, Sink, Targets
from scenekit.cli.stream_sources import FrameSource, Kind, Selection
from scenekit.errors import InputError

if TYPE_CHECKING:
    import torch

    from scenekit.keys import Key
    from scenekit.model.pipeline import Worker
    from scenekit.model.scene_model import SceneModel
    from scenekit.scene import Scene
    from scenekit.structures.cameras import Camera
    from scenekit.structures.moments import VideoFrame

AHEAD = 4
"""Scenes that may wait for a sink that works beside a GPU."""

Predict = Callable[[Iterator["VideoFrame"]], Iterator["Scene"]]
"""(frames) -> their scenes, lazily, one each in their order."""

Pairs = Generator[tuple["Scene", "VideoFrame"], None, None]
"""Scenes with their frames."""


@dataclass
class Report:
    """What a run has made of a source."""

    source: str
    """Its name."""
    frames: int = 0
    """Number of scenes."""
    damaged: int = 0
    """Number of frames that were skipped as they cannot be read."""
    seconds: float = 0.0
    """How long it took."""
    objects: Counter[str] = field(default_factory=Counter)
    """Number of objects by class name, over all frames."""

    COLUMNS: ClassVar = ("source", "frames", "damaged", "frames a second", "objects a frame")

    def row(self) -> tuple[Any, ...]:
        """Return the cells of the table.

        Returns:
            Source, frames, damaged frames, frames a second, objects a frame.
        """
        objects = ", ".join(f"{count / self.frames:.1f} {name}" for name, count in self.objects.most_common())
        rate = f"{self.frames / self.seconds:.1f}" if self.seconds else ""
        return self.source, self.frames, self.damaged, rate, objects or "none"


def refuse(options: Mapping[str, object], wanted: str, given: str = "images") -> None:
    """Check that no option is set that is for other sources.

    Args:
        options: Values by option.
        wanted: What the options are for.
        given: What the sources are.

    Raises:
        InputError: One of them is set.
    """
    for option, value in options.items():
        if value is not None and value is not False:
            raise InputError(f"{option} is for {wanted}, and cannot be used with {given}; leave it out")


def refuse_for_images(
    of_videos: Mapping[str, object], of_bags: Mapping[str, object], every: int, as_json: str | None
) -> None:
    """Check that no option is set that is for videos or bags.

    Args:
        of_videos: Values of options that are for videos.
        of_bags: Values of options that are for bags.
        every: Value of --every.
        as_json: Value of --json.

    Raises:
        InputError: One of them is set.
    """
    refuse(of_bags, "bags")
    refuse({**of_videos, "--every": every != 1}, "videos")
    if as_json not in (None, STDOUT):
        raise InputError(f"--json {as_json}: scenes of images go to standard output: --json > FILE")


def check(kind: Kind, names: Sequence[str], stems: Sequence[str], selection: Selection, targets: Targets) -> None:
    """Check what can be known before a model is loaded.

    Args:
        kind: Kind of the sources.
        names: Their names.
        stems: Names of their files in a folder, without suffix.
        selection: Which frames are asked for.
        targets: Where the scenes go.

    Raises:
        InputError: A source cannot be read, there are no such frames, or a target cannot be written.
    """
    selection.check()
    for name in names:
        kind.check(name, selection)
    targets.check(names, stems)


@dataclass(frozen=True)
class StreamRun:
    """A run over sources of one kind."""

    kind: Kind
    """Kind of the sources."""
    selection: Selection
    """Which of their frames."""
    targets: Targets
    """Where the scenes go."""
    pairs: Callable[[FrameSource], Pairs]
    """Predicts the scenes of a source, each with its frame."""
    device: torch.device
    """Device of the network."""
    of_clip: Callable[[str, str], Mapping[Key[Any, Any], Any]] = lambda name, stem: {}
    """(name of a source, stem of its files) -> the values of the whole, known before its frames are drawn."""

    def over(self, names: Sequence[str], stems: Sequence[str]) -> None:
        """Predict the scenes of all frames, and print a table.

        Args:
            names: Names of the sources.
            stems: Names of their files in a folder, without suffix.

        Raises:
            InputError: A source breaks off, or a file cannot be written.
        """
        reports: list[Report] = []
        with self.targets.opened() as sinks_of:
            for name, stem in zip(names, stems, strict=True):
                values = self.of_clip(name, stem)
                with self.kind.open(name, self.selection) as source, sinks_of(source, stem) as sinks:
                    reports.append(self._report(source, sinks, values))
        if not self.targets.printed:
            output.print_table("", Report.COLUMNS, (report.row() for report in reports))

    def _report(self, source: FrameSource, sinks: Sequence[Sink], values: Mapping[Key[Any, Any], Any]) -> Report:
        """Predict the scenes of one source, and write each as soon as it is there."""
        report, began = Report(source.source), time.monotonic()
        total = self.selection.count(source.duration, source.rate)
        # Closed before the source: a thread may still read from it.
        with closing(self.pairs(source)) as found, taken(beside(found, values), sinks, self.device) as pairs:
            for scene, _ in output.rated_progress(pairs, os.path.basename(source.source), total):
                report.frames += 1
                report.objects.update(scene.counts())
        report.seconds, report.damaged = time.monotonic() - began, source.damaged
        return report


def beside(pairs: Pairs, values: Mapping[Key[Any, Any], Any]) -> Pairs:
    """Yield the scenes of frames with the values of their clip, of which drawings show what happens at the moment.

    Args:
        pairs: Scenes with their frames.
        values: Values of the whole clip.

    Yields:
        The scenes with their frames.
    """
    for scene, frame in pairs:
        yield replace(scene, values={**scene.values, **values}), frame


@contextmanager
def taken(
    pairs: Iterator[tuple[Scene, VideoFrame]], sinks: Sequence[Sink], device: torch.device
) -> Iterator[Iterator[tuple[Scene, VideoFrame]]]:
    """Provide scenes that sinks have taken; beside a GPU each sink works in a thread of its own.

    Args:
        pairs: Scenes with their frames.
        sinks: The sinks.
        device: Device of the network, which on a CPU needs the same cores.

    Yields:
        The scenes with their frames.

    Raises:
        InputError: The source broke off, after what came before has been taken.
    """
    from scenekit.model.pipeline import workers

    given = pairs = UntilError(pairs)
    with workers(len(sinks) if device.type != "cpu" else 0, device) as started:
        for sink, worker in zip_longest(sinks, started):
            pairs = taken_by(sink, pairs, worker)
        yield pairs
    if given.error is not None:
        raise given.error


class UntilError(Iterator[tuple["Scene", "VideoFrame"]]):
    """Scenes up to an InputError, which is kept, so that sinks can take what comes before it.

    Args:
        pairs: Scenes with their frames.

    Attributes:
        error: The error, if there was one.
    """

    def __init__(self, pairs: Iterator[tuple[Scene, VideoFrame]]) -> None:
        self._pairs = pairs
        self.error: InputError | None = None

    def __next__(self) -> tuple[Scene, VideoFrame]:
        try:
            return next(self._pairs)
        except InputError as error:
            self.error = error
            raise StopIteration from error


def taken_by(sink: Sink, pairs: Iterator[tuple[Scene, VideoFrame]], worker: Worker | None) -> Pairs:
    """Yield scenes that a sink has taken.

    Args:
        sink: The sink.
        pairs: Scenes with their frames.
        worker: The thread in which it works; None for this one.

    Yields:
        The scenes with their frames.
    """
    from scenekit.model.pipeline import overlapped

    yield from overlapped((partial(take, sink, pair) for pair in pairs), worker, AHEAD)


def take(sink: Sink, pair: tuple[Scene, VideoFrame]) -> tuple[Scene, VideoFrame]:
    """Write a scene into a sink.

    Args:
        sink: The sink.
        pair: The scene with its frame.

    Returns:
        Both.
    """
    sink.write(*pair)
    return pair


def paired(predict: Predict, frames: Iterator[VideoFrame]) -> Pairs:
    """Yield the scene of each frame with the frame; no more frames are held than are being predicted.

    Args:
        predict: Predicts scenes of frames.
        frames: The frames.

    Yields:
        Scenes with their frames.
    """
    waiting: deque[VideoFrame] = deque()

    def kept() -> Iterator[VideoFrame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for scene in predict(kept()):
        yield scene, waiting.popleft()


def predictor(
    network: SceneModel, tasks: Sequence[str] | None, threshold: float, camera: float | Camera | None
) -> Predict:
    """Return what predicts the scenes of frames.

    Args:
        network: The model.
        tasks: Names of tasks; all if None.
        threshold: Smallest score of an object.
        camera: The camera, or its focal length in pixels, if known.

    Returns:
        The function.
    """
    predict: Any = partial(network.predict, tasks=tasks, threshold=threshold, on_error="raise")
    if camera is None:
        return cast(Predict, predict)

    def with_cameras(frames: Iterator[VideoFrame]) -> Iterator[Scene]:
        scenes: Iterator[Scene] = predict(with_camera(frame, camera) for frame in frames)
        return scenes

    return with_cameras


def with_camera(frame: VideoFrame, camera: float | Camera) -> VideoFrame:
    """Return a frame with a camera.

    Args:
        frame: The frame; its image is a tensor [3 H W].
        camera: The camera, or its focal length in pixels.

    Returns:
        The frame.
    """
    own = pinhole(camera, *frame.image.shape[1:]) if isinstance(camera, float) else camera
    return replace(frame, camera=own)
