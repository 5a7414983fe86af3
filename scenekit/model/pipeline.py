"""Work on several images: in groups of equal size, and in other threads while the network runs."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch

T = TypeVar("T")

Call: TypeAlias = Callable[[], T]


def grouped(items: Iterable[T], size_of: Callable[[T], Hashable | None], count: int, ahead: int) -> Iterator[list[T]]:
    """Yield items in groups of equal size, in the order in which the groups become full.

    Args:
        items: The items.
        size_of: Returns the size of an item; None for one that is a group by itself.
        count: Number of items in a full group.
        ahead: Number of items after which one waits no longer for others of its size.

    Yields:
        Groups of at most `count` items.
    """
    first: dict[Hashable, int] = {}
    groups: dict[Hashable, list[T]] = {}  # begins with the one that waits longest
    for number, item in enumerate(items):
        size = size_of(item)
        if size is None:
            yield [item]
        else:
            first.setdefault(size, number)
            groups.setdefault(size, []).append(item)
        full = [size for size, group in groups.items() if len(group) == count or number - first[size] >= ahead]
        for size in full:
            del first[size]
            yield groups.pop(size)
    yield from groups.values()


def overlapped(calls: Iterable[Call[T]], worker: Worker | None, ahead: int = 1) -> Iterator[T]:
    """Yield the results of calls in their order, each while the worker runs up to `ahead` later ones.

    Args:
        calls: The calls; the iterable runs in the thread that asks for the results.
        worker: The thread that runs them; None for the one that asks.
        ahead: Number of later calls that are submitted before the result of one is waited for.

    Yields:
        What they return.
    """
    if worker is None:
        yield from map(operator.call, calls)  # which keeps no call, and what it holds, while the next one is made
        return
    pending: deque[Future[T]] = deque()
    for call in calls:
        pending.append(worker.submit(call))
        del call  # what it holds is freed as soon as it has run
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


class Worker:
    """A thread that runs calls one after the other, as the thread that submits them would.

    Args:
        device: Device whose stream and whose autocasting the calls share with that thread.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scenekit")

    def submit(self, call: Call[T]) -> Future[T]:
        """Append a call to those that are run.

        Args:
            call: The call.

        Returns:
            Its result, as soon as that is known.
        """
        return self._pool.submit(copy_context().run, _Surroundings.here(self._device).run, call)

    def close(self) -> None:
        """Wait for the call that is running; those behind it are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def workers(count: int, device: torch.device) -> Iterator[list[Worker]]:
    """Start worker threads, which end with the context.

    Args:
        count: Number of threads.
        device: Device that they share with the calling thread.

    Yields:
        The workers.
    """
    started = [Worker(device) for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.close()


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """What torch keeps for each thread."""

    inference: bool
    autocast: tuple[tuple[str, torch.dtype, bool], ...]
    stream: torch.cuda.Stream | None

    @classmethod
    def here(cls, device: torch.device) -> _Surroundings:
        types = dict.fromkeys(("cpu", device.type))
        autocast = tuple((one, torch.get_autocast_dtype(one), torch.is_autocast_enabled(one)) for one in types)
        stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        return cls(torch.is_inference_mode_enabled(), autocast, stream)

    def run(self, call: Call[T]) -> T:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(self.inference))
            for kind, dtype, enabled in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype, enabled))
            stack.enter_context(torch.cuda.stream(self.stream))
            return call()
