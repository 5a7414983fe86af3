"""Functions on nested values that hold tensors, and on row indices.

Letters: O one more than there are groups of rows, M selected groups, P one more than these, R rows of the selected
groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to every tensor inside nested dataclasses, mappings, lists and tuples.

    Args:
        function: The function.
        value: A tensor or a nested value.

    Returns:
        The same structure with the results.
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        make = getattr(type(value), "_make", type(value))  # a NamedTuple takes its entries one by one
        return make(map_tensors(function, entry) for entry in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: map_tensors(function, getattr(value, name)) for name in names})
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors inside nested dataclasses, mappings, lists and tuples.

    Args:
        value: A tensor or a nested value.

    Yields:
        The tensors.
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from tensors_in(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from tensors_in(entry)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name))


def row_numbers(rows: Tensor | Sequence[int]) -> list[int]:
    """Convert row indices or a boolean mask to a list of indices.

    Args:
        rows: Indices or a boolean mask.

    Returns:
        Indices.
    """
    if isinstance(rows, Tensor):
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return [int(row) for row in rows.tolist()]
    return [int(row) for row in rows]


def index_map(rows: Int[Tensor, " M"], count: int) -> Int[Tensor, " N"]:
    """Return the new row of each row after some rows were selected.

    Args:
        rows: The selected rows; of a row that was selected twice the first place counts.
        count: Number of rows before.

    Returns:
        New rows, -1 for those that were not selected.
    """
    places = torch.arange(len(rows), device=rows.device)
    picked = torch.full((count,), len(rows), device=rows.device).scatter_reduce(0, rows, places, "amin")
    return torch.where(picked == len(rows), -1, picked)


def repeats(rows: Tensor) -> list[tuple[int, int]]:
    """Find rows that repeat an earlier one.

    Args:
        rows: The rows.

    Returns:
        (row, the first row equal to it).
    """
    if not len(rows):
        return []
    _, group = torch.unique(rows, dim=0, return_inverse=True)
    order = torch.arange(len(rows))
    first = torch.full((len(rows),), len(rows)).scatter_reduce(0, group, order, "amin")[group]
    return [(row, int(first[row])) for row in row_numbers(first < order)]


def gathered(offset: Int[Tensor, " O"], groups: Int[Tensor, " M"]) -> tuple[Int[Tensor, " R"], Int[Tensor, " P"]]:
    """Return the rows of selected groups, one group after the other, and the offsets of the groups among them.

    Args:
        offset: Group g owns rows offset[g] to offset[g + 1].
        groups: Indices of groups.

    Returns:
        (rows, offsets).
    """
    counts = offset.diff()[groups]
    starts = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    first = (offset[:-1][groups] - starts[:-1]).repeat_interleave(counts)
    return first + torch.arange(len(first), device=offset.device), starts
