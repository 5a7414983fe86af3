"""The duration of the steps of a pass, on the device that runs them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch

from scenekit.model.tracing import untraced


@dataclass(frozen=True)
class StepTimer:
    """Seconds of named steps: by the clock on a CPU, by events on the current stream on a GPU.

    A GPU runs what the host has queued, so that the host's clock would measure when a step was queued, not how long it
    took. Recording an event blocks nothing; `seconds` waits for the last one.
    """

    device: torch.device
    _marks: dict[str, list[tuple[_Mark, _Mark]]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the body of a `with` statement as `name`; the times of one name add up."""
        start = self._mark()
        yield
        self._marks.setdefault(name, []).append((start, self._mark()))

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by step, in the order in which they ran."""
        return {name: sum(_between(*span) for span in spans) for name, spans in self._marks.items()}

    @untraced
    def _mark(self) -> _Mark:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event


_Mark = float | torch.cuda.Event


def _between(start: _Mark, end: _Mark) -> float:
    if isinstance(start, float) or isinstance(end, float):
        return cast(float, end) - cast(float, start)
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
