"""Boxes that can be described in several ways, because their object looks the same after a turn about its height.

Letters: K boxes, E ways to describe the same box.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float


@lru_cache(maxsize=64)
def equivalents(symmetry: int) -> tuple[Float[np.ndarray, "E 3 3"], Bool[np.ndarray, " E"]]:
    """Return the turns about the height axis after which a box describes the same object, and which exchange its sides.

    An object with a front has one description. One that looks the same after half a turn has four: a quarter turn of
    the box with width and length exchanged is the same box.

    Args:
        symmetry: As in `Vocabulary.symmetry`: 1 with a front, n for rotations by 360 / n degrees, 0 for any.

    Returns:
        The turns, and whether each exchanges width and length.
    """
    count = symmetry if symmetry % 2 else 4
    turns = np.stack([turn_about_height(2 * math.pi * n / count) for n in range(count)])
    return turns, np.array([count == 4 and n % 2 == 1 for n in range(count)])


def turn_about_height(angle: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation about y, the height axis of boxes.

    Args:
        angle: Radians.

    Returns:
        The matrix.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def aligned(
    rotations: Float[np.ndarray, "K 3 3"],
    sizes: Float[np.ndarray, "K 3"],
    reference: Float[np.ndarray, "#K 3 3"],
    n: int,
) -> tuple[Float[np.ndarray, "K 3 3"], Float[np.ndarray, "K 3"]]:
    """Return the description of each box whose rotation is the nearest to its reference.

    Args:
        rotations: From the axes of the box to those of the world, or of a camera.
        sizes: Width, height and length in metres.
        reference: The rotation of each box to compare with, or one for all.
        n: The symmetry, as for `equivalents`.

    Returns:
        The rotations and the sizes of the same boxes.
    """
    turns, exchange = equivalents(n)
    choices = rotations[:, None] @ turns  # [K E 3 3]
    best = np.einsum("keij,keij->ke", choices, np.broadcast_to(reference[:, None], choices.shape)).argmax(axis=1)
    swapped = np.where(exchange[best][:, None], sizes[:, [2, 1, 0]], sizes)
    return choices[np.arange(len(best)), best], swapped
