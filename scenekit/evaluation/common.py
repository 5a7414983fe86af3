"""Small helpers that the metrics share; NumPy only, so that scoring files needs no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def to_numpy(value: Any) -> npt.NDArray[Any]:
    """A NumPy view of an array, a (nested) list or a torch tensor on any device; tensors lose their gradient."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def ratio(numerator: float, denominator: int) -> float:
    """Their quotient; NaN where the denominator is 0, which reads as "nothing to measure"."""
    return float(numerator / denominator) if denominator else float("nan")


def unique_names(categories: Mapping[int, str]) -> dict[int, str]:
    """Names to report by; where several categories share one, it is followed by the id."""
    names = list(categories.values())
    return {i: name if names.count(name) == 1 else f"{name} ({i})" for i, name in categories.items()}
