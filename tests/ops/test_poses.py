"""Poses between two others, and the axes of objects, by hand."""

import math

import numpy as np

from scenekit.ops.poses import BODY, between


def turned(angle: float, place: tuple[float, float, float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    pose[:3, 3] = place
    return pose


def test_a_share_of_the_way_and_of_the_turn() -> None:
    """From 170 to 190 degrees about z the short way: a quarter of it is at 175 degrees."""
    pose = between(turned(math.radians(170), (0, 0, 2)), turned(math.radians(190), (4, 8, 2)), 0.25)
    np.testing.assert_allclose(pose, turned(math.radians(175), (1, 2, 2)), atol=1e-12)


def test_axes_of_robots() -> None:
    """A robot's left (y) is against a box's right (-z), and its up (z) against a box's down (y)."""
    assert (BODY @ (1, 0, 0)).tolist() == [1, 0, 0]
    assert (BODY @ (0, 1, 0)).tolist() == [0, 0, 1] and (BODY @ (0, 0, 1)).tolist() == [0, -1, 0]
