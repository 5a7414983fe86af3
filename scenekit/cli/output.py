"""Output that commands share: results go to standard output, messages to standard error."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from scenekit.errors import InputError
from scenekit.io.files import plain, write_atomically
from scenekit.io.streams import results

if TYPE_CHECKING:
    from PIL.Image import Image

    from scenekit.metrics.notes import Notes

T = TypeVar("T")

PIPE_WIDTH = 240
"""Columns of tables that go to a file or another program, where folded cells could not be searched."""

console = Console(stderr=True, highlight=False)

ModelOption = Annotated[
    str, typer.Option("--model", help="A shipped model such as small, a checkpoint, or SOURCE/NAME.", metavar="NAME")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, mps, or auto: a GPU where there is one.", metavar="NAME")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse what is odd but can be scored, such as an object related to itself.")
]
TasksOption = Annotated[
    str | None, typer.Option("--tasks", help="Names of tasks, separated by commas; default: all.", metavar="A,B,...")
]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", help="Smallest score of an object, 0 to 1.", min=0.0, max=1.0)
]


LabelersOption = Annotated[
    str | None,
    typer.Option("--labelers", metavar="A,B,...", help="Add what these derive, as data.labelers of a recipe does."),
]


def labeler_names(text: str | None) -> list[str]:
    """Split the names of labelers.

    Args:
        text: Names, separated by commas; None for none.

    Returns:
        The names.
    """
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def modality_names(text: str) -> list[str]:
    """Split the names of modalities.

    Args:
        text: Names, separated by commas.

    Returns:
        The names.
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def task_names(text: str | None) -> list[str] | None:
    """Parse the option --tasks.

    Args:
        text: Names, separated by commas; None if the option is not set.

    Returns:
        The names; None for all tasks.

    Raises:
        InputError: If the option names nothing.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"--tasks expects comma-separated names such as masks,keypoints, not {text!r}")
    return list(dict.fromkeys(names))


def parse_size(text: str) -> tuple[int, int]:
    """Parse a value of the option --size.

    Args:
        text: Height and width, as 480x640.

    Returns:
        Both, in pixels.

    Raises:
        InputError: It is no size, or a side is out of range.
    """
    from scenekit.recipe.model import LONGEST_SIDE

    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text.strip())
    if match is None or not all(1 <= int(side) <= LONGEST_SIDE for side in match.groups()):
        raise InputError(
            f"--size: expected height x width in pixels, such as 480x640, each 1 to {LONGEST_SIDE}, got {text!r}"
        )
    return int(match[1]), int(match[2])


def print_json(value: object) -> None:
    """Print a value as one JSON document on standard output; NaN and infinities, which JSON lacks, become null.

    Args:
        value: The value.
    """
    json.dump(plain(value), results(), allow_nan=False, ensure_ascii=False, indent=2)
    results().write("\n")


def print_json_array(values: Iterable[object]) -> None:
    """Print values as one JSON array, each as soon as it is computed; none is kept.

    Args:
        values: The values.
    """
    separator = "["
    for value in values:
        results().write(separator)
        json.dump(plain(value), results(), allow_nan=False, ensure_ascii=False)
        separator = ",\n"
    results().write("[]\n" if separator == "[" else "]\n")


def print_text(text: str, end: str = "\n") -> None:
    """Print text as a result on standard output.

    Args:
        text: The text.
        end: What follows it.
    """
    print(text, end=end, file=results())


def print_error(reason: object) -> None:
    """Print one line on standard error about an error that does not stop the command.

    Args:
        reason: The error.
    """
    print(f"error: {' '.join(str(reason).split())}", file=sys.stderr)


def print_note(text: object) -> None:
    """Print one line of information on standard error.

    Args:
        text: The information.
    """
    print(f"note: {' '.join(str(text).split())}", file=sys.stderr)


def make_folder(path: Path) -> Path:
    """Create a folder if it is missing.

    Args:
        path: The folder.

    Returns:
        The folder.

    Raises:
        InputError: If it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise InputError(f"{path}: this folder cannot be created ({cause.strerror}); name another one") from cause
    return path


def save_image(image: Image, path: Path) -> None:
    """Write a PNG atomically.

    Args:
        image: The image.
        path: Path of the file.
    """
    stream = io.BytesIO()
    image.save(stream, "PNG")
    write_atomically(path, stream.getvalue())


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield items under a progress bar on standard error, which shows only on a terminal and disappears when done.

    Args:
        items: The items.
        description: Text before the bar.
        total: Number of items, if known.

    Yields:
        The items, in their order.
    """
    from rich.progress import track

    yield from track(items, description, total=total, console=console, transient=True, disable=not console.is_terminal)


def rated_progress(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    """Yield items under a progress bar with their number, their rate and the time left.

    Args:
        items: The items.
        description: Text before the bar.
        total: Number of items, about; None where it is unknown.

    Yields:
        The items, in their order.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, rate="")
        for done, item in enumerate(items, 1):
            yield item
            bar.update(task, completed=done, rate=f"{done / (time.monotonic() - began):.1f}/s")


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Provide a progress bar for work that reports how much is done.

    Args:
        description: Text before the bar.
        total: Amount of work, if known.

    Yields:
        A function that sets how much is done.
    """
    from rich.progress import Progress

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], aside: bool = False) -> None:
    """Print rows of text as a table.

    Args:
        title: Title above the table.
        columns: Names of the columns.
        rows: Cells of each row; None is an empty cell.
        aside: Whether the table goes to standard error, as standard output has other results.
    """
    from scenekit.io.text_tables import text_table

    table, file = text_table(title, columns, rows), sys.stderr if aside else results()
    Console(file=file, highlight=False, width=None if file.isatty() else PIPE_WIDTH).print(table)


def rounded(value: float | int) -> str:
    """Format a number: counts unchanged, fractions with four digits, a dash for NaN.

    Args:
        value: The number.

    Returns:
        Text.
    """
    if isinstance(value, int):
        return str(value)
    return "-" if value != value else f"{value:.4f}"


def print_scores(title: str, scores: Mapping[str, Any], columns: Sequence[str]) -> None:
    """Print the metrics over all classes, then those of each class.

    Args:
        title: The title of both tables.
        scores: Metrics by name, and under `per_class` those of each class.
        columns: Names of the metrics of a class that are shown.
    """
    totals = [(name, rounded(value)) for name, value in scores.items() if name != "per_class"]
    print_table(title, ("metric", "value"), totals)
    rows = [(name, *(rounded(row[column]) for column in columns)) for name, row in scores["per_class"].items()]
    print_table(f"{title} per class", ("class", *columns), rows)


def print_notes(notes: Notes) -> None:
    """Print one line on standard error for each kind of oddity in the files.

    Args:
        notes: The oddities.
    """
    for line in notes.lines():
        console.print(f"note: {line}", markup=False, soft_wrap=True)
