"""`sk.stream`: Scenes of a live source, within a budget of time."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from scenekit.errors import InputError
from scenekit.io.images import ImageSource
from scenekit.model.arguments import positive_integer
from scenekit.model.budget import Budget
from scenekit.model.ledger import Ledger
from scenekit.model.prediction import OnError, Predictor, Request, several
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Scene
from scenekit.streaming.clock import Clock
from scenekit.streaming.reader import Flow, Item, Reader
from scenekit.streaming.schedule import NothingFitsError, Schedule
from scenekit.streaming.statistics import Recorder, StreamStats
from scenekit.structures.cameras import CameraLike


@dataclass(frozen=True, eq=False)
class Loop:
    """From frames to scenes, one after the other."""

    reader: Reader
    """Reads the source."""
    schedule: Schedule
    """Chooses the tasks of each frame."""
    predictor: Predictor
    """Predicts each scene, with the tasks of the schedule."""
    camera: CameraLike | None
    """The camera of all frames, if there is one."""
    clock: Clock
    """Measures times."""
    recorder: Recorder
    """Collects the statistics."""

    def run(self) -> Generator[tuple[Scene | InputError, Any], None, None]:
        """Predict the scene of each frame, and measure what happens between.

        Yields:
            The scene, or the error in its place, and the frame.
        """
        try:
            self.reader.start()
            began = asked = self.clock.now()
            while (item := self.reader.take()) is not None:
                result = self._result(item, self.clock.now() - asked)
                out = self.clock.now()
                self.recorder.seconds = out - began - self.schedule.measured
                yield result, item.image if isinstance(result, Scene) else None
                asked = self.clock.now()
                if isinstance(result, Scene):
                    self.recorder.add(sink=asked - out)
                del item, result  # neither is held while the next frame is waited for
        finally:
            self.reader.close()

    def _result(self, item: Item, wait: float) -> Scene | InputError:
        try:
            if isinstance(item.image, InputError):
                raise item.image
            return self._scene(item, wait)
        except InputError as error:
            self.recorder.damaged += 1
            first = isinstance(error, NothingFitsError) and not self.recorder.processed
            if first or self.predictor.request.on_error == "raise":
                raise
            return error

    def _scene(self, item: Item, wait: float) -> Scene:
        """Predict the scene of a frame, and record what it took; the time to measure a ledger is left out."""
        timed = self.predictor.timed(item.image, self.camera, self.clock.now, f"image {item.number}")
        timed = replace(timed, prepare=timed.prepare - self.schedule.measuring)
        self.schedule.update(timed)
        self.recorder.count(timed.run or ())
        parts = {"prepare": timed.prepare, "network": timed.network, "postprocess": timed.postprocess}
        age = self.clock.now() - item.read - self.schedule.measuring
        self.recorder.add(decode=item.decode, wait=wait, **parts, end_to_end=sum(parts.values()), age=age)
        return timed.scene


class SceneStream(Iterator[Scene | InputError]):
    """The Scenes of a live source, one after the other; `sk.stream` opens one.

    The first `next` starts a thread that reads the source. It ends with the source, with `close`, at the end of a
    `with` statement, and when the iterator is no longer in use, as after a `break`.

    Args:
        loop: What predicts the scenes.

    Attributes:
        frame: The frame of the last scene, as the source gave it; None before the first one, and beside an error.
    """

    def __init__(self, loop: Loop) -> None:
        self.frame: Any = None
        self._loop = loop
        self._scenes = loop.run()  # which knows nothing of this object: when that is freed, the thread ends at once

    def __next__(self) -> Scene | InputError:
        result, self.frame = next(self._scenes)
        return result

    def __enter__(self) -> SceneStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading, and wait for the thread to end; frames that wait are dropped."""
        self._scenes.close()

    @property
    def stats(self) -> StreamStats:
        """What happened to the frames so far; may be read while the stream runs, and after it."""
        reader = self._loop.reader
        return self._loop.recorder.stats(reader.read, reader.dropped).with_skipped(reader.skipped)


def stream(
    model: SceneModel,
    source: Iterable[ImageSource],
    *,
    tasks: str | Collection[str] | None = None,
    threshold: float = 0.5,
    budget: float | str | None = None,
    ledger: Ledger | None = None,
    rates: Mapping[str, int] | None = None,
    camera: CameraLike | None = None,
    drop: bool | None = None,
    paced: bool = False,
    queue: int = 2,
    on_error: OnError = "return",
    clock: Clock | None = None,
) -> SceneStream:
    """Predict the Scenes of a live source: the newest frame first, tasks at their own rates, within a budget of time.

    A thread reads the source while the network runs. The core runs on every frame, so that each Scene has objects;
    values of a task that did not run on a frame are absent from its Scene.

    ```python
    with sk.stream(model, frames, budget="200ms", rates={"captions": 10}) as scenes:
        for scene in scenes:
            if not isinstance(scene, sk.InputError):  # a damaged frame
                print(scene.moment, scene.counts())
    print(scenes.stats.times["age"].p95)
    ```

    Args:
        model: The model.
        source: What yields images, each as `SceneModel.predict` accepts it: a video, a camera, a bag, a generator or a
            list. A generator's frames end with its first error; an iterator whose `__next__` raises an InputError may
            go on.
        tasks: Names of tasks, or of a single one, the most important first; all, if None, then the cheapest have
            priority. The stages of the core that they require run on every frame.
        threshold: Objects that score less are left out.
        budget: The time from taking a frame to its Scene, as seconds or as text such as "200ms". Tasks that do not fit
            into one frame together take turns; a task that does not fit alone is left out. Costs are those of the
            ledger at first, and then running averages of what is measured.
        ledger: What `sk.cost(model)` returned. By default it is measured on the first frame of its size, which takes
            many passes, and kept with the model.
        rates: By task, on every how many processed frames it runs at most, from 1; the others run whenever they fit.
        camera: The camera of all frames, or its matrix K [3 3], in their pixels; by default that of each VideoFrame.
        drop: Whether a frame that the network has not taken is dropped when the next one is there. By default unless
            the source has `live` that is false, such as the video of a file, or is a list; with `paced` always.
        paced: Whether frames of a recording come at their own times, as if it were live; they are VideoFrames with
            moments. Its time begins with the second frame, when the first one is done.
        queue: How many frames are read ahead where none are dropped, from 1.
        on_error: Whether an unusable frame ends the stream ("raise"), or has its InputError in place of its Scene.
        clock: What measures times and waits; by default the clock of the computer.

    Returns:
        An iterator of the Scenes, with `stats` and `close`.

    Raises:
        InputError: The source is a single image, or another argument is invalid, or nothing fits the budget by the
            ledger; without a ledger the first `next` raises that.
    """
    frames = several(source)
    if frames is None:
        raise InputError(
            f"source: expected what yields images, such as a video, a camera or a generator, got one "
            f"{type(source).__name__}; for a single image use model.predict"
        )
    clock = clock or Clock()
    request = Request.of(model, tasks, threshold, 1, on_error)
    schedule = Schedule(model, request.tasks, rates, Budget.of(budget, ledger, None), clock)
    if drop is None:
        drop = paced or bool(getattr(source, "live", not isinstance(frames, Sequence)))
    flow = Flow(drop, paced, positive_integer("queue", queue))
    reader = Reader(iter(frames), flow, clock, owned=frames is not source)
    predictor = Predictor(model, replace(request, budget=schedule))
    return SceneStream(Loop(reader, schedule, predictor, camera, clock, Recorder(schedule.tasks)))
