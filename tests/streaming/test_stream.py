"""`sk.stream` on a small model, and its statistics by a clock that the test moves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.model.ledger import Ledger
from scenekit.model.measuring import pixels_of
from scenekit.model.prediction import Predictor, Request
from scenekit.model.scene_model import SceneModel
from scenekit.model.timing import TimedScene
from scenekit.streaming.reader import Flow, Item, Reader
from scenekit.streaming.schedule import Schedule
from scenekit.streaming.statistics import Recorder
from scenekit.streaming.stream import Loop, SceneStream
from tests.streaming.clocks import FakeClock, running
from tests.streaming.test_reader import Damaged
from tests.tiny import VOCABULARY, config, sample

SLOW, PLENTY = 1000.0, "9000s"
"""Seconds of a task, and a budget for all: no machine is so slow or so fast that these tests depend on it."""


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


@pytest.fixture(scope="module")
def ledger(model: SceneModel) -> Ledger:
    return sk.cost(model, sample().image, threshold=0.0, repeats=1)


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """Whatever a test does, no thread is left."""
    yield
    assert running() == []


def scenes_of(results: Any) -> list[sk.Scene]:
    found = list(results)
    assert all(isinstance(scene, sk.Scene) for scene in found)
    return found


def frames(count: int) -> list[sk.VideoFrame]:
    return [sk.VideoFrame(sample(n).image, sk.Moment(n / 10, n), source="clip") for n in range(count)]


def test_scenes_are_those_of_predict(model: SceneModel) -> None:
    stream = sk.stream(model, frames(3), threshold=0.0)
    for number, scene in enumerate(scenes_of(stream)):
        alone = model.predict(sample(number).image, threshold=0.0)
        assert torch.equal(scene.objects.boxes, alone.objects.boxes) and set(scene.values) == set(alone.values)
        assert scene.moment is not None and scene.moment.number == number and scene.path == "clip"
    stats = stream.stats
    assert (stats.read, stats.processed, stats.dropped, stats.damaged) == (3, 3, 0, 0)
    assert stats.ran == dict.fromkeys(model.tasks, 3)


def test_values_of_a_task_that_did_not_run_are_absent(model: SceneModel) -> None:
    stream = sk.stream(model, frames(5), tasks=["keypoints", "masks"], rates={"masks": 2}, threshold=0.0)
    scenes = scenes_of(stream)
    assert [sk.MASKS in scene.values for scene in scenes] == [True, False, True, False, True]
    assert all(sk.KEYPOINTS in scene.values and len(scene.objects) for scene in scenes)
    assert stream.stats.ran == {"keypoints": 5, "masks": 3}


def test_objects_are_found_on_frames_without_a_task(model: SceneModel) -> None:
    first, second = scenes_of(sk.stream(model, frames(2), tasks="masks", rates={"masks": 10}, threshold=0.0))
    plain = model.predict(sample(1).image, tasks=["masks"], threshold=0.0)
    assert torch.equal(second.objects.boxes, plain.objects.boxes) and second.values == {} and sk.MASKS in first.values


def test_a_budget_leaves_out_what_does_not_fit(model: SceneModel, ledger: Ledger) -> None:
    dear = replace(ledger.rows["semantic"], network=2 * SLOW)
    known = replace(ledger, rows={**ledger.rows, "semantic": dear})
    scenes = scenes_of(sk.stream(model, frames(3), budget=SLOW, ledger=known, threshold=0.0))
    assert all(scene.left_out == ("semantic", "panoptic") for scene in scenes)
    assert all(set(scene.values) == {sk.MASKS, sk.KEYPOINTS} for scene in scenes)


def test_dear_tasks_take_turns(model: SceneModel, ledger: Ledger) -> None:
    dear = {name: replace(ledger.rows[name], network=SLOW) for name in ("masks", "semantic")}
    known = replace(ledger, rows={**ledger.rows, **dear})
    tasks = ["masks", "semantic"]
    scenes = scenes_of(sk.stream(model, frames(2), tasks=tasks, budget=1.5 * SLOW, ledger=known, threshold=0.0))
    assert [set(scene.values) for scene in scenes] == [{sk.MASKS}, {sk.SEMANTIC}]
    assert [scene.left_out for scene in scenes] == [("semantic",), ("masks",)]


def test_the_network_takes_the_newest_frame(model: SceneModel) -> None:
    """While the caller has the first scene, the source gives all others."""
    first, ended = threading.Event(), threading.Event()

    def source() -> Iterator[sk.VideoFrame]:
        yield from frames(1)
        assert first.wait(timeout=60)
        yield from frames(6)[1:]
        ended.set()

    stream = sk.stream(model, source(), threshold=0.0)
    numbers = []
    for scene in scenes_of_lazily(stream):
        numbers.append(scene.moment.number if scene.moment else None)
        first.set()
        assert ended.wait(timeout=60)
    stats = stream.stats
    assert numbers == [0, 5] and (stats.read, stats.processed, stats.dropped) == (6, 2, 4)


def scenes_of_lazily(stream: SceneStream) -> Iterator[sk.Scene]:
    for scene in stream:
        assert isinstance(scene, sk.Scene)
        yield scene


class Recording:
    """A source that says itself whether it is live."""

    def __init__(self, live: bool) -> None:
        self.live = live

    def __iter__(self) -> Iterator[sk.VideoFrame]:
        return iter(frames(2))


@pytest.mark.parametrize(
    ("source", "options", "drop"),
    [
        (frames(2), {}, False),
        (iter(frames(2)), {}, True),
        (Recording(live=False), {}, False),
        (Recording(live=True), {}, True),
        (Recording(live=False), {"paced": True}, True),
        (Recording(live=False), {"paced": True, "drop": False}, False),
        (frames(2), {"drop": True}, True),
    ],
)
def test_what_is_dropped_by_default(model: SceneModel, source: Any, options: dict[str, Any], drop: bool) -> None:
    assert sk.stream(model, source, **options)._loop.reader._flow.drop is drop


def test_a_recording_can_run_as_if_it_were_live(model: SceneModel) -> None:
    clock = FakeClock()
    scenes_of(sk.stream(model, frames(4), paced=True, drop=False, clock=clock, threshold=0.0))
    assert clock.waited == pytest.approx([0.1, 0.1])


def test_every_frame_of_a_video_file_is_processed(model: SceneModel, tmp_path: Path) -> None:
    with sk.VideoWriter(tmp_path / "clip.mp4", rate=10.0) as writer:
        for number in range(4):
            writer.write(sample(number).image, number / 10)
    with sk.video(tmp_path / "clip.mp4") as video, sk.stream(model, video, tasks=["masks"]) as stream:
        assert not video.live
        numbers = [scene.moment.number for scene in scenes_of(stream) if scene.moment]
    assert numbers == [0, 1, 2, 3] and stream.stats.dropped == 0
    with sk.video(tmp_path / "clip.mp4") as video:
        with sk.stream(model, video, tasks=["masks"]) as stream:
            next(stream)
        assert running() == []
        assert video.position >= 0.0  # it is still open: the stream closes what it has opened itself


def test_damaged_frames_stand_as_their_errors(model: SceneModel) -> None:
    source = Damaged(frames(1)[0], None, "nowhere.jpg", sample(1).image)
    stream = sk.stream(model, source, drop=False, threshold=0.0)
    first, second, third, fourth = stream
    assert isinstance(first, sk.Scene) and isinstance(fourth, sk.Scene)
    assert str(second) == "damaged" and "nowhere.jpg" in str(third)
    stats = stream.stats
    assert (stats.read, stats.processed, stats.damaged, stats.dropped) == (4, 2, 2, 0)
    assert all(stats.times[name].count == 2 for name in ("network", "age", "sink"))
    strict = sk.stream(model, Damaged(None, sample().image), drop=False, on_error="raise")
    with pytest.raises(sk.InputError, match="damaged"):
        list(strict)


def test_the_frame_stands_beside_its_scene(model: SceneModel) -> None:
    first, broken = frames(1)[0], "nowhere.jpg"
    stream = sk.stream(model, Damaged(first, broken), drop=False)
    assert stream.frame is None
    assert isinstance(next(stream), sk.Scene) and stream.frame is first
    assert isinstance(next(stream), sk.InputError) and stream.frame is None


def test_frames_that_the_source_skips_are_damaged(model: SceneModel) -> None:
    source = Damaged(*frames(2))
    source.damaged = 3
    stream = sk.stream(model, source, drop=False)
    assert len(list(stream)) == 2
    assert (stream.stats.read, stream.stats.processed, stream.stats.damaged) == (5, 2, 3)


def test_what_a_generator_raises_ends_the_stream(model: SceneModel) -> None:
    def source(error: Exception) -> Iterator[Any]:
        yield sample().image
        raise error

    stream = sk.stream(model, source(OSError("unplugged")), drop=False)
    assert isinstance(next(stream), sk.Scene)
    with pytest.raises(OSError, match="unplugged"):
        next(stream)
    scene, error = sk.stream(model, source(sk.InputError("unplugged")), drop=False)
    assert isinstance(scene, sk.Scene) and str(error) == "unplugged"


@pytest.mark.parametrize("leave", ["break", "close", "with", "error", "forget"])
def test_leaving_ends_the_thread(model: SceneModel, leave: str) -> None:
    image = sample().image

    def endless() -> Iterator[Any]:
        while True:
            yield image

    if leave == "break":
        for _ in sk.stream(model, endless(), tasks=["masks"]):
            break
    elif leave == "close":
        stream = sk.stream(model, endless(), tasks=["masks"])
        assert isinstance(next(stream), sk.Scene) and running()
        stream.close()
        assert list(stream) == [] and stream.stats.read == stream.stats.dropped + 1
    elif leave == "with":
        with pytest.raises(ZeroDivisionError), sk.stream(model, endless(), tasks=["masks"]) as inside:
            next(inside)
            raise ZeroDivisionError
    elif leave == "error":
        with pytest.raises(ZeroDivisionError):
            _fail_within(sk.stream(model, endless(), tasks=["masks"]))
    else:
        assert isinstance(next(sk.stream(model, endless(), tasks=["masks"])), sk.Scene)


def _fail_within(stream: SceneStream) -> None:
    with stream:
        for _ in stream:
            raise ZeroDivisionError


def test_a_stream_that_is_not_begun_reads_nothing(model: SceneModel) -> None:
    source = iter(frames(3))
    sk.stream(model, source).close()
    assert len(list(source)) == 3


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_the_wait_for_a_frame(model: SceneModel) -> None:
    release = threading.Event()

    def source() -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGINT)
        release.wait(timeout=5)
        yield sample().image

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            threading.Timer(0.1, release.set).start()
            list(sk.stream(model, source()))
    finally:
        signal.signal(signal.SIGINT, before)


def test_frames_of_changing_size(model: SceneModel, ledger: Ledger) -> None:
    sizes = ((48, 64), (24, 32), (64, 48), (48, 64))
    images = [pixels_of(sample(n).image, size) for n, size in enumerate(sizes)]
    scenes = scenes_of(sk.stream(model, images, threshold=0.0, budget=PLENTY, ledger=ledger))
    assert tuple(scene.size for scene in scenes) == sizes and all(len(scene.values) == 4 for scene in scenes)


def test_a_frame_that_the_ledger_is_too_small_for_is_an_error_of_its_own(model: SceneModel, ledger: Ledger) -> None:
    small = replace(ledger, network=(64, 64))
    images = [sample().image, pixels_of(sample().image, (64, 64))]
    first, second = sk.stream(model, images, budget=PLENTY, ledger=small)
    assert "measure on the largest" in str(first) and isinstance(second, sk.Scene)


def test_times_that_jump_stay_with_their_scenes(model: SceneModel) -> None:
    times = (5.0, 1e9, -3.0)
    source = [sk.VideoFrame(sample().image, sk.Moment(time, n)) for n, time in enumerate(times)]
    scenes = scenes_of(sk.stream(model, source, paced=True, drop=False, clock=FakeClock()))
    assert tuple(scene.moment.time for scene in scenes if scene.moment) == times


def test_a_budget_that_nothing_fits_is_an_error_before_the_first_frame(model: SceneModel, ledger: Ledger) -> None:
    taken: list[int] = []

    def source() -> Iterator[Any]:
        taken.append(0)
        yield sample().image

    with pytest.raises(sk.InputError, match=r"nothing fits into 0.001 ms; the cheapest, the core without tasks, takes"):
        sk.stream(model, source(), budget="1us", ledger=ledger)
    assert taken == []
    stream = sk.stream(model, source(), budget="1us", tasks=["masks", "semantic"], threshold=0.0)
    with pytest.raises(sk.InputError, match=r"nothing fits into 0.001 ms; the cheapest, (masks|semantic), takes"):
        next(stream)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tasks": ["mask"]}, "no task 'mask'; did you mean 'masks'"),
        ({"rates": {"mask": 2}}, "rates: no task 'mask' runs; did you mean 'masks'"),
        ({"rates": {"masks": 0}}, "rates: masks: expected a whole number from 1, got 0"),
        ({"tasks": ["semantic"], "rates": {"masks": 2}}, "rates: no task 'masks' runs"),
        ({"budget": "soon"}, "budget: expected a time"),
        ({"budget": "0ms"}, "budget: expected a time"),
        ({"queue": 0}, "queue: expected a whole number from 1, got 0"),
        ({"threshold": float("nan")}, "threshold: expected a score"),
    ],
)
def test_arguments_that_are_refused(model: SceneModel, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(sk.InputError, match=reason):
        sk.stream(model, frames(1), **options)


@pytest.mark.parametrize("source", ["street.jpg", sample().image])
def test_a_single_image_is_no_source(model: SceneModel, source: Any) -> None:
    with pytest.raises(
        sk.InputError, match=r"source: expected what yields images, .* for a single image use model.pre"
    ):
        sk.stream(model, source)


class Steps(Reader):
    """A source without a thread, that moves the clock: 40 ms to decode, and 10 ms for which each frame has waited."""

    def __init__(self, clock: FakeClock, images: list[Any]) -> None:
        super().__init__(iter(()), Flow(drop=True, paced=False, queue=1), clock)
        self.clock, self.images, self.closed = clock, images, False

    def start(self) -> None:
        pass

    def take(self) -> Item | None:
        self.clock.time += 0.005  # the network waits
        self.read += 1
        return Item(self.images.pop(0), self.read - 1, 0.040, self.clock.time - 0.010) if self.images else None

    def close(self) -> None:
        self.closed = True


def test_the_times_of_the_parts(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, scene = FakeClock(), model.predict(sample().image)

    def timed(self: Predictor, image: Any, camera: Any, now: Any, name: Any) -> TimedScene:
        clock.time += 0.100
        return TimedScene(scene, ("masks",), 0.020, 0.050, 0.030, {}, {})

    monkeypatch.setattr(Predictor, "timed", timed)
    schedule = Schedule(model, ("masks",), None, None, clock)
    reader = Steps(clock, [sample().image] * 3)
    predictor = Predictor(model, Request.of(model, None, 0.5, 1, "return"))
    stream = SceneStream(Loop(reader, schedule, predictor, None, clock, Recorder(("masks",))))
    for _ in stream:
        clock.time += 0.007
    stats, medians = stream.stats, {name: times.p50 for name, times in stream.stats.times.items()}
    expected = {"decode": 0.040, "wait": 0.005, "prepare": 0.020, "network": 0.050, "postprocess": 0.030}
    assert medians == pytest.approx({**expected, "end_to_end": 0.100, "sink": 0.007, "age": 0.110})
    assert stats.seconds == pytest.approx(3 * 0.105 + 2 * 0.007) and stats.ran == {"masks": 3} and reader.closed
    assert stats.rate == pytest.approx(3 / stats.seconds)


def test_the_seconds_leave_out_measuring_the_ledger(model: SceneModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured once, on the first frame; the error after it has no such time."""
    clock, scene = FakeClock(), model.predict(sample().image)
    schedule = Schedule(model, ("masks",), None, None, clock)

    def measured(*arguments: Any) -> Any:
        clock.time += 9.0 if schedule.measured == 0 else 0.0

    def timed(self: Predictor, image: Any, camera: Any, now: Any, name: Any) -> TimedScene:
        schedule.choice(model, image, None, 0.5)
        clock.time += 0.100
        return TimedScene(scene, ("masks",), 0.020 + schedule.measuring, 0.050, 0.030, {}, {})

    monkeypatch.setattr(schedule, "_running", measured)
    monkeypatch.setattr(schedule, "_fits", lambda names: True)
    monkeypatch.setattr(Predictor, "timed", timed)
    reader = Steps(clock, [sample().image, sk.InputError("damaged"), sample().image])
    predictor = Predictor(model, Request.of(model, None, 0.5, 1, "return"))
    stream = SceneStream(Loop(reader, schedule, predictor, None, clock, Recorder(("masks",))))
    assert len(list(stream)) == 3
    assert stream.stats.seconds == pytest.approx(2 * 0.105 + 0.005)
