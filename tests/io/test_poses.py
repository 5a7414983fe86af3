"""Trajectories: the formats of TUM and KITTI, and poses between two entries, worked by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import scenekit as sk

HALF = math.sqrt(0.5)


def quarter_turn() -> np.ndarray:
    """A turn by 90 degrees about z."""
    return np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def tum(tmp_path: Path, text: str) -> Path:
    (path := tmp_path / "trajectory.txt").write_text(text)
    return path


def test_tum_lines(tmp_path: Path) -> None:
    poses = sk.Poses.load(tum(tmp_path, f"# t x y z qx qy qz qw\n10 0 0 0 0 0 0 1\n\n12, 2,4,6, 0,0,{HALF},{HALF}\n"))
    assert poses.times.tolist() == [10, 12] and not poses.by_number
    np.testing.assert_allclose(poses.at(12.0)[:3, :3], quarter_turn(), atol=1e-12)
    assert poses.at(12.0)[:3, 3].tolist() == [2, 4, 6]


def test_half_way_is_half_the_turn(tmp_path: Path) -> None:
    """At a quarter of the time: 22.5 degrees about z, and a quarter of the way."""
    poses = sk.Poses.load(tum(tmp_path, f"10 0 0 0 0 0 0 1\n12 2 4 6 0 0 {HALF} {HALF}\n"))
    pose = poses.at(10.5)
    angle = math.radians(22.5)
    expected = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    np.testing.assert_allclose(pose[:3, :3], expected, atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], [0.5, 1.0, 1.5], atol=1e-12)
    assert pose[3].tolist() == [0, 0, 0, 1] and pose.dtype == torch.float64
    assert sk.Moment(0.0, 0, pose).pose is pose, "a moment accepts it"


def test_kitti_lines_are_numbered_or_timed(tmp_path: Path) -> None:
    path = tum(tmp_path, "1 0 0 0 0 1 0 0 0 0 1 0\n0 -1 0 1 1 0 0 2 0 0 1 3\n")
    numbered = sk.Poses.load(path)
    assert numbered.by_number and numbered.of(sk.Moment(99.0, 1))[:3, 3].tolist() == [1, 2, 3]
    np.testing.assert_allclose(numbered.at(1)[:3, :3], quarter_turn())
    (times := tmp_path / "times.txt").write_text("0.0\n0.1\n")
    timed = sk.Poses.load(path, times)
    np.testing.assert_allclose(timed.of(sk.Moment(0.05, 7))[:3, 3], [0.5, 1, 1.5])


def test_outside_of_the_covered_time_is_refused(tmp_path: Path) -> None:
    poses = sk.Poses.load(tum(tmp_path, "10 0 0 0 0 0 0 1\n12 2 4 6 0 0 0 1\n"))
    for time in (9.98, 12.02, math.nan):
        with pytest.raises(sk.InputError, match="covers 10 to 12"):
            poses.at(time)
    with pytest.raises(sk.InputError, match="no moment"):
        poses.of(None)


def test_rounded_times_at_the_ends(tmp_path: Path) -> None:
    """Image 31 of 30 a second is at 1.03333 s, a trajectory printed with four digits ends at 1.0333 s."""
    poses = sk.Poses.load(tum(tmp_path, "0.0001 1 0 0 0 0 0 1\n1.0333 2 4 6 0 0 0 1\n"))
    assert poses.at(31 / 30)[:3, 3].tolist() == [2, 4, 6] and poses.at(0.0)[:3, 3].tolist() == [1, 0, 0]
    numbered = sk.Poses(np.arange(2.0), np.stack([np.eye(4)] * 2), by_number=True)
    with pytest.raises(sk.InputError, match=r"image 1\.005"):
        numbered.at(1.005)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "got none"),
        ("1 2 3\n", "line 1: expected 8 numbers .* or 12"),
        ("0 0 0 0 0 0 0 1\n1 0 0 0 0 0 1\n", "line 2: expected 8 numbers as in the first line"),
        ("0 0 0 0 0 0 0 2\n", "line 1: the quaternion .* length 1, got 2"),
        ("0 0 0 0 0 0 0 nan\n", "line 1: the quaternion"),
        ("0 0 0 inf 0 0 0 1\n", "line 1: a pose must be finite"),
        ("1 0 0 0 0 1 0 0 0 0 -1 0\n", "line 1: .* must be a rotation"),
        ("0 0 0 zero 0 0 0 1\n", "line 1: expected numbers, got '0 0 0 zero"),
        ("1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n", "increase"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(sk.InputError, match=message):
        sk.Poses.load(tum(tmp_path, text))


def test_times_must_fit(tmp_path: Path) -> None:
    path = tum(tmp_path, "1 0 0 0 0 1 0 0 0 0 1 0\n")
    (times := tmp_path / "times.txt").write_text("0.0\n0.1\n")
    with pytest.raises(sk.InputError, match="expected 1 lines with one time each, got 2"):
        sk.Poses.load(path, times)
    with pytest.raises(sk.InputError, match="leave out"):
        sk.Poses.load(tum(tmp_path, "0 0 0 0 0 0 0 1\n"), times)
