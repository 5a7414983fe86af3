"""Elements of Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; each cell is one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(entry) for entry in line) + " |" for line in lines) + "\n"


def cell(entry: Any) -> str:
    """Return a cell without line breaks and with escaped bars."""
    return " ".join(str(entry).split()).replace("|", "\\|")


def code(text: Any) -> str:
    """Return inline code."""
    return f"`{text}`"


def fenced(text: str, language: str) -> str:
    """Return a fenced code block."""
    return f"```{language}\n{text.strip()}\n```\n"


def page(*parts: str) -> str:
    """Join the blocks with a blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
