"""What the steps of a pass compute and hold: operations as torch counts them, and the peak of memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from scenekit.model.timing import StepTimer


@dataclass(frozen=True)
class Count:
    """What a step did."""

    flops: int
    """Floating-point operations of convolutions, matrix products and attention."""
    peak: int | None
    """Most bytes of tensors during the step, those of earlier steps of the pass included; None if unknown."""


@runtime_checkable
class PeakMemory(Protocol):
    """The most memory that a pass held since `restart`."""

    def restart(self) -> None:
        """Forget earlier peaks."""

    @property
    def peak(self) -> int | None:
        """Bytes beside those that were held before the pass; None where the device does not say."""


class LiveTensors(TorchDispatchMode):
    """Bytes of the tensors that were made under this mode and still exist, counted after each operator.

    On a CPU the allocator keeps no record of its peak. What a kernel holds only while it runs is not counted.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bytes = self._peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and count the storages of its results, those of views and arguments aside."""
        result = function(*args, **(kwargs or {}))
        known = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage())._cdata not in known:
                known.add(storage._cdata)
                self._bytes += storage.nbytes()
                weakref.finalize(storage, self._release, storage.nbytes()).atexit = False
        self._peak = max(self._peak, self._bytes)
        return result

    def _release(self, size: int) -> None:
        self._bytes -= size

    def restart(self) -> None:
        """Forget earlier peaks."""
        self._peak = self._bytes

    @property
    def peak(self) -> int:
        """Bytes."""
        return self._peak


class AllocatedOnGPU:
    """The peak of torch's allocator of a CUDA device.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._before = device, torch.cuda.memory_allocated(device)

    def restart(self) -> None:
        """Forget earlier peaks."""
        torch.cuda.reset_peak_memory_stats(self._device)

    @property
    def peak(self) -> int:
        """Bytes."""
        return torch.cuda.max_memory_allocated(self._device) - self._before


class Unknown:
    """A device that keeps no record."""

    peak = None

    def restart(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class StepCounter(StepTimer):
    """Counts what each step computes and holds; counting slows the steps down, so their times mean nothing."""

    operations: FlopCounterMode
    """Counts floating-point operations."""
    memory: PeakMemory
    """Measures memory."""
    counts: dict[str, Count] = field(default_factory=dict)
    """What each step did, by its name."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the body of a `with` statement.

        Args:
            name: The step.
        """
        before = self.operations.get_total_flops()
        self.memory.restart()
        yield
        self.counts[name] = Count(self.operations.get_total_flops() - before, self.memory.peak)


@contextmanager
def counters(device: torch.device) -> Iterator[tuple[FlopCounterMode, PeakMemory]]:
    """Count operations and memory within the context.

    Args:
        device: The device that runs them.

    Yields:
        What a `StepCounter` reads.
    """
    if device.type == "cpu":
        with LiveTensors() as live, FlopCounterMode(display=False) as operations:
            yield operations, live
        return
    memory = AllocatedOnGPU(device) if device.type == "cuda" else Unknown()
    with FlopCounterMode(display=False) as operations:
        yield operations, memory
