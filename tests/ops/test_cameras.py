"""Pinhole geometry, held against the stored results of pytorch3d and of Omni3D's code, and cases worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scenekit.ops import cameras as ops
from scenekit.ops.rotations import is_rotation, random_rotations

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d"
PYTORCH3D, OMNI3D = np.load(FOLDER / "p3d_cameras.npz"), np.load(FOLDER / "omni3d_decode.npz")


def pytorch3d(name: str) -> Tensor:
    return torch.from_numpy(PYTORCH3D[name])


def omni3d(name: str) -> Tensor:
    return torch.from_numpy(OMNI3D[name])


def intrinsics(focal: Tensor, principal: Tensor) -> Tensor:
    K = torch.diag_embed(torch.cat((focal, torch.ones(len(focal), 1)), dim=1))
    K[:, :2, 2] = principal
    return K


def in_camera(pose: str) -> Tensor:
    """The reference's points in our camera frame, [2 11 3]."""
    if pose == "identity":
        rotation, shift = ops.from_pytorch3d(torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3))
    else:
        rotation, shift = ops.from_pytorch3d(pytorch3d("in/R"), pytorch3d("in/T"))
    return pytorch3d("in/points") @ rotation.mT + shift[:, None]


@pytest.mark.parametrize("pose", ["identity", "posed"])
def test_pixels_as_in_pytorch3d(pose: str) -> None:
    points, screen = in_camera(pose), pytorch3d(f"persp|screen|{pose}/screen")
    K = intrinsics(pytorch3d("in/focal_px"), pytorch3d("in/principal_px"))[:, None]
    pixels = ops.project(points, K)
    torch.testing.assert_close(pixels, screen[..., :2], atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(1 / points[..., 2], screen[..., 2])
    torch.testing.assert_close(ops.unproject(pixels, points[..., 2], K), points, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("pose", ["identity", "posed"])
def test_normalized_coordinates_as_in_pytorch3d(pose: str) -> None:
    ndc, screen = (pytorch3d(f"persp|screen|{pose}/{name}")[..., :2] for name in ("ndc", "screen"))
    for i, size in enumerate(pytorch3d("in/image_size_hw").tolist()):
        torch.testing.assert_close(ops.pixels_to_ndc(screen[i], tuple(size)), ndc[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ops.ndc_to_pixels(ndc[i], tuple(size)), screen[i], atol=1e-3, rtol=1e-5)


def test_cameras_of_opencv_as_pytorch3d_takes_them() -> None:
    R, T = ops.to_pytorch3d(*ops.from_pytorch3d(pytorch3d("opencv/p3d_R"), pytorch3d("opencv/p3d_T")))
    torch.testing.assert_close(R, pytorch3d("opencv/p3d_R"))
    torch.testing.assert_close(T, pytorch3d("opencv/p3d_T"))
    rotation, shift = ops.from_pytorch3d(R, T)
    points = pytorch3d("in/points") @ rotation.mT + shift[:, None]
    pixels = ops.project(points, pytorch3d("opencv/K3")[:, None])
    torch.testing.assert_close(pixels, pytorch3d("opencv/uv_plain"), atol=1e-3, rtol=1e-5)


def test_allocentric_rotations_as_in_omni3d() -> None:
    K, rotation = omni3d("allocentric/K"), omni3d("allocentric/R")
    pixels = torch.stack((omni3d("allocentric/u"), omni3d("allocentric/v")), dim=-1)
    allocentric = ops.egocentric_to_allocentric(rotation, pixels, K)
    torch.testing.assert_close(allocentric, omni3d("allocentric/to_allo"), atol=1e-5, rtol=1e-5)
    egocentric = ops.allocentric_to_egocentric(rotation, pixels, K)
    torch.testing.assert_close(egocentric, omni3d("allocentric/from_allo"), atol=1e-5, rtol=1e-5)


def test_what_is_straight_ahead_is_both() -> None:
    K, rotation = torch.tensor([[90.0, 0, 30], [0, 80, 20], [0, 0, 1]]), random_rotations(4)
    straight = torch.tensor([30.0, 20.0]).requires_grad_()
    found = ops.allocentric_to_egocentric(rotation, straight, K)
    torch.testing.assert_close(found.detach(), rotation)
    (gradient,) = torch.autograd.grad(found.sum(), straight)
    assert gradient.isfinite().all()


def test_the_turn_takes_the_optical_axis_to_the_ray() -> None:
    K, pixels = torch.tensor([[90.0, 0, 30], [0, 80, 20], [0, 0, 1]]), torch.rand(50, 2) * 1000 - 500
    turn = ops.allocentric_to_egocentric(torch.eye(3), pixels, K)
    rays = torch.nn.functional.normalize(ops.pixel_rays(pixels, K), dim=-1)
    assert is_rotation(turn).all()
    torch.testing.assert_close(turn[:, :, 2], rays, atol=1e-5, rtol=0)


def test_virtual_depth_as_in_omni3d() -> None:
    focal, height, virtual_focal, virtual_height = omni3d("virtual/f_H_f0_H0_f64").unbind(dim=1)
    assert (virtual_focal == ops.VIRTUAL_FOCAL).all()
    one = torch.ones_like(focal)
    metres = ops.from_virtual_depth(one, focal, height, virtual_height)
    torch.testing.assert_close(metres, omni3d("virtual/out_f64"))
    torch.testing.assert_close(ops.to_virtual_depth(metres, focal, height, virtual_height), one)


def test_the_virtual_camera_sees_the_same_size() -> None:
    """A 2 m post at 10 m, seen by a camera of f = 1000 in 500 rows, and by the virtual one in 250."""
    focal, height, virtual_height = torch.tensor(1000.0), torch.tensor(500.0), torch.tensor(250.0)
    virtual = ops.to_virtual_depth(torch.tensor(10.0), focal, height, virtual_height)
    share = focal * 2 / 10 / height
    assert float(ops.VIRTUAL_FOCAL * 2 / virtual / virtual_height) == pytest.approx(float(share))
