"""Fusion of sightings, by hand."""

import math

import numpy as np
import pytest

from scenekit.world.frames import leveled, roll_pitch_yaw
from scenekit.world.fusion import covariances, fused_rotation, robust_mean, weighted_median
from tests.world.posed import UPRIGHT, about_z


def turned(*degrees: float) -> np.ndarray:
    return np.stack([about_z(math.radians(angle)) @ UPRIGHT for angle in degrees])


def yaw_of(rotation: np.ndarray) -> float:
    return math.degrees(roll_pitch_yaw(rotation, (0, 0, 1))[2])


def test_two_rays_that_cross_meet_where_they_cross() -> None:
    """Each camera errs by a metre along its own ray: the ellipsoids cross at the origin."""
    points = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    rays, distances = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([5.0, 5.0])
    spread = covariances(rays, distances, 0.02, 0.5)
    mean = robust_mean(points, np.ones(2), spread)
    along, across = (0.02 + 0.5 * 5) ** 2, (0.02 + 0.02 * 5) ** 2
    share = across / (along + across)  # of each point's own axis, as that of a weighted mean by inverse variances
    np.testing.assert_allclose(mean, [share, share, 0], atol=1e-12)
    isotropic = robust_mean(points, np.ones(2), covariances(rays, distances, 0.1, 0.1))
    np.testing.assert_allclose(isotropic, [0.5, 0.5, 0], atol=1e-12)


def test_an_outlier_counts_less() -> None:
    points = np.array([[0.0, 0, 0], [0.1, 0, 0], [-0.1, 0, 0], [0.05, 0, 0], [3.0, 0, 0]])
    mean = robust_mean(points, np.ones(5), np.repeat(np.eye(3)[None] * 0.01, 5, axis=0))
    assert abs(mean[0]) < 0.1 < points[:, 0].mean()


def test_weighted_median_by_hand() -> None:
    values = np.array([[1.0], [2.0], [10.0]]) * np.ones(3)
    assert weighted_median(values, np.ones(3)).tolist() == [2, 2, 2]
    assert weighted_median(values, np.array([1.0, 1.0, 3.0])).tolist() == [10, 10, 10]
    assert weighted_median(values[:2], np.ones(2)).tolist() == [1.5, 1.5, 1.5]


def test_mean_yaw_is_circular() -> None:
    """170 and -170 degrees meet at 180, not at 0."""
    mean, _ = fused_rotation(turned(170, -170, 180), np.ones((3, 3)), np.ones(3), 1)
    assert abs(yaw_of(mean)) == pytest.approx(180, abs=1e-6)


def test_the_front_is_voted_on() -> None:
    """Three of four sightings agree on the front; the axis is the mean of all."""
    mean, _ = fused_rotation(turned(10, 12, 8, 190), np.ones((4, 3)), np.ones(4), 1)
    assert yaw_of(mean) == pytest.approx(10, abs=1e-6)
    mean, _ = fused_rotation(turned(10, 12, 190, 190), np.ones((4, 3)), np.array([1, 1, 3.0, 3]), 1)
    assert yaw_of(mean) % 360 == pytest.approx(190 + (2 / 8), abs=0.01)


@pytest.mark.parametrize("symmetry", [2, 4, 0])
def test_a_quarter_turn_with_exchanged_sides_is_the_same_box(symmetry: int) -> None:
    """Width and length are exchanged with the yaw: all four sightings are one box of 2 x 1."""
    sizes = np.array([[1.0, 0.5, 2.0], [2.0, 0.5, 1.0], [1.0, 0.5, 2.0], [2.0, 0.5, 1.0]])
    mean, swapped = fused_rotation(turned(30, 120, 210, -60), sizes, np.array([2.0, 1, 1, 1]), symmetry)
    assert yaw_of(mean) == pytest.approx(30, abs=1e-6)
    np.testing.assert_allclose(swapped, [[1.0, 0.5, 2.0]] * 4)


def test_levels() -> None:
    np.testing.assert_allclose(leveled((0, 0, 1)), np.eye(3))
    np.testing.assert_allclose(leveled((0, -1, 0)) @ [1, 2, 3], [1, 3, -2], atol=1e-12)  # a camera: right, forward, up
    np.testing.assert_allclose(leveled((0, 0, -2)) @ [0, 0, -1], [0, 0, 1], atol=1e-12)
    for up in ((1, 2, 3), (0, 1, 0), (-1, 0, 0.1)):
        turn = leveled(up)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(turn @ up / np.linalg.norm(up), [0, 0, 1], atol=1e-12)


def test_yaw_as_robots_have_it() -> None:
    """A box that faces along y of the world has yaw 90 degrees; nose down is a positive pitch."""
    assert np.degrees(roll_pitch_yaw(turned(90)[0], (0, 0, 1))) == pytest.approx([0, 0, 90], abs=1e-6)
    lowered = np.array([[math.cos(0.3), 0, math.sin(0.3)], [0, 1, 0], [-math.sin(0.3), 0, math.cos(0.3)]]) @ UPRIGHT
    assert roll_pitch_yaw(lowered, (0, 0, 1)) == pytest.approx((0, 0.3, 0), abs=1e-9)
