"""Progress of a run on standard error: a bar on a terminal, else a line at each line of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from scenekit.io.text_tables import text_table

T = TypeVar("T")

FILE_WIDTH = 160
"""Columns of what does not go to a terminal."""


class Reporter:
    """A display of steps and of the last line of the log."""

    def __init__(self, console: Console, steps: int, start: int) -> None:
        self.console = console
        self.steps = steps
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("training", total=steps, completed=start, status="")

    def announce(self, text: str) -> None:
        """Print a message above the bar.

        Args:
            text: The message.
        """
        self.console.print(text, markup=False, soft_wrap=True)

    def show_table(self, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """Print a table above the bar.

        Args:
            title: Title above the table.
            columns: Names of the columns.
            rows: Cells of each row.
        """
        self.console.print(text_table(title, columns, rows), crop=False)

    def advance(self, step: int) -> None:
        """Update the number of finished steps.

        Args:
            step: Number of finished steps.
        """
        self.bar.update(self.task, completed=step)

    def show(self, record: Mapping[str, Any]) -> None:
        """Show a record of the log.

        Args:
            record: The record as it was written.
        """
        status = f"loss {record['loss']:.3f}, {record['images_per_second']:.1f} images/s"
        self.bar.update(self.task, status=status)
        if not self.console.is_terminal:
            self.console.print(f"step {record['step']}/{self.steps}: {status}")


def tracked(items: Iterable[T], description: str, total: int, shown: bool) -> Iterator[T]:
    """Yield items under a progress bar that shows on a terminal only, from the first item on, and disappears when done.

    Args:
        items: The items.
        description: Text before the bar.
        total: Number of items.
        shown: Whether the bar is shown at all.

    Yields:
        The items, in their order.
    """
    console = Console(stderr=True, quiet=not shown)
    yield from track(items, description, total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def reporting(shown: bool, steps: int, start: int) -> Iterator[Reporter]:
    """Provide a reporter for the time of a run.

    Args:
        shown: Whether the reporter prints anything.
        steps: Number of steps of the run.
        start: Number of steps that are finished already.

    Yields:
        The reporter.
    """
    console = Console(stderr=True, highlight=False, quiet=not shown)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    reporter = Reporter(console, steps, start)
    with reporter.bar:
        yield reporter
