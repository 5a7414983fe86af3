"""The duration of the steps of a pass, on the device that runs them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch

from scenekit.model.tracing import untraced

if TYPE_CHECKING:
    from scenekit.scene import Scene


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


@dataclass(frozen=True, eq=False)
class TimedScene:
    """A scene, and how long its parts took, in seconds of one clock."""

    scene: Scene
    """The scene."""
    run: tuple[str, ...] | None
    """Tasks and stages that were asked for; None for all tasks."""
    prepare: float
    """Reading and resizing the image, and choosing the tasks."""
    network: float
    """The pass of the network."""
    postprocess: float
    """Building the scene in pixels of the image."""
    steps: Mapping[str, float]
    """Seconds of each step of the network, by the device that ran it."""
    finished: Mapping[str, float]
    """Seconds of the postprocessing of each task, by that device."""
