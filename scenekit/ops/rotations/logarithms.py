"""Exponential maps, logarithms and angles of rotations and rigid motions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.ops.rotations.conversions import SERIES_BELOW, axis_angle_to_matrix, matrix_to_axis_angle, sinc_of_square
from scenekit.ops.rotations.matrices import expect_floats, hat, hat_inv


def so3_exp_map(log_rot: Float[Tensor, "*B 3"], eps: float = 1e-4) -> Float[Tensor, "*B 3 3"]:
    """Compute the exponential map of SO(3), which is `axis_angle_to_matrix`.

    Args:
        log_rot: Axis times angle in radians.
        eps: No effect; see `scenekit.ops.rotations`.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the last dimension is not 3 or the values are integers.
    """
    return axis_angle_to_matrix(log_rot)


def so3_log_map(R: Float[Tensor, "*B 3 3"], eps: float = 1e-4, cos_bound: float = 1e-4) -> Float[Tensor, "*B 3"]:
    """Compute the logarithm of rotations, which is `matrix_to_axis_angle` after a check.

    Args:
        R: Rotation matrices.
        eps: How far a trace may lie outside -1 to 3.
        cos_bound: No effect; see `scenekit.ops.rotations`.

    Returns:
        Axis times angle, with angles from 0 to pi radians.

    Raises:
        InputError: If a trace is not that of a rotation.
    """
    _check_traces(R, eps)
    return matrix_to_axis_angle(R)


def so3_rotation_angle(
    R: Float[Tensor, "*B 3 3"], eps: float = 1e-4, cos_angle: bool = False, cos_bound: float = 1e-4
) -> Float[Tensor, "*B"]:
    """Compute the angle of each rotation.

    Args:
        R: Rotation matrices.
        eps: How far a trace may lie outside -1 to 3.
        cos_angle: Whether to return the cosine instead.
        cos_bound: No effect; see `scenekit.ops.rotations`.

    Returns:
        Angles from 0 to pi radians, or their cosines.

    Raises:
        InputError: If a trace is not that of a rotation.
    """
    _check_traces(R, eps)
    cosine = (_trace(R) - 1) / 2
    return cosine if cos_angle else torch.atan2(torch.linalg.vector_norm(hat_inv(R), dim=-1), cosine)


def so3_relative_angle(
    R1: Float[Tensor, "*B 3 3"],
    R2: Float[Tensor, "*B 3 3"],
    cos_angle: bool = False,
    cos_bound: float = 1e-4,
    eps: float = 1e-4,
) -> Float[Tensor, "*B"]:
    """Compute the angle between two rotations each, that of R1 R2^T.

    Args:
        R1: Rotation matrices.
        R2: Rotation matrices.
        cos_angle: Whether to return the cosine instead.
        cos_bound: No effect; see `scenekit.ops.rotations`.
        eps: How far a trace may lie outside -1 to 3.

    Returns:
        Angles from 0 to pi radians, or their cosines.

    Raises:
        InputError: If a trace is not that of a rotation.
    """
    return so3_rotation_angle(R1 @ R2.mT, eps, cos_angle, cos_bound)


def se3_exp_map(log_transform: Float[Tensor, "*B 6"], eps: float = 1e-4) -> Float[Tensor, "*B 4 4"]:
    """Compute the exponential map of SE(3).

    Args:
        log_transform: Three numbers of the translation, then axis times angle in radians.
        eps: No effect; see `scenekit.ops.rotations`.

    Returns:
        Matrices that act on row vectors, as pytorch3d's: the rotation is transposed, the translation is in the last
        row.

    Raises:
        InputError: If the last dimension is not 6 or the values are integers.
    """
    rotation = axis_angle_to_matrix(log_transform[..., 3:])
    shift = _left_jacobian(log_transform[..., 3:]) @ log_transform[..., :3, None]
    corner = F.pad(log_transform.new_ones(1, 1), (3, 0, 3, 0))  # [4 4], zeros but for a 1 in the last corner
    return F.pad(torch.cat((rotation.mT, shift.mT), dim=-2), (0, 1)) + corner


def se3_log_map(
    transform: Float[Tensor, "*B 4 4"], eps: float = 1e-4, cos_bound: float = 1e-4
) -> Float[Tensor, "*B 6"]:
    """Compute the logarithm of rigid motions; the inverse of `se3_exp_map`.

    Args:
        transform: Matrices that act on row vectors.
        eps: How far a trace may lie outside -1 to 3.
        cos_bound: No effect; see `scenekit.ops.rotations`.

    Returns:
        Three numbers of the translation, then axis times angle in radians.

    Raises:
        InputError: If a trace is not that of a rotation.
    """
    turn = so3_log_map(transform[..., :3, :3].mT, eps, cos_bound)
    shift = torch.linalg.solve(_left_jacobian(turn), transform[..., 3, :3, None])
    return torch.cat((shift[..., 0], turn), dim=-1)


def _left_jacobian(turn: Tensor) -> Tensor:
    """Compute 1 + (1 - cos t)/t^2 K + (t - sin t)/t^3 K^2: how a translation grows along a rotation by t."""
    squared = turn.square().sum(dim=-1)[..., None, None]
    small = squared < 100 * SERIES_BELOW  # the quotient below loses digits earlier than sin(x)/x
    large = (1 - sinc_of_square(squared)) / torch.where(small, 1, squared)
    series = (1 - squared / 20 * (1 - squared / 42 * (1 - squared / 72 * (1 - squared / 110)))) / 6
    matrix = hat(turn)
    half = sinc_of_square(squared / 4).square() / 2
    return torch.eye(3).to(turn) + half * matrix + torch.where(small, series, large) * (matrix @ matrix)


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _check_traces(matrix: Tensor, eps: float) -> None:
    expect_floats(matrix, 3, 3)
    traces = _trace(matrix).detach().flatten()
    bad = ~((traces >= -1 - eps) & (traces <= 3 + eps))
    if bad.any():
        raise InputError(
            f"a rotation matrix has a trace from -1 to 3, got {float(traces[bad][0]):g} in {int(bad.sum())} of"
            f" {len(traces)}; make rotations orthonormal and right-handed first"
        )
