"""Rotation matrices and antisymmetric ones."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.errors import InputError


def is_rotation(matrix: Float[Tensor, "*B 3 3"], atol: float = 1e-4) -> Bool[Tensor, "*B"]:
    """Return which matrices are proper rotations: finite, R R^T = 1, and right-handed (determinant +1).

    Args:
        matrix: Matrices.
        atol: Largest deviation of an entry of R R^T.

    Returns:
        True for each proper rotation.
    """
    product = matrix @ matrix.mT
    orthonormal = (product - torch.eye(3).to(matrix)).abs().flatten(-2).amax(dim=-1) <= atol
    volume = (torch.linalg.cross(matrix[..., 0], matrix[..., 1]) * matrix[..., 2]).sum(dim=-1)
    return torch.logical_and(orthonormal, volume > 0)


def hat(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Return the matrix whose product is the cross product: hat(v) @ x = cross(v, x).

    Args:
        v: Vectors.

    Returns:
        Antisymmetric matrices.
    """
    x, y, z = v.unbind(dim=-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).reshape(*v.shape, 3)


def hat_inv(h: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Return the vector of an antisymmetric matrix; of others, of their antisymmetric part.

    Args:
        h: Matrices.

    Returns:
        Vectors.
    """
    part = (h - h.mT) / 2
    return torch.stack((part[..., 2, 1], part[..., 0, 2], part[..., 1, 0]), dim=-1)


def expect_floats(value: Tensor, *shape: int) -> None:
    """Raise InputError unless the last dimensions are as expected and the values floats."""
    if tuple(value.shape[-len(shape) :]) != shape or not value.is_floating_point():
        wanted = " ".join(map(str, shape))
        raise InputError(f"expected floats [... {wanted}], got {value.dtype} {list(value.shape)}")
