"""Rotations and footprints.

Letters: V vertices, F faces.

Frames (all right-handed, metres):
  template  x forward, y left, z up: how a model is built
  world     x right, y away from the camera, z up, ground at z = 0
  camera    x right, y down, z forward
  box       x forward (length), y down (height), z left (width): the object frame of 3D boxes
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

Vec3 = Float[np.ndarray, "3"]
Mat3 = Float[np.ndarray, "3 3"]

TEMPLATE_FROM_BOX: Mat3 = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def vec(x: float, y: float, z: float) -> Vec3:
    """Create a vector.

    Args:
        x: First coordinate.
        y: Second coordinate.
        z: Third coordinate.

    Returns:
        The vector.
    """
    return np.array([x, y, z], dtype=float)


def rotation(axis: int, angle: float) -> Mat3:
    """Create a right-handed rotation about a coordinate axis.

    Args:
        axis: 0, 1 or 2.
        angle: Angle in radians.

    Returns:
        The rotation matrix.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    out = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    out[first, first] = out[second, second] = cos
    out[first, second], out[second, first] = -sin, sin
    return out


def rotation_between(target: Vec3) -> Mat3:
    """Create a rotation from +z to a direction.

    Args:
        target: The direction, of any length.

    Returns:
        The rotation matrix.
    """
    z = target / np.linalg.norm(target)
    helper = np.array([1.0, 0.0, 0.0]) if abs(z[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def camera_rotation(pitch: float, roll: float) -> Mat3:
    """Create the rotation, camera from world, of a camera that looks along +y.

    Args:
        pitch: Angle downwards in radians.
        roll: Clockwise angle in radians.

    Returns:
        The rotation matrix.
    """
    forward = np.array([0.0, math.cos(pitch), -math.sin(pitch)])
    down = np.array([0.0, -math.sin(pitch), -math.cos(pitch)])
    level = np.stack([np.array([1.0, 0.0, 0.0]), down, forward])
    out: Mat3 = rotation(2, -roll) @ level
    return out


def footprint(points: Float[np.ndarray, "V 3"], yaw: float) -> Float[np.ndarray, "4 2"]:
    """Compute the smallest rotated ground rectangle around points.

    Args:
        points: Points in the world, in metres.
        yaw: Rotation of the rectangle in radians.

    Returns:
        Its corners.
    """
    turn = rotation(2, yaw)[:2, :2]
    local = points[:, :2] @ turn
    low, high = local.min(0), local.max(0)
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    out: Float[np.ndarray, "4 2"] = corners @ turn.T
    return out


def rectangles_overlap(one: Float[np.ndarray, "4 2"], two: Float[np.ndarray, "4 2"], gap: float) -> bool:
    """Return whether two rectangles are closer than a gap (separating axis test; corners are treated as square).

    Args:
        one: Corners of a rectangle.
        two: Corners of the other.
        gap: Distance in metres.

    Returns:
        True if so.
    """
    for a, b in ((one, two), (two, one)):
        for edge in (a[1] - a[0], a[3] - a[0]):
            axis = edge / max(float(np.linalg.norm(edge)), 1e-9)
            pa, pb = a @ axis, b @ axis
            if pa.max() + gap <= pb.min() or pb.max() + gap <= pa.min():
                return False
    return True
