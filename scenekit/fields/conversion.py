"""Tensors from and to nested lists, and the text of a cell of a table. Letter: N rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

FEW_NUMBERS = 9
"""A cell of a table shows at most so many numbers one by one."""


def scattered(item: Any, rows: Tensor, count: int) -> Any:
    """Spread rows over a longer tensor.

    Args:
        item: The rows; None stays None.
        rows: Where each of them belongs.
        count: The number of rows of the result.

    Returns:
        A tensor with `item` at `rows` and NaN (0 for integers) elsewhere.
    """
    if item is None:
        return None
    full = item.new_full((count, *item.shape[1:]), torch.nan if item.is_floating_point() else 0)
    full[rows] = item
    return full


def tensor_of(rows: Sequence[Any], *shape: int) -> Tensor:
    """Convert nested lists to a tensor.

    Args:
        rows: An entry per row; None stands for NaN.
        shape: The shape of a row, used where there are no rows.

    Returns:
        The tensor, one row per entry.
    """
    return torch.tensor(floats(list(rows))) if rows else torch.zeros((0, *shape))


def scores_of(rows: Sequence[Any]) -> Tensor | None:
    """Convert a column that may be absent to a tensor.

    Args:
        rows: A number, or list of numbers, per row.

    Returns:
        The column; None where every entry is None.
    """
    return None if all(row is None for row in rows) else tensor_of(rows)


def floats(value: Any) -> Any:
    """Replace None by NaN in nested lists, the inverse of `files.plain`.

    Args:
        value: Nested lists, or a single value.

    Returns:
        The same lists with NaN.
    """
    if isinstance(value, list):
        return [floats(entry) for entry in value]
    return torch.nan if value is None else value


def brief(value: Any) -> str:
    """Format plain JSON as the text of a cell of a table.

    Args:
        value: A number, text, list or mapping; None gives an empty text.

    Returns:
        Numbers with three digits; of long lists only the shape.
    """
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {brief(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        sides = list(np.shape(np.asarray(value, dtype=object)))
        return (
            ", ".join(brief(entry) or "–" for entry in value)
            if math.prod(sides) <= FEW_NUMBERS
            else f"[{' × '.join(map(str, sides))}]"
        )
    return "" if value is None else str(value)
