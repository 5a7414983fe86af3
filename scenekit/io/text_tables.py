"""Tables of text, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table


def text_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table whose numbers stay whole where it is narrow; texts are folded.

    Args:
        title: What stands above it.
        columns: Titles of the columns.
        rows: Cells of each row; None is an empty cell.

    Returns:
        The table.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        words = any(letter.isalpha() for row in cells for letter in row[number])
        table.add_column(column, overflow="fold", no_wrap=not words)
    for row in cells:
        table.add_row(*map(escape, row))  # [x] is no markup here
    return table
