"""Messages that belong together, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

from scenekit.ros.headers import Header
from scenekit.ros.opening import BagNotes, Logged
from scenekit.ros.synchronizing import Synchronizer

MILLI = 10**6


def logged(topic: str, stamp: int, late: int = 0) -> Logged:
    """A message of a stamp in milliseconds, recorded so much later."""
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp * MILLI), frame_id=topic)
    return Logged(topic, (stamp + late) * MILLI, partial(SimpleNamespace, header=header))


def together(*messages: Logged) -> Iterator[tuple[int, dict[str, int]]]:
    """Stamps of images, and those of what is with them."""
    ordered = sorted(messages, key=lambda one: one.time)
    for one in Synchronizer("image", ("depth", "points"), 20 * MILLI, BagNotes(print)).run(ordered):
        yield one.image.header.stamp // MILLI, {k: v.header.stamp // MILLI for k, v in one.others.items()}


def test_the_nearest_stamp_within_the_tolerance() -> None:
    depth = [logged("depth", stamp) for stamp in (80, 95, 112, 170, 230)]
    points = [logged("points", stamp) for stamp in (60, 180, 260)]
    images = [logged("image", stamp) for stamp in (100, 150, 200)]
    assert [*together(*images, *depth, *points)] == [
        (100, {"depth": 95}), (150, {"depth": 170}), (200, {"points": 180}),
    ]  # fmt: skip


def test_what_is_recorded_late_is_waited_for_a_second() -> None:
    depth = [logged("depth", 100, late=900), logged("depth", 150, late=1200)]
    images = [logged("image", stamp) for stamp in (100, 150, 1200, 1250)]
    assert [*together(*images, *depth)] == [(100, {"depth": 100}), (150, {}), (1200, {}), (1250, {})]


def test_the_order_is_that_of_the_images() -> None:
    images = [logged("image", stamp, late) for stamp, late in ((100, 0), (50, 60), (70, 50))]
    depth = [logged("depth", stamp) for stamp in (52, 99)]
    assert [*together(*images, *depth)] == [(100, {"depth": 99}), (50, {"depth": 52}), (70, {"depth": 52})]


def test_a_stamp_of_0_is_the_time_of_the_recording() -> None:
    message = SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="/a"))
    assert Header.of(message, 7) == Header(7, "a")
