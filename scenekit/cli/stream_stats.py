"""What `scenekit predict --stats` prints or writes: counts and times of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenekit.cli import output
from scenekit.errors import InputError
from scenekit.io.files import write_atomically

if TYPE_CHECKING:
    from scenekit.streaming.statistics import StreamStats

TABLE = "-"
"""The target that stands for a table."""


def check_target(target: str | None) -> None:
    """Check where statistics go.

    Args:
        target: Value of --stats.

    Raises:
        InputError: It is neither a .json nor a table, or there is no such folder.
    """
    if target in (None, TABLE):
        return
    path = Path(str(target))
    if path.suffix.lower() != ".json":
        raise InputError(f"--stats {target}: expected a .json file, or {TABLE} for a table")
    if not path.parent.is_dir():
        raise InputError(f"--stats {target}: no such folder; create it first")


def report(stats: Sequence[tuple[str, StreamStats]], target: str | None, aside: bool) -> None:
    """Print or write the statistics of streams.

    Args:
        stats: The name of each source, and its statistics.
        target: Value of --stats.
        aside: Whether standard output has other results, so that tables go to standard error.
    """
    if target == TABLE:
        for name, one in stats:
            (output.print_note if aside else output.print_text)(title(name, one))
            output.print_table("", ("ms", "mean", "p50", "p95", "p99", "longest"), rows(one), aside)
    elif target is not None:
        sources = [{"source": name, **one.to_json()} for name, one in stats]
        write_atomically(Path(target), (json.dumps({"sources": sources}, indent=2) + "\n").encode())


def title(name: str, stats: StreamStats) -> str:
    """Return the counts of a stream.

    Args:
        name: Name of the source.
        stats: Its statistics.

    Returns:
        A line of text.
    """
    counts = f"{stats.read} frames read, {stats.processed} processed, {stats.dropped} dropped, {stats.damaged} damaged"
    ran = ", ".join(f"{task} {count}" for task, count in stats.ran.items()) or "none"
    return f"{name}: {counts}, {stats.rate:.1f} scenes a second; frames by task: {ran}"


def rows(stats: StreamStats) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table: a time each, in milliseconds.

    Args:
        stats: The statistics.

    Yields:
        The cells.
    """
    for name, times in stats.times.items():
        values = (times.mean, times.p50, times.p95, times.p99, times.longest)
        yield name.replace("_", " "), *(f"{1e3 * value:.1f}" for value in values)
