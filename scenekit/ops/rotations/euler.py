"""Conversions between matrices and Euler angles."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops.rotations.matrices import expect_floats

_AXES = "XYZ"


def euler_angles_to_matrix(euler_angles: Float[Tensor, "*B 3"], convention: str) -> Float[Tensor, "*B 3 3"]:
    """Convert Euler angles to matrices R = R_A(a) R_B(b) R_C(c).

    Args:
        euler_angles: Angles (a, b, c) in radians.
        convention: Three axes such as "XYZ" or "ZXZ", of which neighbors differ.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the convention is invalid, the last dimension is not 3 or the values are integers.
    """
    expect_floats(euler_angles, 3)
    axes = _axes_of(convention)
    a, b, c = (_about(axis, angle) for axis, angle in zip(axes, euler_angles.unbind(dim=-1), strict=True))
    return a @ b @ c


def matrix_to_euler_angles(matrix: Float[Tensor, "*B 3 3"], convention: str) -> Float[Tensor, "*B 3"]:
    """Convert rotation matrices to Euler angles (a, b, c) with R = R_A(a) R_B(b) R_C(c).

    Where the rotation by b brings the last axis onto the first (gimbal lock), only a + c or a - c is determined: c is 0
    there.

    Args:
        matrix: Rotation matrices.
        convention: Three axes such as "XYZ" or "ZXZ", of which neighbors differ.

    Returns:
        Angles in radians; b is from -pi/2 to pi/2, or from 0 to pi where the first and the last axis are the same.

    Raises:
        InputError: If the convention is invalid, the last dimensions are not 3 3 or the values are integers.
    """
    expect_floats(matrix, 3, 3)
    i, j, last = _axes_of(convention)
    k, proper = 3 - i - j, last == i
    sign = 1 if (j - i) % 3 == 1 else -1  # 1 where i, j, k follow each other as X, Y, Z do
    rows = matrix.unbind(dim=-2)
    r = [row.unbind(dim=-1) for row in rows]
    # The norm has the gradient 0 at 0, unlike a square root.
    swing = torch.linalg.vector_norm(torch.stack((r[i][j], r[i][k] if proper else r[i][i]), dim=-1), dim=-1)
    locked = swing <= 16 * torch.finfo(matrix.dtype).eps
    b = torch.atan2(swing, r[i][i]) if proper else torch.atan2(sign * r[i][k], swing)
    free = (r[j][i], -sign * r[k][i]) if proper else (-sign * r[j][k], r[k][k])
    a = torch.where(locked, _atan2(sign * r[k][j], r[j][j], locked), _atan2(*free, ~locked))
    # Row j of R_A(-a) R is row j of R_C(c), so c is as exact close to the lock as elsewhere.
    left = a.cos()[..., None] * rows[j] + sign * a.sin()[..., None] * rows[k]
    c = _atan2(-sign * left[..., k] if proper else sign * left[..., i], left[..., j], ~locked)
    return torch.stack((a, b, c), dim=-1)


def _axes_of(convention: str) -> tuple[int, int, int]:
    """Return the axes of a convention as indices; raise InputError for an invalid one."""
    letters = [_AXES.find(letter) for letter in convention]
    if len(letters) != 3 or -1 in letters or letters[1] in (letters[0], letters[2]):
        raise InputError(
            f"{convention!r} is not a convention of Euler angles; expected three of X, Y and Z of which neighbors"
            " differ, such as 'XYZ' or 'ZXZ'"
        )
    return letters[0], letters[1], letters[2]


def _about(axis: int, angle: Tensor) -> Tensor:
    """Return R_axis(angle)."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    entries = {(axis, axis): one, (i, i): angle.cos(), (j, j): angle.cos(), (j, i): angle.sin(), (i, j): -angle.sin()}
    rows = [torch.stack([entries.get((row, column), zero) for column in range(3)], dim=-1) for row in range(3)]
    return torch.stack(rows, dim=-2)


def _atan2(y: Tensor, x: Tensor, valid: Tensor) -> Tensor:
    """Return the angle where `valid`, elsewhere 0, without a gradient."""
    return torch.atan2(torch.where(valid, y, 0), torch.where(valid, x, 1))
