"""What each part of a model costs, and which tasks a budget of time allows."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from scenekit.errors import InputError, nearest
from scenekit.model.arguments import task_names
from scenekit.structures.geometry import Size

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
"""Seconds of each unit that a budget may be written in."""


@dataclass(frozen=True)
class Row:
    """What one part of a model costs: a stage of the core, or a task with the stages that it brings."""

    name: str
    """Name of the stage or task."""
    task: bool
    """Whether this is a task."""
    requires: tuple[str, ...]
    """The other parts that run whenever this one does."""
    parameters: int
    """Number of parameters, frozen ones included."""
    flops: int | None
    """Floating-point operations of convolutions, matrix products and attention, as torch counts them; pooling and NMS
    are not among them. None where another runtime computes a network of this part.
    """
    network: float
    """Seconds of network and decoding."""
    finish: float
    """Seconds of postprocessing in pixels of the image."""
    marginal_memory: int | None
    """By how many bytes the peak of a pass rises when this part is added to the core and all that it requires; None
    where the device does not say, or another runtime computes a network of that pass.
    """
    alone_memory: int | None
    """Peak of a pass for this part alone, in bytes beside the model and the image."""

    @property
    def marginal(self) -> float:
        """Seconds that the part adds to a pass in which the core and all that it requires run anyway."""
        return self.network + self.finish


@dataclass(frozen=True)
class Choice:
    """The tasks that a budget allows."""

    run: tuple[str, ...]
    """What to run: the value of `tasks` for `predict`."""
    tasks: tuple[str, ...]
    """The tasks among them, in the order in which they were chosen."""
    left_out: tuple[str, ...]
    """Tasks that do not fit."""
    seconds: float
    """What the ledger expects the pass to take."""


@dataclass(frozen=True)
class Ledger:
    """What each part of a model costs on one device, for images of one size.

    The cost of a pass is the sum of its rows, of `preprocess` and of `rest`. Tasks that pool the same RoI features
    share that work in one pass, but each of their rows has it, so a pass of several tasks takes at most the sum.
    """

    rows: Mapping[str, Row]
    """Stages of the core and tasks by name, in the order in which they run."""
    preprocess: float
    """Seconds to resize, normalize and pad the image."""
    rest: float
    """Seconds of the pass that belong to no part, such as to build the Scene."""
    together: float
    """Seconds of one pass of all these parts, measured as a whole."""
    together_memory: int | None
    """Peak of that pass, in bytes beside the model and the image."""
    image: Size
    """Height and width of the image, in pixels."""
    network: Size
    """Height and width of what the network gets, padding included."""
    regions: Mapping[str, int]
    """How many regions the heads worked on, by the name of their stream, such as objects."""
    device: str
    """The device."""
    threshold: float
    """No head got objects that score less."""
    repeats: int
    """Number of passes that each time is the median of."""
    dtype: str = "float32"
    """Type of the model's parameters."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(name for name, row in self.rows.items() if row.task)

    @property
    def core(self) -> tuple[str, ...]:
        """Names of the stages of the core."""
        return tuple(name for name, row in self.rows.items() if not row.task)

    @property
    def flops(self) -> int | None:
        """Operations of all parts; None where those of one are unknown."""
        counts = [row.flops for row in self.rows.values()]
        return None if None in counts else sum(count for count in counts if count is not None)

    def seconds(self, parts: str | Collection[str]) -> float:
        """Return what one pass of some parts costs, with all that they require.

        Args:
            parts: Names of tasks and stages, or a single one.

        Returns:
            Seconds.

        Raises:
            InputError: The ledger has no such part.
        """
        parts = task_names(parts) or ()
        for name in parts:
            if name not in self.rows:
                raise InputError(f"this ledger has no task {name!r}{nearest(name, list(self.rows))}")
        needed = {other for name in parts for other in (name, *self.rows[name].requires)}
        return self.preprocess + self.rest + sum(row.marginal for name, row in self.rows.items() if name in needed)

    def within(self, budget: float | str, tasks: str | Collection[str] | None = None) -> Choice:
        """Choose tasks whose pass costs at most a budget, by the numbers of this ledger.

        Named tasks are considered in the order of their names. Without names the core always runs, and the task
        that adds least to what is chosen already is considered next. A task that does not fit with all that it requires
        is left out, and the following ones are still considered.

        Args:
            budget: Seconds as a number, or text such as "60ms".
            tasks: Names of tasks, or a single one; all, if None.

        Returns:
            The choice.

        Raises:
            InputError: The budget is no time, there is no such task, or nothing fits.
        """
        limit = seconds_of(budget)
        tasks = task_names(tasks)
        run = list(self.core) if tasks is None else []
        waiting = list(self.tasks if tasks is None else dict.fromkeys(tasks))
        left_out: list[str] = []
        while waiting:
            name = min(waiting, key=lambda name: self.seconds([*run, name])) if tasks is None else waiting[0]
            waiting.remove(name)
            (run if self.seconds([*run, name]) <= limit else left_out).append(name)
        cost = self.seconds(run)
        if cost > limit or (left_out and not run):
            raise InputError(self._nothing_fits(limit, tasks))
        return Choice(tuple(run), tuple(name for name in run if self.rows[name].task), tuple(left_out), cost)

    def _nothing_fits(self, limit: float, tasks: Sequence[str] | None) -> str:
        alone = {f"{name!r} alone": self.seconds([name]) for name in (self.tasks if tasks is None else tasks)}
        if tasks is None:
            alone["the core without tasks"] = self.seconds(self.core)
        cheapest = min(alone, key=lambda name: alone[name])
        ask = ", and ask for that task" if tasks is None and cheapest.endswith("alone") else ""
        cost = milliseconds(alone[cheapest])
        return f"budget: nothing fits into {milliseconds(limit)}; {cheapest} takes {cost}: allow that much{ask}"

    def to_json(self) -> dict[str, Any]:
        """Encode the ledger as plain JSON, with times in milliseconds.

        Returns:
            The mapping.
        """
        height, width = self.image
        return {
            "device": self.device,
            "dtype": self.dtype,
            "image": {"height": height, "width": width},
            "network": {"height": self.network[0], "width": self.network[1]},
            "threshold": self.threshold,
            "regions": dict(self.regions),
            "repeats": self.repeats,
            "preprocess_ms": 1e3 * self.preprocess,
            "parts": [self._row_json(row) for row in self.rows.values()],
            "rest_ms": 1e3 * self.rest,
            "sum_ms": 1e3 * self.seconds(list(self.rows)),
            "together_ms": 1e3 * self.together,
            "together_bytes": self.together_memory,
        }

    def _row_json(self, row: Row) -> dict[str, Any]:
        return {
            "name": row.name,
            "kind": "task" if row.task else "stage",
            "requires": list(row.requires),
            "parameters": row.parameters,
            "flops": row.flops,
            "network_ms": 1e3 * row.network,
            "finish_ms": 1e3 * row.finish,
            "marginal_ms": 1e3 * row.marginal,
            "alone_ms": 1e3 * self.seconds([row.name]),
            "marginal_bytes": row.marginal_memory,
            "alone_bytes": row.alone_memory,
        }


def seconds_of(budget: object) -> float:
    """Return the seconds of a budget.

    Args:
        budget: Seconds as a number, or text with a unit: "60ms", "0.06s".

    Returns:
        Seconds, more than 0.

    Raises:
        InputError: It is no time.
    """
    seconds = math.nan
    if isinstance(budget, str):
        if match := re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(us|ms|s)\s*", budget):
            seconds = float(match[1]) * UNITS[match[2]]
    elif isinstance(budget, Real) and not isinstance(budget, bool):
        seconds = float(budget)
    if not 0 < seconds < math.inf:
        numbers = "" if isinstance(budget, str) else ", or seconds as a number"
        raise InputError(f"budget: expected a time with a unit, such as '60ms' or '0.06s'{numbers}, got {budget!r}")
    return seconds


def milliseconds(seconds: float) -> str:
    """Format a time.

    Args:
        seconds: The time.

    Returns:
        Text such as "60.0 ms", or "0.001 ms" where one decimal place would be 0.
    """
    return f"{1e3 * seconds:.1f} ms" if seconds >= 1e-4 else f"{1e3 * seconds:.1g} ms"
