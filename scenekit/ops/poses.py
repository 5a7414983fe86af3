"""Poses [4 4] between two others, and the axes of objects as robots have them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation, Slerp

BODY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From the axes of an object as REP 103 has them (x forward, y left, z up) to those of `Boxes3D` (x forward, y down, z
left)."""


def between(
    before: Float[np.ndarray, "4 4"], after: Float[np.ndarray, "4 4"], share: float
) -> Float[np.ndarray, "4 4"]:
    """Interpolate between two poses: positions linearly, rotations along the shortest turn (Slerp).

    Args:
        before: The pose at share 0.
        after: The pose at share 1.
        share: Where between them, 0 to 1.

    Returns:
        The pose.
    """
    pose = np.eye(4)
    turns = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack((before[:3, :3], after[:3, :3]))))
    pose[:3, :3] = turns([share]).as_matrix()[0]
    pose[:3, 3] = (1 - share) * before[:3, 3] + share * after[:3, 3]
    return pose
