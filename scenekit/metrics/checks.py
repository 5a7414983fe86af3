"""Checks of the arrays that metrics read; NumPy only, so that scoring files needs no torch.

Letters: N rows.
"""

from collections.abc import Sized
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from scenekit.errors import InputError
from scenekit.io.records import LARGEST
from scenekit.metrics.common import to_numpy

ANY = -1
"""As many columns as there are."""


def corners(values: Any, shortest: float = 0.0) -> Float[np.ndarray, "N 4"]:
    """Return boxes in double precision.

    Args:
        values: Rows x1 y1 x2 y2 (pixels).
        shortest: The least x2 - x1 and y2 - y1.

    Returns:
        The boxes.

    Raises:
        InputError: As for `decimals`, and for boxes with shorter sides.
    """
    boxes = decimals("boxes", values, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    if (wrong := np.flatnonzero((sides < shortest).any(axis=1))).size:
        raise InputError(f"'boxes' number {wrong[0]} ends before it begins: {boxes[wrong[0]].tolist()} for x1 y1 x2 y2")
    return boxes


def decimals(name: str, values: Any, columns: int | None = None, least: float = -np.inf) -> Float[np.ndarray, "..."]:
    """Return values in double precision, [N] or [N, columns].

    Args:
        name: What error messages call the values.
        values: An array, a tensor or a list.
        columns: The number of columns, or ANY; None for a single dimension.
        least: The least value allowed.

    Returns:
        The array.

    Raises:
        InputError: Another shape, values that are not finite in single precision, or values below `least`.
    """
    array: Float[np.ndarray, "..."] = _shaped(name, values, "iuf", "numbers", columns).astype(np.float64)
    if (wrong := np.argwhere(~(np.abs(array) <= LARGEST) | (array < least))).size:
        expected = "a finite number" if least == -np.inf else f"a finite number of at least {least:g}"
        raise InputError(f"{name!r} number {wrong[0][0]} holds {array[tuple(wrong[0])]}; expected {expected}")
    return array


def integers(name: str, values: Any, columns: int | None = None) -> Int[np.ndarray, "..."]:
    """Return values as 64-bit integers, [N] or [N, columns].

    Args:
        name: What error messages call the values.
        values: An array, a tensor or a list.
        columns: The number of columns, or ANY; None for a single dimension.

    Returns:
        The array.

    Raises:
        InputError: Another shape, or numbers that are no integers.
    """
    return _shaped(name, values, "iu", "integers", columns).astype(np.int64)


def _shaped(name: str, values: Any, kinds: str, noun: str, columns: int | None) -> Shaped[np.ndarray, "..."]:
    """Return an array of these kinds of dtype, [N], or [N, columns] where columns are asked for."""
    try:
        array = to_numpy(values)
    except ValueError:
        raise InputError(f"{name!r} must be rows of equal length") from None
    if not array.size:
        return np.zeros(0 if columns is None else (0, max(columns, 0)), dtype=np.int64)
    fits = array.ndim == 1 if columns is None else array.ndim == 2 and columns in (ANY, array.shape[1])
    if array.dtype.kind not in kinds or not fits:
        wanted = noun if columns is None else f"rows of {noun}" if columns == ANY else f"rows of {columns} {noun}"
        raise InputError(f"{name!r} must be {wanted}, got {array.dtype} of shape {list(array.shape)}")
    return array


def check_length(name: str, column: Sized, count: int, noun: str) -> None:
    """Check that a column has one value for each of something.

    Args:
        name: What error messages call the values.
        column: The values.
        count: How many are expected.
        noun: What each of them belongs to, in the plural.

    Raises:
        InputError: The numbers differ.
    """
    if len(column) != count:
        raise InputError(f"{len(column)} {name!r} for {count} {noun!r}; each needs one")
