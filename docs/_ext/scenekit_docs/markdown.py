"""Small pieces of Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; cells keep to one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(entry) for entry in line) + " |" for line in lines) + "\n"


def cell(entry: Any) -> str:
    """One cell: no line breaks, no bar that ends it."""
    return " ".join(str(entry).split()).replace("|", "\\|")


def code(text: Any) -> str:
    """Inline code."""
    return f"`{text}`"


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.strip()}\n```\n"


def page(*parts: str) -> str:
    """Blocks with a blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
