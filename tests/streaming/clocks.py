"""A clock that moves when a test says so."""

from __future__ import annotations

import threading

from scenekit.streaming.clock import Clock


class FakeClock(Clock):
    """Its time is a number; a wait moves it at once."""

    def __init__(self) -> None:
        self.time = 100.0
        self.waited: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, stop: threading.Event, seconds: float) -> None:
        self.waited.append(seconds)
        self.time += seconds


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("scenekit")]
