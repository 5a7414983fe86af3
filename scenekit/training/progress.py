"""What a person sees of a run, on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

T = TypeVar("T")


class Reporter:
    """Shows steps and the last line of the log."""

    def __init__(self, console: Console, steps: int, start: int) -> None:
        self.console = console
        self.steps = steps
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("training", total=steps, completed=start, told="")

    def said(self, text: str) -> None:
        """Something to know before the run goes on."""
        self.console.print(text, markup=False, soft_wrap=True)

    def advanced(self, step: int) -> None:
        """`step` steps are done."""
        self.bar.update(self.task, completed=step)

    def logged(self, record: Mapping[str, Any]) -> None:
        """A line of the log was written."""
        told = f"loss {record['loss']:.3f}, {record['images_per_second']:.1f} images/s"
        self.bar.update(self.task, told=told)
        if not self.console.is_terminal:
            self.console.print(f"step {record['step']}/{self.steps}: {told}")


def watched(items: Iterable[T], description: str, total: int, shown: bool) -> Iterator[T]:
    """Yield `items` under a bar that shows on a terminal only, from the first one on, and goes when done."""
    console = Console(stderr=True, quiet=not shown)
    yield from track(items, description, total, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def reporting(shown: bool, steps: int, start: int) -> Iterator[Reporter]:
    """A reporter for the time of the run; one that says nothing unless `shown`."""
    reporter = Reporter(Console(stderr=True, highlight=False, quiet=not shown), steps, start)
    with reporter.bar:
        yield reporter
