"""What the commands share: results alone go to standard output, what is said to a person to standard error."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from scenekit.errors import InputError

T = TypeVar("T")

console = Console(stderr=True, highlight=False)

DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, mps, or auto: a GPU where there is one.", metavar="NAME")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
TasksOption = Annotated[
    str | None, typer.Option("--tasks", help="Comma-separated names of tasks; default: all.", metavar="A,B,...")
]
ThresholdOption = Annotated[
    float, typer.Option("--threshold", help="Leave out objects with a lower score, 0 to 1.", min=0.0, max=1.0)
]


def task_names(text: str | None) -> list[str] | None:
    """The names in `a,b`; None (all tasks) where the option is absent.

    Raises InputError when the option is there and names nothing.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"--tasks expects comma-separated names such as masks,keypoints, not {text!r}")
    return list(dict.fromkeys(names))


def print_json(value: object) -> None:
    """Print `value` as one JSON document on standard output; NaN and infinities, which JSON lacks, become null."""
    json.dump(plain(value), sys.stdout, allow_nan=False, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def plain(value: Any) -> Any:
    """`value` in the types of JSON: tuples to lists, NaN and infinities to None, NumPy and torch values by `tolist`."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def progress(items: Iterable[T], description: str, total: float | None = None) -> Iterator[T]:
    """Yield `items` under a progress bar on standard error, which shows only on a terminal and goes when done."""
    yield from track(items, description, total=total, console=console, transient=True, disable=not console.is_terminal)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print `rows` of text as a table on standard output; None is an empty cell."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(highlight=False).print(table)
