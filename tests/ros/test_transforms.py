"""Transforms over time: chains, interpolation, and errors that name what there is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scenekit.errors import InputError
from scenekit.ros.headers import SECOND
from scenekit.ros.transforms import TransformBuffer, UnknownTransformError

QUARTER = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))
"""A quarter turn about z."""


@pytest.fixture
def buffer() -> TransformBuffer:
    """The robot drives 10 m in 10 s along x, while it turns by a quarter; the camera is 2 m above, looking along x."""
    found = TransformBuffer(extrapolation=0.5)
    found.add("map", "base", 10 * SECOND, [0, 0, 0], [0, 0, 0, 1])
    found.add("map", "base", 20 * SECOND, [10, 0, 0], QUARTER)
    found.add("base", "optical", 0, [0, 0, 2], [-0.5, 0.5, -0.5, 0.5], static=True)
    found.add("base", "lidar", 0, [1, 0, 0], [0, 0, 0, 2], static=True)
    return found


def test_the_middle_of_a_motion_by_hand(buffer: TransformBuffer) -> None:
    """At 15 s the robot is at x = 5 and has turned by 45 degrees."""
    pose = buffer.lookup("map", "base", 15 * SECOND)
    half = math.sqrt(0.5)
    np.testing.assert_allclose(pose, [[half, -half, 0, 5], [half, half, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-12)


def test_the_optical_frame_of_rep_103(buffer: TransformBuffer) -> None:
    """What is 3 m before the camera (z), 1 m to its right (x) and 0.5 m below (y) is ahead, to the right, lower."""
    moved = buffer.lookup("base", "optical", 0) @ [1.0, 0.5, 3.0, 1.0]
    np.testing.assert_allclose(moved, [3.0, -1.0, 2.0 - 0.5, 1.0], atol=1e-12)


def test_chains_up_and_down(buffer: TransformBuffer) -> None:
    stamp = 13 * SECOND
    chain = buffer.lookup("map", "lidar", stamp)
    np.testing.assert_allclose(chain, buffer.lookup("map", "base", stamp) @ buffer.lookup("base", "lidar", stamp))
    across = buffer.lookup("optical", "lidar", stamp)
    np.testing.assert_allclose(across @ [0, 0, 0, 1], [0, 2, 1, 1], atol=1e-12)  # 1 m ahead, 2 m below
    back = buffer.lookup("lidar", "map", stamp) @ chain
    np.testing.assert_allclose(back, np.eye(4), atol=1e-12)
    assert buffer.lookup("anything", "anything", 0).tolist() == np.eye(4).tolist()


def test_the_shortest_arc_at_constant_speed() -> None:
    """Against SciPy's exponential of a share of the rotation vector; q and -q are one rotation."""
    random = np.random.default_rng(0)
    first, second = Rotation.random(random_state=1), Rotation.random(random_state=2)
    found = TransformBuffer()
    found.add("a", "b", 0, random.normal(size=3), first.as_quat())
    found.add("a", "b", 1000, random.normal(size=3), -second.as_quat())
    for share in (0.1, 0.5, 0.9):
        expected = first * Rotation.from_rotvec(share * (first.inv() * second).as_rotvec())
        turned = found.lookup("a", "b", round(1000 * share))[:3, :3]
        np.testing.assert_allclose(turned, expected.as_matrix(), atol=1e-9)


def test_a_little_beyond_is_the_last_pose_and_more_an_error(buffer: TransformBuffer) -> None:
    assert buffer.lookup("map", "base", round(20.5 * SECOND))[0, 3] == 10
    assert buffer.lookup("map", "base", round(9.5 * SECOND))[0, 3] == 0
    expected = (
        r"from 'base' to 'map' is known from 10.000 to 20.000 s; 20.600 s is 0.600 s after the last \(limit 0.5 s\)"
    )
    with pytest.raises(UnknownTransformError, match=expected):
        buffer.lookup("map", "optical", round(20.6 * SECOND))
    with pytest.raises(UnknownTransformError, match="before the first"):
        buffer.lookup("map", "optical", 9 * SECOND)


def test_messages_in_any_order_and_repeated() -> None:
    found = TransformBuffer()
    for time, x in ((3, 30.0), (1, 10.0), (2, 99.0), (2, 20.0)):
        found.add("a", "b", time * SECOND, [x, 0, 0], [0, 0, 0, 1])
        found.lookup("a", "b", time * SECOND)
    xs = [found.lookup("a", "b", round(time * SECOND))[0, 3] for time in (1, 1.5, 2, 2.5, 3)]
    np.testing.assert_allclose(xs, [10, 15, 20, 25, 30])


def test_frames_that_are_not_connected_are_listed(buffer: TransformBuffer) -> None:
    buffer.add("drone", "gimbal", 0, [0, 0, 0], [0, 0, 0, 1], static=True)
    expected = (
        "no transforms connect 'gimbal' with 'map'; the frames of the bag are: base, drone, gimbal, lidar, map, optical"
    )
    with pytest.raises(InputError, match=expected):
        buffer.lookup("map", "gimbal", 0)


def test_what_is_no_tree_or_no_pose(buffer: TransformBuffer) -> None:
    buffer.add("lidar", "map", 0, [0, 0, 0], [0, 0, 0, 1])
    with pytest.raises(InputError, match="are a circle: lidar -> base -> map -> lidar"):
        buffer.lookup("lidar", "nothing", 0)
    with pytest.raises(InputError, match="is no pose"):
        buffer.add("a", "b", 0, [0, 0, 0], [0, 0, 0, 0])
