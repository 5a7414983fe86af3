"""Values that hold tensors somewhere inside, and rows named in several ways.

Letters: O one more than there are groups of rows, M picked groups, P one more than these, R rows of the picked groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """`value` with `function` applied to every tensor inside nested dataclasses, mappings, lists and tuples."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(function, entry) for entry in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: map_tensors(function, getattr(value, name)) for name in names})
    return value


def row_numbers(rows: Tensor | Sequence[int]) -> list[int]:
    """Rows given by number or by a boolean mask, as plain numbers."""
    if isinstance(rows, Tensor):
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return [int(row) for row in rows.tolist()]
    return [int(row) for row in rows]


def gathered(offset: Int[Tensor, " O"], groups: Int[Tensor, " M"]) -> tuple[Int[Tensor, " R"], Int[Tensor, " P"]]:
    """The rows of some groups, one group after the other, and the offsets of the groups among them.

    Group g owns rows offset[g] to offset[g + 1].
    """
    counts = offset.diff()[groups]
    starts = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    first = (offset[:-1][groups] - starts[:-1]).repeat_interleave(counts)
    return first + torch.arange(len(first), device=offset.device), starts
