"""Tables of a report. What goes into their cells is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from scenekit.visualization.palette import Color, to_hex


@dataclass(frozen=True)
class Column:
    """One column of a table; `cells` are HTML."""

    title: str
    cells: Sequence[str]
    numeric: bool = False


def section(title: str, content: str) -> str:
    """Return a titled part of a card."""
    return f"<section><h3>{escape(title)}</h3>{content}</section>"


def table(columns: Sequence[Column]) -> str:
    """Return an HTML table that scrolls sideways on its own where the screen is narrow."""
    kinds = [' class="number"' if column.numeric else "" for column in columns]
    titles = [f'<th scope="col"{kind}>{escape(column.title)}</th>' for column, kind in zip(columns, kinds, strict=True)]
    cells = [[f"<td{kind}>{cell}</td>" for cell in column.cells] for column, kind in zip(columns, kinds, strict=True)]
    head, body = "".join(titles), "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def labelled(color: Color, name: str) -> str:
    """Return a name with its color, as in the images."""
    return f'<span class="swatch" style="background:{to_hex(color)}"></span>{escape(name)}'


def worded(columns: Sequence[Column]) -> str:
    """Return a table in which texts may take several lines."""
    return f'<div class="folded">{table(columns)}</div>'


def remainder(shown: int, total: int) -> str:
    """Return `and 12 more`, where there are more."""
    return f'<p class="note">and {total - shown:,} more</p>' if total > shown else ""
