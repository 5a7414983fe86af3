"""The log of a run: one JSON object a line, and means over the steps between two lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scenekit.io.files import plain, write_atomically

UNLABELLED = ".unlabelled"
"""End of the name of the zero that a head without labels contributes; nothing to tell."""


class Window:
    """Sums and counts by name since the last line of the log; plain data, so that a checkpoint can hold it."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in (sums or {}).items()}

    def add(self, values: Mapping[str, float]) -> None:
        """Take in one value by name; heads that had nothing to learn from do not count."""
        for name, value in values.items():
            if not name.endswith(UNLABELLED):
                pair = self.sums.setdefault(name, [0.0, 0.0])
                pair[0] += value
                pair[1] += 1

    @classmethod
    def merged(cls, windows: Sequence[Mapping[str, list[float]]]) -> Window:
        """The sums of several processes together."""
        whole = cls()
        for name, (value, count) in (item for window in windows for item in window.items()):
            pair = whole.sums.setdefault(name, [0.0, 0.0])
            pair[0] += value
            pair[1] += count
        return whole

    def means(self) -> dict[str, float]:
        """Mean by name, sorted."""
        return {name: self.sums[name][0] / self.sums[name][1] for name in sorted(self.sums)}


class Log:
    """Appends records to a JSONL file; on resuming, lines after the checkpoint's step are taken back."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if 0 <= _step(line) <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def write(self, record: Mapping[str, Any]) -> None:
        """One line, complete on disk before training goes on."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(plain(record)) + "\n")


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a log; a last line that was cut off is passed over."""
    return [json.loads(line) for line in _lines(Path(path)) if _step(line) >= 0]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _step(line: str) -> int:
    """The step of a line, -1 for a line that is torn."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1
