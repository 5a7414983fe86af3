"""Frames of a map: the axes of the world, level with the ground, and the yaw of objects.

Boxes have x forward, y down and z left in their own frame (see `Boxes3D`); robots have x forward, y left and z up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from scenekit.ops.poses import BODY
from scenekit.ops.rotations import matrix_to_euler_angles


def leveled(up: Sequence[float | int]) -> Float[np.ndarray, "3 3"]:
    """Return the shortest rotation that turns `up` to z: a world whose z is up stays as it is.

    The frame of a camera (up is -y) gets x right and y forward.
    """
    z = np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    axis, cosine = np.cross(z, (0.0, 0.0, 1.0)), float(z[2])
    if cosine < -1 + 1e-12:
        return np.diag((1.0, -1.0, -1.0))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turned: Float[np.ndarray, "3 3"] = np.eye(3) + cross + cross @ cross / (1 + cosine)
    return turned


def roll_pitch_yaw(rotation: Float[np.ndarray, "3 3"], up: Sequence[float | int]) -> tuple[float, float, float]:
    """Return the angles of an object in radians, as robots have them: rotation = Rz(yaw) Ry(pitch) Rx(roll).

    Yaw turns counter-clockwise about `up`, from the x axis of the leveled world to the object's front.
    """
    body = leveled(up) @ rotation @ BODY
    yaw, pitch, roll = matrix_to_euler_angles(torch.from_numpy(body), "ZYX").tolist()
    return roll, pitch, yaw
