"""The clock of a stream."""

from __future__ import annotations

from scenekit.io.clock import ForwardClock


def test_a_clock_goes_on_where_stamps_repeat_or_go_back() -> None:
    clock = ForwardClock(step=0.5)
    assert [clock.at(stamp) for stamp in (-1.0, 2.0, 2.0, 3.0, 0.0, 4.0)] == [-1.0, 2.0, 2.5, 3.5, 4.0, 8.0]
