"""Indexing the rows of a tensor with a gradient that is fast to compute."""

from __future__ import annotations

from jaxtyping import Int, Shaped
from torch import Tensor


def take_rows(values: Shaped[Tensor, "V *C"], rows: Int[Tensor, "*N"]) -> Shaped[Tensor, "*N *C"]:
    """Index rows, as `values[rows]` does, with a gradient about ten times as fast.

    The gradient of indexing sorts the rows first; that of `index_select` adds them.

    Args:
        values: Table of rows.
        rows: Row indices, which may repeat.

    Returns:
        The rows.
    """
    return values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])
