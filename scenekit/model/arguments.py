"""Checks of arguments that functions of a model share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral, Real

from scenekit.errors import InputError
from scenekit.recipe.model import LONGEST_SIDE
from scenekit.structures.geometry import Size


def task_names(tasks: object) -> tuple[str, ...] | None:
    """Return the names of tasks.

    Args:
        tasks: Names of tasks, or a single one; None for all.

    Returns:
        The names; None for all.

    Raises:
        InputError: It is something else.
    """
    if isinstance(tasks, str):
        return (tasks,)
    if tasks is None:
        return None
    if not isinstance(tasks, Collection) or not all(isinstance(name, str) for name in tasks):
        raise InputError(f"tasks: expected names such as ['masks'], got {tasks!r}")
    return tuple(tasks)


def least_score(threshold: object) -> float:
    """Return a threshold of scores.

    Args:
        threshold: A number.

    Returns:
        The number.

    Raises:
        InputError: It is no number.
    """
    if not isinstance(threshold, Real) or isinstance(threshold, bool) or threshold != threshold:
        raise InputError(f"threshold: expected a score such as 0.5, got {threshold!r}")
    return float(threshold)


def positive_integer(name: str, value: object) -> int:
    """Return a number of things.

    Args:
        name: The argument.
        value: A whole number from 1.

    Returns:
        The number.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name}: expected a whole number from 1, got {value!r}")
    return int(value)


def image_size(size: object) -> Size:
    """Return the size of images.

    Args:
        size: (height, width) in pixels.

    Returns:
        Both.

    Raises:
        InputError: It is something else, or a side is out of range.
    """
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else ()
    if len(sides) != 2 or not all(_is_side(side) for side in sides):
        raise InputError(f"size: expected (height, width), each 1 to {LONGEST_SIDE} pixels, got {size!r}")
    return int(sides[0]), int(sides[1])


def _is_side(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= LONGEST_SIDE
