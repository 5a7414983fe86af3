"""The clock of a stream."""

from __future__ import annotations

import threading
import time


class Clock:
    """What measures times and waits: `time.perf_counter`; a subclass may follow a simulated time."""

    def now(self) -> float:
        """Return the time.

        Returns:
            Seconds since any fixed moment.
        """
        return time.perf_counter()

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Wait for a time, or until the stream is closed.

        Args:
            stop: Is set when the stream is closed.
            seconds: How long to wait at most.
        """
        stop.wait(seconds)
