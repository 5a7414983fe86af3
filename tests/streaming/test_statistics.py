"""Percentiles worked by hand, in bounded memory."""

from __future__ import annotations

import random

import pytest

from scenekit.streaming.statistics import TIMES, Recorder, Reservoir, Times


def test_percentiles_are_exact_up_to_the_size() -> None:
    reservoir = Reservoir(101)
    for value in random.Random(1).sample(range(101), 101):
        reservoir.add(float(value))
    assert reservoir.times() == Times(101, 50.0, 50.0, 95.0, 99.0, 100.0)


def test_percentiles_between_two_numbers_are_interpolated() -> None:
    reservoir = Reservoir()
    reservoir.add(1.0)
    reservoir.add(3.0)
    times = reservoir.times()
    assert (times.p50, times.p95, times.p99) == pytest.approx((2.0, 2.9, 2.98))


def test_beyond_the_size_a_uniform_sample_is_kept() -> None:
    reservoir = Reservoir(1000)
    for value in range(100_000):
        reservoir.add(float(value))
    times = reservoir.times()
    assert len(reservoir._kept) == 1000 and times.count == 100_000
    assert times.mean == pytest.approx(49_999.5) and times.longest == 99_999
    assert times.p50 == pytest.approx(50_000, abs=5_000) and times.p95 == pytest.approx(95_000, abs=2_500)


def test_no_numbers() -> None:
    assert Reservoir().times() == Times(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    stats = Recorder(("masks",)).stats(0, 0)
    assert stats.rate == 0.0 and stats.ran == {"masks": 0}


def test_json_is_in_milliseconds() -> None:
    recorder = Recorder(("masks", "captions"))
    recorder.add(**dict.fromkeys(TIMES, 0.25))
    recorder.count(("backbone", "masks"))
    recorder.seconds, recorder.damaged = 0.5, 2
    data = recorder.stats(10, 7).to_json()
    assert data["frames"] == {"read": 10, "processed": 1, "dropped": 7, "damaged": 2}
    assert data["scenes_per_second"] == 2.0 and data["ran"] == {"masks": 1, "captions": 0}
    times = {"count": 1, **dict.fromkeys(("mean_ms", "p50_ms", "p95_ms", "p99_ms", "longest_ms"), 250.0)}
    assert data["times"] == dict.fromkeys(TIMES, times)


def test_statistics_are_a_copy() -> None:
    recorder = Recorder(("masks",))
    before = recorder.stats(0, 0)
    recorder.count(("masks",))
    assert before.processed == 0 and before.ran == {"masks": 0}
