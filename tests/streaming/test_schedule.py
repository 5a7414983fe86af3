"""Which tasks run on which frame, by costs worked out by hand."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit.model.budget import Budget
from scenekit.model.ledger import Ledger, Row
from scenekit.model.timing import TimedScene
from scenekit.recipe import InputConfig
from scenekit.streaming.running import FLOOR, MOST, RETURN, SHARE, STEP, WEIGHT, RunningLedger, moved
from scenekit.streaming.schedule import NothingFitsError, Schedule
from tests.streaming.clocks import FakeClock

PIXELS = torch.zeros((3, 48, 64), dtype=torch.uint8)
COSTS = {"core": 0.010, "a": 0.020, "b": 0.030, "c": 0.040, "both": 0.005}
TASKS = ("a", "b", "c", "both")
REQUIRES = {"core": (), "a": ("core",), "b": ("core",), "c": ("core",), "both": ("core", "a", "b")}
MODEL: Any = SimpleNamespace(
    tasks=TASKS,
    specs=dict.fromkeys(TASKS),
    core_stages=("core",),
    task_stages={"stage_of_a": "a"},
    plan=SimpleNamespace(needed=lambda names: ["core", *names]),
    config=SimpleNamespace(input=InputConfig()),
)


def ledger_of(costs: Mapping[str, float]) -> Ledger:
    rows = {
        name: Row(name, name != "core", REQUIRES[name], 0, 0, cost, 0.0, None, None) for name, cost in costs.items()
    }
    return Ledger(rows, 0.0, 0.0, 0.1, None, (1, 1), (1, 1), {}, "cpu", 0.5, 1)


class Known(Budget):
    """A budget whose ledger holds for any image."""

    def ledger_for(self, *arguments: object) -> Ledger:
        assert self.ledger is not None
        return self.ledger


def schedule_of(budget: float | None, tasks: Sequence[str] | None = TASKS, rates: Any = None) -> Schedule:
    known = None if budget is None else Known(budget, ledger_of(COSTS))
    return Schedule(MODEL, tasks, rates, known, FakeClock())


def timed(run: Sequence[str], costs: Mapping[str, float] = COSTS) -> TimedScene:
    parts = {other: costs[other] for name in run for other in (name, *REQUIRES[name])}
    empty: Any = None
    return TimedScene(empty, tuple(run), 0.0, sum(parts.values()), 0.0, parts, {})


def simulated(
    schedule: Schedule, frames: int, costs: Mapping[str, float] = COSTS
) -> list[tuple[tuple[str, ...], float]]:
    """The tasks of each frame, and what it took."""
    done = []
    for _ in range(frames):
        choice = schedule.choice(MODEL, PIXELS, None, 0.5)
        took = timed(choice.run, costs)
        schedule.update(took)
        done.append((choice.tasks, took.network))
    return done


def test_without_rates_and_budget_all_tasks_run_on_every_frame() -> None:
    choice = schedule_of(None).choice(MODEL, PIXELS, None, 0.5)
    assert choice.run == ("core", *TASKS) and choice.left_out == ()


def test_a_task_runs_at_its_rate() -> None:
    tasks = [tasks for tasks, _ in simulated(schedule_of(None, ["a", "b"], {"b": 10}), 31)]
    assert [number for number, names in enumerate(tasks) if "b" in names] == [0, 10, 20, 30]
    assert all("a" in names for names in tasks)


def test_tasks_of_one_rate_take_turns() -> None:
    tasks = [names for names, _ in simulated(schedule_of(None, ["a", "b", "c"], {"b": 3, "c": 3, "a": 1}), 6)]
    assert tasks == [("b", "a"), ("c", "a"), ("a",)] * 2 or tasks == [("a", "b"), ("a", "c"), ("a",)] * 2


def test_the_core_runs_where_no_task_is_due() -> None:
    schedule = schedule_of(None, ["b"], {"b": 2})
    assert [schedule.choice(MODEL, PIXELS, None, 0.5).run for _ in range(3)] == [
        ("core", "b"),
        ("core",),
        ("core", "b"),
    ]


def test_no_frame_is_planned_beyond_the_budget_and_every_task_gets_its_turn() -> None:
    """Core and a and b take 60 ms, core and c 50 ms, all 100 ms or more."""
    done = simulated(schedule_of(0.060), 200)
    assert max(took for _, took in done) <= 0.060 + 1e-9
    counts = Counter(name for tasks, _ in done for name in tasks)
    assert counts["a"] == counts["b"] == 200 - counts["c"] and 25 >= counts["c"] >= 15
    last = [number for number, (tasks, _) in enumerate(done) if "c" in tasks]
    assert max(later - earlier for earlier, later in pairwise(last)) <= 11


def test_priority_is_the_order_of_the_names() -> None:
    for order in (("a", "c"), ("c", "a")):
        counts = Counter(name for tasks, _ in simulated(schedule_of(0.050, order), 100) for name in tasks)
        assert counts[order[0]] > 8 * counts[order[1]] > 0


def test_of_all_tasks_the_cheapest_come_first() -> None:
    counts = Counter(name for tasks, _ in simulated(schedule_of(0.055, None), 100) for name in tasks)
    assert counts["a"] > counts["b"] >= counts["c"] > 0 and "both" not in counts


def test_a_rate_holds_against_tasks_without_one() -> None:
    done = simulated(schedule_of(0.050, ("a", "c"), {"c": 5}), 41)
    assert [number for number, (tasks, _) in enumerate(done) if "c" in tasks][1:8] == [6, 11, 16, 21, 26, 31, 36]
    assert all(tasks in (("a",), ("c",)) for tasks, _ in done)


def test_a_task_that_another_one_requires_costs_nothing_more() -> None:
    done = simulated(schedule_of(0.065, ("both", "a", "b")), 3)
    assert all(set(tasks) == {"both", "a", "b"} for tasks, _ in done)


def test_what_was_due_but_did_not_fit_is_left_out() -> None:
    schedule = schedule_of(0.031, ("a", "b"))
    first, second = (schedule.choice(MODEL, PIXELS, None, 0.5) for _ in range(2))
    assert first.tasks == second.tasks == ("a",) and first.left_out == second.left_out == ("b",)
    assert first.seconds == pytest.approx(0.030)


def test_a_slower_machine_runs_less() -> None:
    """Everything takes three times as long as in the ledger: a fits with the core no longer, and later again."""
    schedule = schedule_of(0.065, ("a", "b"))
    slow = {name: 3 * cost for name, cost in COSTS.items()}
    done = simulated(schedule, 300, slow)
    late = [took for _, took in done[50:]]
    assert done[0][0] == ("a", "b") and sorted(late)[int(0.95 * len(late))] <= 0.065
    assert 0 < sum("a" in tasks for tasks, _ in done[50:]) < 0.05 * len(late)  # it is tried again, rarely
    again = simulated(schedule, 300)
    assert sum(tasks == ("a", "b") for tasks, _ in again[200:]) > 90


def test_95_of_100_frames_take_at_most_what_is_planned() -> None:
    """Costs that vary by a distribution with a long tail: its mean is 1, its 95th percentile 1.8."""
    running, random = RunningLedger(ledger_of(COSTS), {}), np.random.default_rng(0)
    beyond = []
    for factor in 0.6 + random.exponential(0.4, 3000):
        took = timed(["core", "c"], {name: factor * cost for name, cost in COSTS.items()})
        beyond.append(took.network > running.high(["core", "c"]))
        running.update(took)
    assert np.mean(beyond[200:]) == pytest.approx(0.05, abs=0.015)


def test_the_margin_worked_by_hand() -> None:
    running = RunningLedger(ledger_of(COSTS), {})
    running.update(timed(["core"], {**COSTS, "core": 0.0104}))
    deviation = WEIGHT * 0.0004
    assert running.margin == pytest.approx(STEP * SHARE * deviation)
    before = running.margin
    running.update(timed(["core"], {**COSTS, "core": 0.01 + WEIGHT * 0.0004}))  # as expected
    assert running.margin == pytest.approx(before - STEP * (1 - SHARE) * (1 - WEIGHT) * deviation)


def test_a_running_average_worked_by_hand() -> None:
    assert moved(0.010, 0.015) == pytest.approx(0.010 + WEIGHT * 0.005)
    assert moved(0.010, 9.0) == pytest.approx(0.010 + WEIGHT * (MOST - 1) * 0.010)
    assert moved(0.0, 9.0) == pytest.approx(WEIGHT * FLOOR)
    running = RunningLedger(ledger_of(COSTS), {"stage_of_a": "a"})
    empty: Any = None
    steps, finished = {"core": 0.012, "stage_of_a": 0.005, "a": 0.020}, {"a": 0.0005}
    running.update(TimedScene(empty, ("core", "a"), 0.0006, 0.0378, 0.0006, steps, finished))
    rows = running.ledger.rows
    assert rows["core"].network == pytest.approx(0.010 + WEIGHT * 0.002)
    assert rows["a"].network == pytest.approx(0.020 + WEIGHT * 0.005)
    assert rows["a"].finish == pytest.approx(WEIGHT * 0.0005) and rows["b"].network == pytest.approx(0.030)
    assert running.ledger.preprocess == pytest.approx(WEIGHT * 0.0006)
    assert running.ledger.rest == pytest.approx(WEIGHT * (0.0378 + 0.0006 - 0.037 - 0.0005))


def test_the_estimate_of_a_task_that_does_not_run_returns() -> None:
    running = RunningLedger(ledger_of(COSTS), {})
    rows = {**running.ledger.rows, "b": replace(running.ledger.rows["b"], network=0.130)}
    running.ledger = replace(running.ledger, rows=rows)
    for _ in range(100):
        running.update(timed(["core", "a"]))
    assert running.ledger.rows["b"].network == pytest.approx(0.030 + 0.1 * (1 - RETURN) ** 100)


def test_sizes_of_frames_have_estimates_of_their_own() -> None:
    schedule = schedule_of(0.060, ("a",))
    schedule.choice(MODEL, PIXELS, None, 0.5)
    slow = timed(["core", "a"], {name: 3 * cost for name, cost in COSTS.items()})
    schedule.update(slow)
    first = schedule.choice(MODEL, PIXELS, None, 0.5).seconds
    other = schedule.choice(MODEL, torch.zeros((3, 64, 32), dtype=torch.uint8), None, 0.5).seconds
    assert first > other == pytest.approx(0.030)


def test_a_budget_that_nothing_fits_names_the_cheapest() -> None:
    with pytest.raises(NothingFitsError, match=r"nothing fits into 25.0 ms; the cheapest, a, takes 30.0 ms with what"):
        schedule_of(0.025, ("b", "a"))
    with pytest.raises(NothingFitsError, match=r"the cheapest, the core without tasks, takes 10.0 ms"):
        schedule_of(0.005, None)
    assert schedule_of(0.015, None).choice(MODEL, PIXELS, None, 0.5).run == ("core",)


def test_tasks_that_never_fit_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        schedule_of(0.0321, ("a", "b", "c"))
    assert "a budget of 32.1 ms a frame leaves out b (40.0 ms), c (50.0 ms)" in caplog.text


def test_a_core_that_became_too_slow_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        done = simulated(schedule_of(0.0335, ("a",)), 30, {name: 5 * cost for name, cost in COSTS.items()})
    assert done[-1][0] == () and "takes longer than a budget of 33.5 ms by now" in caplog.text


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ({"d": 2}, "rates: no task 'd' runs; known: a, b"),
        ({"c": 2}, "rates: no task 'c' runs"),
        ({"a": 0}, "rates: a: expected a whole number from 1, got 0"),
        ({"a": 2.5}, "rates: a: expected a whole number from 1, got 2.5"),
        ({"a": True}, "rates: a: expected a whole number from 1, got True"),
        (10, r"rates: expected a number of frames by task, such as \{\"captions\": 10\}, got 10"),
    ],
)
def test_rates_that_are_none(rates: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        schedule_of(None, ("a", "b"), rates)
