"""Rotations, held against pytorch3d's stored results, scipy, and numerical gradients."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops import rotations as ops

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "mesh3d" / "p3d_rotations.npz")
CONVENTIONS = [
    "".join(axes) for axes in itertools.product("XYZ", repeat=3) if axes[0] != axes[1] and axes[1] != axes[2]
]
MATRIX = {"atol": 2e-6, "rtol": 0}
PI = math.pi


def stored(name: str) -> Tensor:
    return torch.from_numpy(REFERENCE[name])


def close(found: Tensor, expected: Tensor, atol: float = 2e-6) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def randoms(count: int = 40) -> Tensor:
    return ops.random_rotations(count, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


# Against pytorch3d


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_euler_angles_as_in_pytorch3d(convention: str) -> None:
    angles, matrix = stored("in/euler"), stored(f"euler|{convention}/R")
    close(ops.euler_angles_to_matrix(angles, convention), matrix)
    back = ops.matrix_to_euler_angles(matrix, convention)
    close(ops.euler_angles_to_matrix(back, convention), matrix)
    close(back[4:], stored(f"euler|{convention}/back")[4:], atol=1e-5)


def test_axis_angle_as_in_pytorch3d() -> None:
    vectors, matrix = stored("axis_angle/aa"), stored("axis_angle/R")
    close(ops.axis_angle_to_matrix(vectors), matrix)
    close(ops.axis_angle_to_quaternion(vectors), stored("axis_angle/q"))
    quaternions = ops.matrix_to_quaternion(matrix)
    signs = (quaternions * stored("axis_angle/q_from_R")).sum(dim=1, keepdim=True).sign()  # w = 0 has two
    close(signs * quaternions, stored("axis_angle/q_from_R"))
    for back in (ops.matrix_to_axis_angle(matrix), ops.quaternion_to_axis_angle(stored("axis_angle/q"))):
        close(ops.axis_angle_to_matrix(back), matrix)
        assert back.norm(dim=1).max() <= PI + 1e-6


def test_six_numbers_as_in_pytorch3d() -> None:
    d6 = stored("rot6d/d6").requires_grad_()
    matrix = ops.rotation_6d_to_matrix(d6)
    close(matrix.detach(), stored("rot6d/R"))
    close(ops.matrix_to_rotation_6d(matrix).detach(), stored("rot6d/back"))
    (gradient,) = torch.autograd.grad(matrix, d6, stored("rot6d/grad_out"))
    torch.testing.assert_close(gradient, stored("rot6d/grad_d6"), atol=1e-5, rtol=1e-5)
    assert ops.is_rotation(matrix).all()


def test_zero_and_parallel_vectors_are_finite_and_no_rotation() -> None:
    d6 = stored("rot6d_singular/d6").requires_grad_()
    matrix = ops.rotation_6d_to_matrix(d6)
    (gradient,) = torch.autograd.grad(matrix.sum(), d6)
    assert matrix.isfinite().all() and gradient.isfinite().all()
    assert not ops.is_rotation(matrix).any()


def test_quaternions_as_in_pytorch3d() -> None:
    a, b, unit, points = (stored(f"quat/{name}") for name in ("qa", "qb", "unit", "pts"))
    close(ops.quaternion_to_matrix(a), stored("quat/R_nonunit"))
    close(ops.quaternion_to_matrix(unit), stored("quat/R_unit"))
    torch.testing.assert_close(ops.quaternion_raw_multiply(a, b), stored("quat/raw_multiply"))
    torch.testing.assert_close(ops.quaternion_multiply(a, b), stored("quat/multiply"))
    close(ops.quaternion_invert(a), stored("quat/invert"))
    close(ops.quaternion_apply(unit, points), stored("quat/apply"), atol=1e-5)
    close(ops.standardize_quaternion(a), stored("quat/standardize"))
    close(ops.matrix_to_quaternion(stored("quat/R_unit")), stored("quat/q_from_R"))


def test_exponentials_and_logarithms_as_in_pytorch3d() -> None:
    vectors, matrix = stored("so3/log"), stored("so3/R")
    close(ops.so3_exp_map(vectors), matrix, atol=1e-4)
    close(ops.so3_exp_map(ops.so3_log_map(matrix)), matrix, atol=1e-4)
    pytorch3d_is_off = 8e-3  # by its linear extrapolation of acos close to 0 and 180 degrees
    close(ops.so3_rotation_angle(matrix), stored("so3/angle"), atol=pytorch3d_is_off)
    other = matrix.flip(0)
    close(ops.so3_rotation_angle(matrix, cos_angle=True), stored("so3/angle").cos(), atol=1e-4)
    assert ops.so3_relative_angle(matrix, other).shape == (24,)


def test_rigid_motions_as_in_pytorch3d() -> None:
    logarithms = stored("se3/log")
    motions = ops.se3_exp_map(logarithms)
    close(motions, stored("se3/M"), atol=1e-4)
    close(ops.se3_exp_map(ops.se3_log_map(motions)), motions, atol=2e-5)


# Against scipy and itself


def test_double_precision_as_scipy() -> None:
    matrix = randoms()
    quaternions = torch.from_numpy(Rotation.from_matrix(matrix.numpy()).as_quat(canonical=True, scalar_first=True))
    close(ops.matrix_to_quaternion(matrix), quaternions, atol=1e-14)
    vectors = torch.from_numpy(Rotation.from_matrix(matrix.numpy()).as_rotvec())
    close(ops.matrix_to_axis_angle(matrix), vectors, atol=1e-13)
    close(ops.axis_angle_to_matrix(vectors), matrix, atol=1e-14)
    close(ops.so3_rotation_angle(matrix), vectors.norm(dim=1), atol=1e-13)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_euler_angles_as_scipy_which_calls_them_intrinsic(convention: str) -> None:
    matrix = randoms()
    expected = Rotation.from_matrix(matrix.numpy()).as_euler(convention)
    close(ops.matrix_to_euler_angles(matrix, convention), torch.from_numpy(expected), atol=1e-12)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("away", [0.0, 1e-12, 1e-7, 1e-4, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_euler_angles_rebuild_the_matrix_at_and_near_gimbal_lock(
    convention: str, away: float, dtype: torch.dtype
) -> None:
    centers = (0.0, PI) if convention[0] == convention[2] else (PI / 2, -PI / 2)
    angles = torch.tensor([(a, b + away, c) for b in centers for a in (0, 0.7, -3) for c in (0, 2.0)], dtype=dtype)
    matrix = ops.euler_angles_to_matrix(angles, convention)
    back = ops.matrix_to_euler_angles(matrix, convention)
    close(ops.euler_angles_to_matrix(back, convention), matrix, atol=32 * torch.finfo(dtype).eps)
    if away == 0:
        assert (back[:, 2] == 0).all()


def test_small_and_half_turns_keep_their_digits() -> None:
    axis = torch.tensor([0.36, -0.48, 0.8], dtype=torch.float64)
    for angle in (0.0, 1e-20, 1e-9, 1e-5, 9e-3, 1.1e-2, 1.0, PI - 1e-3, PI - 1e-9):
        vector = (axis * angle)[None]
        matrix = ops.so3_exp_map(vector)
        close(matrix, torch.from_numpy(Rotation.from_rotvec(vector.numpy()).as_matrix()), atol=2e-15)
        torch.testing.assert_close(ops.so3_log_map(matrix), vector, rtol=1e-12, atol=1e-15)


def test_products_compose_as_matrices_do() -> None:
    a, b = (ops.random_quaternions(20, generator=torch.Generator().manual_seed(seed)) for seed in (2, 3))
    product = ops.quaternion_to_matrix(a) @ ops.quaternion_to_matrix(b)
    close(ops.quaternion_to_matrix(ops.quaternion_multiply(a, b)), product)
    close(ops.quaternion_multiply(a, ops.quaternion_invert(a)), torch.eye(4)[0].expand(20, 4))
    one = ops.quaternion_apply(a[:1], torch.eye(3))  # one rotation, three points
    close(one, ops.quaternion_to_matrix(a[0]).T)


def test_cross_products_as_matrices() -> None:
    v, x = torch.randn(5, 3), torch.randn(5, 3)
    close((ops.hat(v) @ x[..., None])[..., 0], torch.linalg.cross(v, x))
    close(ops.hat_inv(ops.hat(v)), v)


def test_options_of_pytorch3d_that_change_nothing() -> None:
    turns = torch.tensor([[0.3, -1.2, 0.4], [0.0, 0.0, 0.0]])
    matrices = ops.axis_angle_to_matrix(turns, fast=True)
    close(matrices, ops.axis_angle_to_matrix(turns))
    close(ops.matrix_to_axis_angle(matrices, fast=True), turns)


def test_one_random_rotation() -> None:
    one = ops.random_rotation(torch.float64, generator=torch.Generator().manual_seed(3))
    assert one.dtype == torch.float64 and bool(ops.is_rotation(one))
    close(one, ops.random_rotations(2, torch.float64, generator=torch.Generator().manual_seed(3))[0], atol=1e-12)


def test_random_rotations_are_uniform_and_repeatable() -> None:
    matrix = ops.random_rotations(4000, generator=torch.Generator().manual_seed(0))
    assert ops.is_rotation(matrix).all()
    # Entries of uniform rotations have mean 0 and variance 1/3; five standard errors.
    assert matrix.mean(dim=0).abs().max() < 5 * (1 / 3 / 4000) ** 0.5
    assert (matrix.square().mean(dim=0) - 1 / 3).abs().max() < 5 * (4 / 45 / 4000) ** 0.5
    again = ops.random_rotations(4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again, matrix)


# Gradients

ROUND_TRIPS: dict[str, Callable[[Tensor], Tensor]] = {
    "quaternion": lambda v: ops.matrix_to_quaternion(ops.axis_angle_to_matrix(v)),
    "axis_angle": lambda v: ops.matrix_to_axis_angle(ops.axis_angle_to_matrix(v)),
    "through quaternions": lambda v: ops.quaternion_to_axis_angle(ops.axis_angle_to_quaternion(v)),
    "6d": lambda v: ops.rotation_6d_to_matrix(ops.matrix_to_rotation_6d(ops.axis_angle_to_matrix(v))),
    "angle": lambda v: ops.so3_rotation_angle(ops.so3_exp_map(v)),
    "se3": lambda v: ops.se3_log_map(ops.se3_exp_map(torch.cat((v, v), dim=-1))),
    **{
        convention: lambda v, c=convention: ops.matrix_to_euler_angles(ops.axis_angle_to_matrix(v), c)
        for convention in CONVENTIONS
    },
}
TURNS = torch.tensor(
    [[0, 0, 0], [1e-30, 0, 0], [1e-6, 0, -1e-6], [PI, 0, 0], [0, PI, 0], [0, 0, -PI], [0, PI / 2, 0], [PI / 2, 0, 0]]
)


@pytest.mark.parametrize("name", ROUND_TRIPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_identity_and_at_half_turns(name: str, dtype: torch.dtype) -> None:
    vectors = TURNS.to(dtype).requires_grad_()
    found = ROUND_TRIPS[name](vectors)
    (gradient,) = torch.autograd.grad(found.sum(), vectors)
    assert found.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", ["quaternion", "axis_angle", "through quaternions", "6d", "se3", "XYZ", "YZX", "ZXZ"])
def test_gradients_are_right(name: str) -> None:
    vectors = torch.tensor([[0.3, -0.2, 0.5], [1.7, 0.9, -1.1], [2e-3, 1e-3, 4e-3], [0.6, 1.9, 1.8]]).double()
    assert torch.autograd.gradcheck(ROUND_TRIPS[name], vectors.requires_grad_())


def test_the_gradient_at_the_identity_is_the_generator() -> None:
    jacobian = torch.func.jacrev(ops.so3_exp_map)(torch.zeros(3))
    close(jacobian.permute(2, 0, 1), ops.hat(torch.eye(3)))
    back = torch.autograd.functional.jacobian(lambda v: ops.so3_log_map(ops.so3_exp_map(v)), torch.zeros(3))
    close(back, torch.eye(3))


# Bad input


def test_what_is_no_rotation_is_told() -> None:
    matrices = torch.stack([torch.eye(3), -torch.eye(3), 2 * torch.eye(3), torch.full((3, 3), torch.nan)])
    assert ops.is_rotation(matrices).tolist() == [True, False, False, False]
    with pytest.raises(InputError, match="trace from -1 to 3, got -3 in 3 of 4"):
        ops.so3_log_map(matrices)


@pytest.mark.parametrize("convention", ["", "XY", "XXY", "XYY", "xyz", "XYZX", "ABC"])
def test_invalid_conventions(convention: str) -> None:
    with pytest.raises(InputError, match="is not a convention of Euler angles"):
        ops.euler_angles_to_matrix(torch.zeros(3), convention)


@pytest.mark.parametrize(
    "function, bad",
    [
        (ops.matrix_to_quaternion, torch.eye(4)),
        (ops.so3_log_map, torch.eye(4)),
        (ops.quaternion_to_matrix, torch.zeros(2, 3)),
        (ops.rotation_6d_to_matrix, torch.zeros(5)),
        (ops.axis_angle_to_matrix, torch.zeros(3, dtype=torch.int64)),
    ],
)
def test_other_shapes_and_whole_numbers_are_told(function: Callable[[Tensor], Tensor], bad: Tensor) -> None:
    with pytest.raises(InputError, match="expected floats"):
        inspect.unwrap(function)(bad)  # without the annotations' own check, which only tests have


def test_nothing_and_more_dimensions() -> None:
    assert ops.matrix_to_euler_angles(torch.zeros(0, 3, 3), "XYZ").shape == (0, 3)
    assert ops.so3_log_map(torch.zeros(0, 3, 3)).shape == (0, 3)
    assert ops.matrix_to_quaternion(torch.eye(3).expand(2, 5, 3, 3)).shape == (2, 5, 4)
    assert ops.matrix_to_axis_angle(ops.axis_angle_to_matrix(torch.zeros(3))).tolist() == [0, 0, 0]
    assert torch.equal(ops.quaternion_to_matrix(torch.zeros(4)), torch.eye(3))
    assert ops.quaternion_to_axis_angle(torch.zeros(4)).isfinite().all()
