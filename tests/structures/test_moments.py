"""When, and from where, images of a stream were taken."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.structures.geometry import Geometry
from scenekit.structures.moments import check_pose, check_rigid

POSE = torch.tensor([[0.0, 0.0, 1.0, 4.0], [-1.0, 0.0, 0.0, 5.0], [0.0, -1.0, 0.0, 6.0], [0.0, 0.0, 0.0, 1.0]])
"""A camera at (4, 5, 6) that looks along x, with z up in the world."""


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (torch.eye(3), r"a matrix \[4, 4\] of floats"),
        (torch.eye(4, dtype=torch.int64), r"a matrix \[4, 4\] of floats"),
        (torch.full((4, 4), math.nan), "must be finite"),
        (POSE.T.clone(), "transposed"),
        (torch.diag(torch.tensor([2.0, 2.0, 2.0, 1.0])), "determinant 8 and rows of lengths 2, 2, 2"),
        (torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])), "determinant -1"),
    ],
)
def test_a_pose_that_is_none_is_refused(pose: torch.Tensor, message: str) -> None:
    with pytest.raises(sk.InputError, match=message):
        check_pose(pose)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.full((4, 4), math.nan), "^the way must be finite"),
        (POSE.T.clone(), "^the last row of the way must be 0 0 0 1"),
        (torch.diag(torch.tensor([3.0, 3.0, 3.0, 1.0])), "^the upper left 3 x 3 of the way .* determinant 27"),
    ],
)
def test_a_transform_that_is_not_rigid_is_named(matrix: torch.Tensor, message: str) -> None:
    check_rigid(POSE, "the way")
    with pytest.raises(sk.InputError, match=message):
        check_rigid(matrix, "the way")


def test_a_moment_checks_its_pose() -> None:
    with pytest.raises(sk.InputError, match="determinant -1"):
        sk.Moment(0.0, 0, torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])))


@pytest.mark.parametrize(("time", "number"), [(math.nan, 0), (math.inf, 0), (0.0, -1)])
def test_times_and_numbers_are_checked(time: float, number: int) -> None:
    with pytest.raises(sk.InputError):
        sk.Moment(time, number)


def test_a_scene_keeps_its_moment_in_a_file(tmp_path: Path) -> None:
    scene = sk.Scene((4, 6), sk.Vocabulary(("cat",)), moment=sk.Moment(1.25, 31, POSE))
    scene.save(tmp_path / "scene.json")
    loaded = sk.Scene.load(tmp_path / "scene.json").moment
    assert loaded is not None and loaded.pose is not None
    assert (loaded.time, loaded.number) == (1.25, 31)
    assert torch.equal(loaded.pose.float(), POSE)


def test_a_file_with_another_moment_is_refused() -> None:
    entry = sk.Scene((4, 6), sk.Vocabulary(("cat",)), moment=sk.Moment(1.25, 31)).to_json()
    entry["image"]["moment"]["number"] = "31"
    with pytest.raises(sk.InputError, match="seconds and a whole number"):
        sk.Scene.from_json(entry)


def test_a_flip_reflects_the_world() -> None:
    """A point of the mirrored camera frame lands at the mirrored place of the world."""
    scene = sk.Scene((4, 6), sk.Vocabulary(("cat",)), moment=sk.Moment(0.0, 0, POSE))
    moment = scene.transformed(Geometry.flip((4, 6))).moment
    assert moment is not None and moment.pose is not None
    point = torch.tensor([0.5, 0.25, 2.0, 1.0])
    reflect = torch.tensor([-1.0, 1.0, 1.0, 1.0])
    assert torch.allclose(moment.pose @ (reflect * point), reflect * (POSE @ point))
