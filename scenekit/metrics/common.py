"""Helpers that the metrics share; NumPy only, so that scoring files needs no torch.

Letters: D detections, G ground-truth objects, T thresholds of IoU.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

Id = TypeVar("Id", bound=int | str)


def to_numpy(value: Any) -> npt.NDArray[Any]:
    """Return a NumPy view; tensors lose their gradient.

    Args:
        value: An array, a (nested) list or a torch tensor on any device.

    Returns:
        The array.
    """
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def ratio(numerator: float, denominator: int) -> float:
    """Return a quotient; NaN, which means "nothing to measure", where the denominator is 0.

    Args:
        numerator: A sum.
        denominator: A count.

    Returns:
        The quotient.
    """
    return float(numerator / denominator) if denominator else float("nan")


def unique_names(categories: Mapping[Id, str]) -> dict[Id, str]:
    """Return names for a report; where several categories share one, it is followed by the id.

    Args:
        categories: Names by id.

    Returns:
        Unique names by id.
    """
    names = list(categories.values())
    return {i: name if names.count(name) == 1 else f"{name} ({i})" for i, name in categories.items()}


def box_iou(
    a: Float[np.ndarray, "D 4"], b: Float[np.ndarray, "G 4"], last_pixel: float = 0.0
) -> Float[np.ndarray, "D G"]:
    """Return the IoU of each box with each other one; 0 where both are empty.

    Args:
        a: Boxes, xyxy in pixels.
        b: Boxes to compare them with.
        last_pixel: 1 for boxes whose last pixel is included, 0 for half-open ones.

    Returns:
        Fractions.
    """
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2]) + last_pixel
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2] + last_pixel).prod(axis=-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1] - shared
    iou: Float[np.ndarray, "D G"] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def match(
    iou: Float[np.ndarray, "D G"], ignored: Bool[np.ndarray, " G"], thresholds: Float[np.ndarray, " T"]
) -> Int[np.ndarray, "T D"]:
    """Match detections to objects at each threshold, one detection after the other, as COCO's protocol does.

    A detection matches the free object of the highest IoU, of equal ones the last; ignored ones only if no other is
    left.

    Args:
        iou: Of each detection, best first, with each object.
        ignored: Which objects count neither way.
        thresholds: The least IoU of a match.

    Returns:
        The object that each detection matches at each threshold, -1 for none.
    """
    matched = np.full((len(thresholds), len(iou)), -1)
    free = np.ones((len(thresholds), len(ignored)), dtype=bool)
    for d, row in enumerate(iou if len(ignored) else ()):
        reached = free & (row >= np.minimum(thresholds, 1 - 1e-10)[:, None])
        value = np.where(reached, row + np.where(ignored, 0, 2), -1)
        best = len(ignored) - 1 - value[:, ::-1].argmax(axis=1)
        rows = np.flatnonzero(reached.any(axis=1))
        matched[rows, d] = best[rows]
        free[rows, best[rows]] = False
    return matched
