"""The algebra of quaternions, and random ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def standardize_quaternion(quaternions: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Return the one of q and -q, which are the same rotation, whose real part is not negative.

    Args:
        quaternions: Quaternions (w, x, y, z).

    Returns:
        Quaternions with w >= 0.
    """
    return torch.where(quaternions[..., :1] < 0, -quaternions, quaternions)


def quaternion_raw_multiply(a: Float[Tensor, "*#B 4"], b: Float[Tensor, "*#B 4"]) -> Float[Tensor, "*B 4"]:
    """Compute Hamilton's product a b, without standardizing its sign.

    Args:
        a: Quaternions applied last.
        b: Quaternions applied first.

    Returns:
        The products.
    """
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    real = aw * bw - (av * bv).sum(dim=-1, keepdim=True)
    return torch.cat((real, aw * bv + bw * av + torch.linalg.cross(av, bv)), dim=-1)


def quaternion_multiply(a: Float[Tensor, "*#B 4"], b: Float[Tensor, "*#B 4"]) -> Float[Tensor, "*B 4"]:
    """Compose rotations: b, then a.

    Args:
        a: Quaternions applied last.
        b: Quaternions applied first.

    Returns:
        The products, with a real part that is not negative.
    """
    return standardize_quaternion(quaternion_raw_multiply(a, b))


def quaternion_invert(quaternion: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
    """Invert rotations.

    Args:
        quaternion: Unit quaternions.

    Returns:
        Their conjugates.
    """
    return quaternion * quaternion.new_tensor([1, -1, -1, -1])


def quaternion_apply(quaternion: Float[Tensor, "*#B 4"], point: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B 3"]:
    """Rotate points.

    Args:
        quaternion: Unit quaternions.
        point: Points.

    Returns:
        The rotated points.
    """
    pure = F.pad(point, (1, 0))
    return quaternion_raw_multiply(quaternion_raw_multiply(quaternion, pure), quaternion_invert(quaternion))[..., 1:]


def random_quaternions(
    n: int,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "{n} 4"]:
    """Draw rotations uniformly, as quaternions.

    Args:
        n: Number of rotations.
        dtype: Type of the result.
        device: Device of the result.
        generator: Source of random numbers.

    Returns:
        Unit quaternions with a real part that is not negative.
    """
    drawn = torch.randn(n, 4, dtype=dtype, device=device, generator=generator)
    return standardize_quaternion(F.normalize(drawn, dim=-1))
