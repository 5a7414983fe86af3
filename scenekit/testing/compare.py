"""Comparing two values of any kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 1e-5
"""Relative and absolute: sums in another order differ by rounding."""


def difference(first: Any, second: Any, tolerance: float = TOLERANCE) -> str | None:
    """Return where and how two values differ, as text; None where they agree (NaN agrees with NaN).

    Mappings, lists, tuples and dataclasses are compared entry by entry, numbers by value.
    """
    return next(_differences(first, second, tolerance, ""), None)


def _differences(first: Any, second: Any, tolerance: float, place: str) -> Iterator[str]:
    first, second = map(_plain, (first, second))
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        yield from _tensor_differences(first, second, tolerance, place)
    elif isinstance(first, int | float) and isinstance(second, int | float):
        yield from _tensor_differences(torch.tensor(first), torch.tensor(second), tolerance, place)
    elif type(first) is not type(second):
        yield f"{_at(place)}a {type(first).__name__} against a {type(second).__name__}"
    elif isinstance(first, Mapping | list | tuple) or dataclasses.is_dataclass(first):
        yield from _part_differences(_parts(first), _parts(second), tolerance, place)
    elif first != second:
        yield f"{_at(place)}{first!r} against {second!r}"


def _plain(value: Any) -> Any:
    """Return a tensor without dimensions as the number that it is."""
    return value.item() if isinstance(value, Tensor) and value.dim() == 0 else value


def _part_differences(
    first: Mapping[Any, Any], second: Mapping[Any, Any], tolerance: float, place: str
) -> Iterator[str]:
    if first.keys() != second.keys():
        yield f"{_at(place)}{len(first)} entries against {len(second)}, or other ones"
        return
    for name in first:
        yield from _differences(first[name], second[name], tolerance, f"{place}.{name}" if place else str(name))


def _parts(value: Any) -> Mapping[Any, Any]:
    """Return the entries of a value, by name or number."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    return {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}


def _tensor_differences(first: Tensor, second: Tensor, tolerance: float, place: str) -> Iterator[str]:
    if first.shape != second.shape:
        yield f"{_at(place)}shape {list(first.shape)} against {list(second.shape)}"
        return
    left, right = first.detach().cpu().double(), second.detach().cpu().double()
    if not torch.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True):
        largest = float((left - right).abs().nan_to_num(torch.inf).max())
        yield f"{_at(place)}values that differ by up to {largest:.3g}"


def _at(place: str) -> str:
    return f"{place}: " if place else ""
