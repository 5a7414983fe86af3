"""Conversions between matrices, quaternions, rotation vectors and the six numbers of Zhou et al."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.rotations.matrices import expect_floats, hat
from scenekit.ops.rotations.quaternions import random_quaternions, standardize_quaternion

SERIES_BELOW = 1e-4
"""Squared angle below which sin(x)/x and the like are their series; what these leave out is below 1e-15."""


def quaternion_to_matrix(quaternions: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3 3"]:
    """Convert quaternions to rotation matrices.

    Args:
        quaternions: Quaternions of any length above 0, which is divided out; zero gives the identity.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the last dimension is not 4 or the values are integers.
    """
    expect_floats(quaternions, 4)
    w, v = quaternions[..., 0, None, None], quaternions[..., 1:]
    squared = quaternions.square().sum(dim=-1)[..., None, None]
    scale = 2 / squared.clamp(min=torch.finfo(squared.dtype).tiny)
    turn = hat(v)
    return torch.eye(3).to(quaternions) + scale * (w * turn + turn @ turn)


def matrix_to_quaternion(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4"]:
    """Convert rotation matrices to quaternions.

    Args:
        matrix: Rotation matrices.

    Returns:
        Unit quaternions with a real part that is not negative.

    Raises:
        InputError: If the last dimensions are not 3 3 or the values are integers.
    """
    expect_floats(matrix, 3, 3)
    # 4 q q^T is linear in R; each of its rows is q up to its length, and the longest divides most safely: its diagonal
    # entry 4 q_i^2 is at least 1, so that no gradient meets the square root of 0.
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(dim=-1)
    rows = (
        (1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01),
        (m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20),
        (m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m21 + m12),
        (m10 - m01, m02 + m20, m21 + m12, 1 - m00 - m11 + m22),
    )
    products = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    longest = products.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None]
    row = products.take_along_dim(longest, dim=-2)[..., 0, :]
    return standardize_quaternion(F.normalize(row, dim=-1))


def axis_angle_to_quaternion(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 4"]:
    """Convert rotation vectors to quaternions (cos(t/2), sin(t/2) axis).

    Args:
        axis_angle: Axis times angle t in radians.

    Returns:
        Unit quaternions; the real part is negative for t above 180 degrees.

    Raises:
        InputError: If the last dimension is not 3 or the values are integers.
    """
    expect_floats(axis_angle, 3)
    quarter = axis_angle.square().sum(dim=-1, keepdim=True) / 4  # (t/2)^2
    real = 1 - quarter / 2 * sinc_of_square(quarter / 4).square()  # cos x = 1 - 2 sin^2(x/2)
    return torch.cat((real, axis_angle / 2 * sinc_of_square(quarter)), dim=-1)


def quaternion_to_axis_angle(quaternions: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3"]:
    """Convert quaternions to rotation vectors.

    pytorch3d returns angles above 180 degrees for quaternions whose real part is negative.

    Args:
        quaternions: Quaternions of any length above 0.

    Returns:
        Axis times angle, with angles from 0 to pi radians.

    Raises:
        InputError: If the last dimension is not 4 or the values are integers.
    """
    expect_floats(quaternions, 4)
    q = standardize_quaternion(quaternions)
    w, v = q[..., :1], q[..., 1:]
    squared = v.square().sum(dim=-1, keepdim=True)
    small = squared <= SERIES_BELOW * w.square()
    length, real = torch.where(small, 1, squared).sqrt(), torch.where(w > 0, w, 1)
    ratio = torch.where(small, squared, 0) / real.square()
    near = (1 - ratio * (1 / 3 - ratio * (1 / 5 - ratio / 7))) / real  # the series of atan(|v|/w)/|v|
    return 2 * v * torch.where(small, near, torch.atan2(length, w) / length)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*B 3"], fast: bool = False) -> Float[Tensor, "*B 3 3"]:
    """Convert rotation vectors to matrices by Rodrigues' formula.

    R = 1 + sin(t)/t K + (1 - cos t)/t^2 K^2, where K is `hat` of the axis times t.

    Args:
        axis_angle: Axis times angle t in radians.
        fast: No effect; pytorch3d chooses an algorithm with it.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the last dimension is not 3 or the values are integers.
    """
    expect_floats(axis_angle, 3)
    squared = axis_angle.square().sum(dim=-1)[..., None, None]
    turn = hat(axis_angle)
    half = sinc_of_square(squared / 4).square() / 2  # (1 - cos t)/t^2 = (sin(t/2)/(t/2))^2 / 2
    return torch.eye(3).to(axis_angle) + sinc_of_square(squared) * turn + half * (turn @ turn)


def matrix_to_axis_angle(matrix: Float[Tensor, "*B 3 3"], fast: bool = False) -> Float[Tensor, "*B 3"]:
    """Convert rotation matrices to rotation vectors.

    Args:
        matrix: Rotation matrices.
        fast: No effect; pytorch3d chooses an algorithm with it.

    Returns:
        Axis times angle, with angles from 0 to pi radians.

    Raises:
        InputError: If the last dimensions are not 3 3 or the values are integers.
    """
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def rotation_6d_to_matrix(d6: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 3 3"]:
    """Convert the six numbers of Zhou et al. to matrices by the Gram-Schmidt process.

    Zhou et al., On the Continuity of Rotation Representations in Neural Networks, CVPR 2019. Two vectors that are zero
    or parallel define no rotation: the result is finite, and `is_rotation` returns False for it.

    Args:
        d6: Two vectors each, from which the first two rows are made; the third row is their cross product.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the last dimension is not 6 or the values are integers.
    """
    expect_floats(d6, 6)
    first = F.normalize(d6[..., :3], dim=-1)
    along = (first * d6[..., 3:]).sum(dim=-1, keepdim=True)
    second = F.normalize(d6[..., 3:] - along * first, dim=-1)
    return torch.stack((first, second, torch.linalg.cross(first, second)), dim=-2)


def matrix_to_rotation_6d(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 6"]:
    """Convert rotation matrices to the six numbers of Zhou et al.

    Args:
        matrix: Rotation matrices.

    Returns:
        The first two rows of each.

    Raises:
        InputError: If the last dimensions are not 3 3 or the values are integers.
    """
    expect_floats(matrix, 3, 3)
    return matrix[..., :2, :].flatten(-2)


def random_rotations(
    n: int,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "{n} 3 3"]:
    """Draw rotations uniformly, as matrices.

    Args:
        n: Number of rotations.
        dtype: Type of the result.
        device: Device of the result.
        generator: Source of random numbers.

    Returns:
        Rotation matrices.
    """
    return quaternion_to_matrix(random_quaternions(n, dtype, device, generator))


def random_rotation(
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "3 3"]:
    """Draw one rotation uniformly.

    Args:
        dtype: Type of the result.
        device: Device of the result.
        generator: Source of random numbers.

    Returns:
        A rotation matrix.
    """
    return random_rotations(1, dtype, device, generator)[0]


def sinc_of_square(squared: Tensor) -> Tensor:
    """Compute sin(x)/x of x squared."""
    small = squared < SERIES_BELOW
    x = torch.where(small, 1, squared).sqrt()
    return torch.where(small, 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42)), x.sin() / x)
