"""The log of a run: one JSON object per line, with means over the steps between two lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scenekit.io.files import plain, unwritable, write_atomically
from scenekit.io.records import parse_json

UNLABELLED = ".unlabelled"
"""End of the name of the zero that a head without labels contributes; it is not logged."""


class Window:
    """Sums and counts by name since the last line of the log, as plain data that a checkpoint can hold."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in (sums or {}).items()}

    def add(self, values: Mapping[str, float]) -> None:
        """Add one value by name; losses of heads without labels do not count.

        Args:
            values: Values of one batch by name.
        """
        for name, value in values.items():
            if not name.endswith(UNLABELLED):
                pair = self.sums.setdefault(name, [0.0, 0.0])
                pair[0] += value
                pair[1] += 1

    @classmethod
    def merged(cls, windows: Sequence[Mapping[str, list[float]]]) -> Window:
        """Merge the windows of several processes.

        Args:
            windows: Sums and counts of each process.

        Returns:
            The window of all processes.
        """
        whole = cls()
        for name, (value, count) in (item for window in windows for item in window.items()):
            pair = whole.sums.setdefault(name, [0.0, 0.0])
            pair[0] += value
            pair[1] += count
        return whole

    def means(self) -> dict[str, float]:
        """Compute the mean by name.

        Returns:
            Means, sorted by name.
        """
        return {name: self.sums[name][0] / self.sums[name][1] for name in sorted(self.sums)}


class Log:
    """A JSON Lines file to append records to; on resuming, lines after the checkpoint's step are removed."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if 0 <= _step(line) <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; it is on disk when the method returns.

        Args:
            record: The record as plain data.

        Raises:
            InputError: If the file cannot be written.
        """
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(plain(record)) + "\n")
        except OSError as error:
            raise unwritable(self.path, error) from error


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Load the records of a log; an incomplete last line is skipped.

    Args:
        path: Path of the file.

    Returns:
        The records, in their order.
    """
    return [parse_json(line, path) for line in _lines(Path(path)) if _step(line) >= 0]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _step(line: str) -> int:
    """Return the step of a line, -1 for an incomplete line."""
    try:
        return int(parse_json(line, "a line")["step"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return -1
