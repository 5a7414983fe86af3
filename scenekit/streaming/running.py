"""A ledger that follows what the frames of a stream are measured to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scenekit.model.ledger import Ledger, Row
from scenekit.model.timing import TimedScene

WEIGHT = 0.2
"""Share of the newest frame in a running average."""

MOST = 2.0
"""By what factor a single frame may exceed the average: one interruption of the machine says little."""

FLOOR = 1e-3
"""Seconds that any part may take, whatever its average is."""

SHARE = 0.95
"""Share of the frames that take at most what is planned."""

STEP = 0.5
"""By how many mean deviations the margin of a plan moves."""

RETURN = 0.01
"""Share by which the estimate of a part that does not run returns to the ledger, so that it is tried again."""


class RunningLedger:
    """The cost of each part as a running average, which begins with a ledger.

    Args:
        ledger: What the parts cost when they were measured.
        task_stages: The task that brings a stage, by name of the stage.
    """

    def __init__(self, ledger: Ledger, task_stages: Mapping[str, str]) -> None:
        self.ledger = ledger
        self.deviation = 0.0
        """Running average of the seconds by which frames differ from what is expected."""
        self.margin = 0.0
        """Seconds by which `SHARE` of the frames exceed at most what is expected."""
        self._measured = ledger
        self._owners = dict(task_stages)

    def high(self, run: Sequence[str]) -> float:
        """Return what `SHARE` of the frames take at most.

        Args:
            run: Names of tasks and stages.

        Returns:
            Seconds.
        """
        return self.ledger.seconds(run) + self.margin

    def update(self, timed: TimedScene) -> None:
        """Move the estimates towards what a frame took.

        Args:
            timed: The frame.
        """
        excess = timed.prepare + timed.network + timed.postprocess - self.ledger.seconds(timed.run or ())
        self.deviation = moved(self.deviation, abs(excess))
        # Where the margin is right, 95 moves down by 0.05 balance 5 moves up by 0.95 (Robbins and Monro, 1951).
        move = SHARE if excess > self.margin else SHARE - 1
        self.margin = max(0.0, self.margin + STEP * self.deviation * move)
        network: dict[str, float] = {}
        for step, seconds in timed.steps.items():
            part = self._owners.get(step, step)
            network[part] = network.get(part, 0.0) + seconds
        rows = {name: self._row(row, network, timed.finished) for name, row in self.ledger.rows.items()}
        between = timed.network + timed.postprocess - sum(network.values()) - sum(timed.finished.values())
        preprocess, rest = moved(self.ledger.preprocess, timed.prepare), moved(self.ledger.rest, max(0.0, between))
        self.ledger = replace(self.ledger, rows=rows, preprocess=preprocess, rest=rest)

    def _row(self, row: Row, network: Mapping[str, float], finished: Mapping[str, float]) -> Row:
        if row.name in network:
            finish = moved(row.finish, finished.get(row.name, 0.0))
            return replace(row, network=moved(row.network, network[row.name]), finish=finish)
        known = self._measured.rows[row.name]
        back = row.network + RETURN * (known.network - row.network), row.finish + RETURN * (known.finish - row.finish)
        return replace(row, network=back[0], finish=back[1])


def moved(average: float, newest: float) -> float:
    """Return a running average with one more value.

    Args:
        average: The average, in seconds.
        newest: The value, in seconds.

    Returns:
        The average, moved by `WEIGHT` of the way, at most as if the value were `MOST` averages.
    """
    return average + WEIGHT * (min(newest, max(MOST * average, FLOOR)) - average)
