"""A thread that takes frames from a source as they come."""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from scenekit.errors import InputError
from scenekit.model.image_inputs import with_errors
from scenekit.streaming.clock import Clock
from scenekit.streaming.pacing import Pacer

POLL = 0.2
"""Seconds after which a wait looks again, as a wait without end would leave Ctrl-C unnoticed on Windows."""

PATIENCE = 15.0
"""Seconds that closing waits for a source that is still busy with a frame."""

MOST_ERRORS = 100
"""Errors that wait at most where frames are dropped; the oldest make room for later ones."""

_END = object()
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Item:
    """What the source gave."""

    image: Any
    """A frame, or the InputError in the place of one."""
    number: int
    """How many the source gave before."""
    decode: float
    """Seconds that the source took for it."""
    read: float
    """Time on the clock at which it was there."""


@dataclass(frozen=True)
class Flow:
    """How frames come from a source to the network."""

    drop: bool
    """Whether a frame takes the place of an older one that still waits."""
    paced: bool
    """Whether frames wait for their own times."""
    queue: int
    """How many may wait at most where none are dropped."""


class Reader:
    """Takes frames from a source in a thread of its own.

    Args:
        source: Yields frames; an InputError that it raises stands for a frame.
        flow: How they come to the network.
        clock: Measures times.
        owned: Whether to close the source in the end, in that thread.
    """

    def __init__(self, source: Iterator[Any], flow: Flow, clock: Clock, owned: bool = False) -> None:
        self.read = self.dropped = 0
        self._source, self._flow, self._clock, self._owned = source, flow, clock, owned
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._waiting: deque[Item] = deque()
        self._taken = 0
        """How many frames the network has asked for."""
        self._ended = False
        self._failure: BaseException | None = None
        run = copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="scenekit-stream", daemon=True)

    def start(self) -> None:
        """Start the thread; a program that ends closes it."""
        atexit.register(self.close)
        self._thread.start()

    @property
    def skipped(self) -> int:
        """Return how many damaged frames the source has skipped, if it counts them."""
        damaged = getattr(self._source, "damaged", 0)
        return damaged if isinstance(damaged, int) else 0

    def take(self) -> Item | None:
        """Wait for the next frame.

        Returns:
            The oldest one that waits; None after the last one.

        Raises:
            Exception: What the source raised instead of a frame.
        """
        with self._changed:
            self._taken += 1
            self._changed.notify_all()
            while not self._waiting and not self._ended:
                self._changed.wait(POLL)
            if self._waiting:
                item = self._waiting.popleft()
                self._changed.notify_all()
                return item
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return None

    def close(self) -> None:
        """Stop the thread, and wait for it; what waits is dropped."""
        atexit.unregister(self.close)
        self._stop.set()
        with self._changed:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        with suppress(RuntimeError):  # it was not started, or a search for garbage in that thread closes the stream
            self._thread.join(PATIENCE)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            _log.warning("the source of a closed stream still waits for a frame; its thread ends when that is there")

    def _run(self) -> None:
        """Read until the source ends, fails, or is not needed any longer."""
        try:
            for item in self._items():
                self._put(item)
            if self._owned and hasattr(self._source, "close"):
                self._source.close()
        except BaseException as failure:  # is raised where the frame is waited for
            self._failure = failure
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _items(self) -> Iterator[Item]:
        images, pacer = with_errors(self._source), None
        while not self._stop.is_set():
            if self._flow.paced and self.read < 2:
                pacer = Pacer()  # the time of a recording begins with its second frame, see `_put`
            began = self._clock.now()
            image = next(images, _END)
            if image is _END:
                return
            given = self._clock.now()
            delay = 0.0 if pacer is None or isinstance(image, InputError) else pacer.delay(image, given)
            if delay > 0:
                self._clock.wait(self._stop, delay)
            yield Item(image, self.read, given - began, self._clock.now())

    def _put(self, item: Item) -> None:
        """Append what the source gave, as soon as there is room."""
        with self._changed:
            self.read += 1
            if self._flow.drop:
                self._make_room(item)
            while not self._flow.drop and len(self._waiting) >= self._flow.queue and not self._stop.is_set():
                self._changed.wait(POLL)
            if self._stop.is_set():
                self.dropped += 1
            else:
                self._waiting.append(item)
            self._changed.notify_all()
            if self._flow.paced and item.number == 0:  # on which a ledger may be measured, which takes long
                while self._taken < 2 and not self._stop.is_set():
                    self._changed.wait(POLL)

    def _make_room(self, item: Item) -> None:
        """Drop what waits and is older: the frame, or the first of too many errors."""
        is_error = isinstance(item.image, InputError)
        alike = [one for one in self._waiting if isinstance(one.image, InputError) == is_error]
        if len(alike) >= (MOST_ERRORS if is_error else 1):
            self._waiting.remove(alike[0])
            self.dropped += 1
