"""Ctrl-C and SIGTERM end a command with one line, whatever it is doing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""What is printed about each signal."""

IMPORT = "<frozen importlib._bootstrap>"
"""The file of Python's import system in stack frames."""

_received: list[int] = []


def received() -> int | None:
    """Return the signal that has ended the command, if one has."""
    return _received[0] if _received else None


@contextmanager
def handled() -> Iterator[None]:
    """Handle the signals within the context.

    A signal raises KeyboardInterrupt, so that files are closed and drafts removed. During an import, where libraries
    turn that into errors of their own, and when it is repeated, it ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            if number == signal.SIGINT:  # Ctrl-C reaches the whole group; the command ends its workers
                return
            os._exit(128 + number)
        _received.append(number)
        if len(_received) > 1 or _is_importing(frame):
            with suppress(OSError):
                os.write(2, f"error: {REASONS[signal.Signals(number)]}\n".encode())
            os._exit(128 + number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in REASONS}
    try:
        yield
    finally:
        _received.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported."""
    while frame is not None and frame.f_code.co_filename != IMPORT:
        frame = frame.f_back
    return frame is not None
