"""Which tasks run on which frame of a stream."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError, nearest, warn_once
from scenekit.io.images import Pixels
from scenekit.model.arguments import positive_integer
from scenekit.model.budget import Budget, network_size
from scenekit.model.ledger import Choice, Ledger, milliseconds
from scenekit.model.timing import TimedScene
from scenekit.streaming.clock import Clock
from scenekit.streaming.running import RunningLedger
from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from scenekit.model.scene_model import SceneModel

TURN = 10
"""Frames after which a task without a rate, for which there was no time, goes first."""

_log = logging.getLogger(__name__)


class NothingFitsError(InputError):
    """A budget allows no frame."""


class Schedule:
    """Chooses the tasks of each frame: those that are due, as far as a budget allows.

    The stages of the core that the tasks require run on every frame. A task is due when its rate says so, without a
    rate always. Of those that are due each one runs that still fits, in their order; but a task that waits since its
    rate, or since `TURN` frames without a rate, goes first.

    Args:
        model: The model.
        tasks: Tasks and stages, the most important first; all, if None.
        rates: By task, on every how many frames it runs.
        budget: The time of a frame; None without a limit.
        clock: Measures times.

    Raises:
        InputError: There is no such task, a rate is invalid, or nothing fits the budget by a ledger that it has.
    """

    def __init__(
        self,
        model: SceneModel,
        tasks: Sequence[str] | None,
        rates: Any,
        budget: Budget | None,
        clock: Clock,
    ) -> None:
        names = model.tasks if tasks is None else tuple(dict.fromkeys(tasks))
        core = model.core_stages if tasks is None else model.plan.needed(names)
        self.tasks = tuple(name for name in names if name in model.specs)
        self.always = tuple(name for name in core if name in {*model.core_stages, *names} - set(model.specs))
        self.rates = checked_rates(rates, self.tasks)
        self.measuring = self.measured = 0.0
        """Seconds that the ledger of the last frame took to measure, and those of all frames together."""
        self._by_cost = tasks is None
        self._budget, self._clock = budget, clock
        self._limit = math.inf if budget is None else budget.seconds
        self._ledgers: dict[Size, RunningLedger] = {}
        self._current: RunningLedger | None = None
        self._frame = 0
        rated = [name for name in self.tasks if self.rates.get(name, 1) > 1]
        self._last = {name: -self._turn(name) for name in self.tasks}
        for place, name in enumerate(rated):  # tasks of one rate do not all run on the same frames
            self._last[name] += place % self.rates[name]
        if budget is not None and budget.ledger is not None:
            self._check(budget.ledger)

    def choice(self, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float) -> Choice:
        """Choose the tasks to run on the next frame.

        Args:
            model: The model.
            pixels: The frame.
            tasks: Tasks asked for; all, if None.
            threshold: Objects that score less are left out.

        Returns:
            The choice; what is left out was due, but did not fit.

        Raises:
            NothingFitsError: The budget allows no frame of this size.
            InputError: The ledger is of another model or of much smaller images.
        """
        began = self._clock.now()
        self._current = self._running(model, pixels, tasks, threshold)
        self.measuring = self._clock.now() - began
        self.measured += self.measuring
        run: list[str] = list(self.always)
        left_out: list[str] = []
        for name in self._due():
            (run if self._fits([*run, name]) else left_out).append(name)
        chosen = tuple(name for name in run if name in self._last)
        self._last |= dict.fromkeys(chosen, self._frame)
        self._frame += 1
        if left_out and not chosen and not self._fits(self.always):
            warn_once(
                _log, f"what runs on every frame takes longer than a budget of {milliseconds(self._limit)} by now"
            )
        seconds = math.nan if self._current is None else self._current.ledger.seconds(run)
        return Choice(tuple(run), chosen, tuple(left_out), seconds)

    def update(self, timed: TimedScene) -> None:
        """Move the estimates towards what a frame took.

        Args:
            timed: The frame that was chosen for last.
        """
        if self._current is not None:
            self._current.update(timed)

    def _due(self) -> list[str]:
        """Return the tasks that are due, in the order in which they are considered."""
        waited = {name: self._frame - self._last[name] for name in self._ordered()}
        due = [name for name, frames in waited.items() if frames >= self.rates.get(name, 1)]
        return sorted(due, key=lambda name: -late if (late := waited[name] / self._turn(name)) >= 1 else 0.0)

    def _ordered(self) -> Sequence[str]:
        """Return the tasks by their priority: in their order, or if all are asked for the cheapest first."""
        if self._current is None or not self._by_cost:
            return self.tasks
        ledger = self._current.ledger
        return sorted(self.tasks, key=lambda name: ledger.seconds([*self.always, name]))

    def _turn(self, name: str) -> int:
        return self.rates.get(name, TURN)

    def _fits(self, run: Sequence[str]) -> bool:
        return self._current is None or self._current.high(run) <= self._limit

    def _running(
        self, model: SceneModel, pixels: Pixels, tasks: Sequence[str] | None, threshold: float
    ) -> RunningLedger | None:
        """Return the running ledger of frames of this size, if there is a budget."""
        if self._budget is None:
            return None
        ledger, size = self._budget.ledger_for(model, pixels, tasks, threshold), network_size(model, pixels)
        if size not in self._ledgers:
            self._check(ledger)
            self._ledgers[size] = RunningLedger(ledger, model.task_stages)
        return self._ledgers[size]

    def _check(self, ledger: Ledger) -> None:
        """Check that a frame fits by a ledger, and log which tasks never do."""
        limit = self._limit
        costs = {name: ledger.seconds([*self.always, name]) for name in self.tasks}
        core = ledger.seconds(self.always)
        if self._by_cost or not costs:
            costs = {"the core without tasks": core, **costs}
        cheapest = min(costs, key=lambda name: costs[name])
        if costs[cheapest] > limit:
            raise NothingFitsError(
                f"budget: nothing fits into {milliseconds(limit)}; the cheapest, {cheapest}, takes "
                f"{milliseconds(costs[cheapest])} with what runs on every frame: allow that much, or name other tasks"
            )
        if never := [f"{name} ({milliseconds(cost)})" for name, cost in costs.items() if cost > limit]:
            warn_once(_log, f"a budget of {milliseconds(limit)} a frame leaves out {', '.join(never)}")


def checked_rates(rates: Any, tasks: Sequence[str]) -> dict[str, int]:
    """Check rates.

    Args:
        rates: By task, on every how many frames it runs; None for none.
        tasks: The tasks that were asked for.

    Returns:
        The rates.

    Raises:
        InputError: It is something else, one of the tasks does not run at all, or a rate is no whole number from 1.
    """
    if rates is None:
        return {}
    if not isinstance(rates, Mapping):
        raise InputError(f'rates: expected a number of frames by task, such as {{"captions": 10}}, got {rates!r}')
    for name in rates:
        if name not in tasks:
            raise InputError(f"rates: no task {name!r} runs{nearest(str(name), tasks)}")
    return {name: positive_integer(f"rates: {name}", rate) for name, rate in rates.items()}
