"""The thread that reads a source: what waits, what is dropped, and that it always ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from scenekit.errors import InputError
from scenekit.streaming import reader as reading
from scenekit.streaming.clock import Clock
from scenekit.streaming.reader import Flow, Item, Reader
from scenekit.structures.moments import Moment, VideoFrame
from tests.streaming.clocks import FakeClock, running

LIVE, ALL = Flow(drop=True, paced=False, queue=2), Flow(drop=False, paced=False, queue=2)
PACED = Flow(drop=False, paced=True, queue=100)


class Damaged:
    """An iterator that raises an InputError where there is None, and goes on."""

    def __init__(self, *items: Any) -> None:
        self.items = iter(items)
        self.closed, self.damaged = False, 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        if item is None:
            raise InputError("damaged")
        return item

    def close(self) -> None:
        self.closed = True


def after_the_end(source: Iterator[Any], flow: Flow = LIVE) -> tuple[Reader, list[Any]]:
    """What is left to take when the source has ended."""
    ended = threading.Event()

    def items() -> Iterator[Any]:
        yield from source
        ended.set()

    reader = Reader(items(), flow, FakeClock())
    reader.start()
    assert ended.wait(timeout=60)
    reader._thread.join(60)
    taken = []
    while (item := reader.take()) is not None:
        taken.append(item.image)
    reader.close()
    assert running() == []
    return reader, taken


def test_the_newest_frame_takes_the_place_of_older_ones() -> None:
    reader, taken = after_the_end(iter("abcde"))
    assert taken == ["e"] and (reader.read, reader.dropped) == (5, 4)


def test_errors_keep_their_order_and_drop_no_frame() -> None:
    reader = Reader(Damaged("a", None, "b", None), Flow(drop=True, paced=False, queue=4), FakeClock())
    reader.start()
    reader._thread.join(60)
    taken = [reader.take() for _ in range(4)]
    assert [str(item.image) for item in taken if item] == ["damaged", "b", "damaged"]
    assert [item.number for item in taken if item] == [1, 2, 3] and (reader.read, reader.dropped) == (4, 1)
    reader.close()


def test_errors_do_not_hold_up_the_newest_frame() -> None:
    reader = Reader(Damaged(None, None, "a", None, "b"), LIVE, FakeClock())
    reader.start()
    reader._thread.join(5)
    assert not reader._thread.is_alive()
    assert [str(item.image) for item in iter(reader.take, None)] == ["damaged"] * 3 + ["b"] and reader.dropped == 1
    reader.close()


def test_the_oldest_of_too_many_errors_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenekit.streaming.reader.MOST_ERRORS", 3)
    reader = Reader(Damaged("a", *[None] * 5), LIVE, FakeClock())
    reader.start()
    reader._thread.join(5)
    taken = [item.number for item in iter(reader.take, None)]
    assert taken == [0, 3, 4, 5] and reader.dropped == 2
    reader.close()


def test_without_dropping_the_source_waits_for_room() -> None:
    given: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            given.append(number)
            yield number

    reader = Reader(source(), ALL, Clock())
    reader.start()
    taken = []
    while (item := reader.take()) is not None:
        taken.append(item.number)
        assert len(given) <= len(taken) + 3  # two wait, one is in the hand of the thread
    assert taken == list(range(20)) and reader.dropped == 0
    reader.close()
    assert running() == []


def test_closing_stops_a_thread_that_waits_for_room() -> None:
    reader = Reader(iter(range(10**9)), ALL, Clock())
    reader.start()
    assert reader.take() is not None
    reader.close()
    assert running() == [] and reader.read - reader.dropped == 1
    assert reader.take() is None
    reader.close()


def test_an_own_iterator_is_closed_in_the_thread_and_another_one_is_not() -> None:
    for owned in (True, False):
        source = Damaged("a")
        reader = Reader(source, LIVE, Clock(), owned)
        reader.start()
        reader._thread.join(60)
        assert source.closed is owned
        reader.close()


def test_what_the_source_raises_is_raised_after_what_came_before() -> None:
    def source() -> Iterator[str]:
        yield "a"
        raise OSError("the camera is gone")

    reader = Reader(source(), LIVE, Clock())
    reader.start()
    reader._thread.join(60)
    item = reader.take()
    assert item is not None and item.image == "a"
    with pytest.raises(OSError, match="the camera is gone"):
        reader.take()
    assert reader.take() is None
    reader.close()


def test_a_source_that_does_not_return_is_left_behind_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.01)
    release = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        release.wait(timeout=60)

    reader = Reader(source(), LIVE, Clock())
    reader.start()
    assert reader.take() is not None
    with caplog.at_level(logging.WARNING):
        reader.close()
    assert "still waits for a frame" in caplog.text and all(thread.daemon for thread in running())
    release.set()
    reader._thread.join(60)
    assert running() == []


def frames(*times: float) -> list[VideoFrame]:
    return [VideoFrame("image", Moment(time, number)) for number, time in enumerate(times)]


def paced(source: Iterator[Any]) -> tuple[FakeClock, list[Item]]:
    """Take all frames."""
    clock = FakeClock()
    reader = Reader(source, PACED, clock)
    reader.start()
    items = []
    while (item := reader.take()) is not None:
        items.append(item)
    reader.close()
    return clock, items


def test_frames_of_a_recording_come_at_their_own_times() -> None:
    """From the second one on: work on the first one may take long."""
    clock, _ = paced(iter(frames(6.0, 7.0, 7.5, 7.75, 9.0)))
    assert clock.waited == pytest.approx([0.5, 0.25, 1.25])


def test_a_recording_waits_for_its_first_frame() -> None:
    given: list[int] = []

    def source() -> Iterator[VideoFrame]:
        for number, frame in enumerate(frames(0.0, 1.0, 2.0)):
            given.append(number)
            yield frame

    reader = Reader(source(), Flow(drop=True, paced=True, queue=1), FakeClock())
    reader.start()
    assert reader.take() is not None
    reader._thread.join(0.05)
    assert given == [0]
    last = [item.number for item in (reader.take(), reader.take()) if item is not None]
    assert last in ([2], [1, 2]) and given == [0, 1, 2]
    reader.close()


def test_times_that_jump_are_not_waited_for() -> None:
    clock, _ = paced(iter(frames(6.0, 7.0, 7.5, 3.0, 3.25, 4000.0, 4000.5)))
    assert clock.waited == pytest.approx([0.5, 0.25, 0.5])


def test_a_frame_that_is_late_does_not_wait_and_the_next_one_waits_less() -> None:
    """Decoding takes 1.5 s of the frame that is due after 1 s."""

    def source() -> Iterator[VideoFrame]:
        for frame, seconds in zip(frames(-1.0, 0.0, 1.0, 2.0, 3.0), (0.0, 0.0, 1.5, 0.0, 0.0), strict=True):
            clock.time += seconds
            yield frame

    clock = FakeClock()
    reader = Reader(source(), PACED, clock)
    reader.start()
    items = [reader.take() for _ in range(5)]
    assert clock.waited == pytest.approx([0.5, 1.0])
    assert [item.read for item in items if item] == pytest.approx([100.0, 100.0, 101.5, 102.0, 103.0])
    assert [item.decode for item in items if item] == pytest.approx([0.0, 0.0, 1.5, 0.0, 0.0])
    reader.close()


def test_pacing_needs_times() -> None:
    reader = Reader(iter(["image"]), PACED, FakeClock())
    reader.start()
    with pytest.raises(InputError, match=r"paced: the frames of this source have no times; yield sk.VideoFrame"):
        reader.take()
    reader.close()
