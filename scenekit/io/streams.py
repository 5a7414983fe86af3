"""Standard output belongs to the results of a command: what plugins, libraries and C code print is a message."""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

STDOUT, STDERR = 1, 2

_results: Any = None


class Results(io.TextIOWrapper):
    """Standard output that remembers why it could not be written, whatever became of the error."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write text."""
        try:
            return super().write(text)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            super().flush()
        except OSError as error:
            self.failure = error
            raise


def results() -> Any:
    """Return the stream of text to write results to: standard output."""
    return sys.stdout if _results is None else _results


@contextmanager
def reserved() -> Iterator[Any]:
    """Keep standard output for what is written to `results()` or, outside of `diverted`, to `sys.stdout`.

    Its file descriptor leads to standard error within the context, for C code and other programs.

    Yields:
        The stream of results; those that are still buffered are written in the end, and `failure` holds the error of
        one that could not be.
    """
    global _results
    _open_stderr()
    own = sys.stdout
    stream = _duplicated(own) if _is_descriptor(own, STDOUT) else own
    _results = sys.stdout = stream
    try:
        yield stream
    finally:
        _results, sys.stdout = None, own
        if isinstance(stream, Results):
            _finish(stream)
            os.dup2(stream.fileno(), STDOUT)
            stream.close()
            atexit.register(_divert)  # runs before the handlers that plugins have registered


@contextmanager
def diverted() -> Iterator[None]:
    """Send what is printed within the context to standard error, where standard output is reserved for results."""
    if _results is None:
        yield
    else:
        with redirect_stdout(sys.stderr):
            yield


def _duplicated(own: Any) -> Results:
    """Return standard output under another file descriptor; its own becomes one of standard error."""
    own.flush()
    raw = open(os.dup(STDOUT), "wb")  # noqa: SIM115
    options: dict[str, Any] = {name: getattr(own, name) for name in ("encoding", "errors", "line_buffering")}
    os.dup2(STDERR, STDOUT)
    return Results(raw, **options)


def _finish(stream: Results) -> None:
    """Write what is buffered; what cannot be written is dropped, else Python would try again when it exits."""
    with suppress(OSError):
        stream.flush()
    if stream.failure is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        with suppress(OSError):
            stream.flush()


def _divert() -> None:
    """Send what is printed while Python exits to standard error."""
    sys.stdout = sys.stderr
    with suppress(OSError):
        os.dup2(STDERR, STDOUT)


def _open_stderr() -> None:
    """Open standard error if it is closed, else the next file that is opened would get its messages."""
    if sys.stderr is None:
        while os.open(os.devnull, os.O_RDWR) <= STDERR:
            pass
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _is_descriptor(stream: Any, number: int) -> bool:
    try:
        return bool(stream.fileno() == number)
    except (OSError, ValueError, AttributeError):  # a stream in memory
        return False
