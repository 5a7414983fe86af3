"""Rotations in five representations, with pytorch3d's names, argument orders and meanings; every gradient is finite.

Letters: *B any leading dimensions.

Matrices act on column vectors: y = R x. Angles are radians, right-handed about their axis. Quaternions are (w, x, y,
z), the real part first, and products compose as matrices do. Euler angles (a, b, c) of the convention "ABC" mean R =
R_A(a) R_B(b) R_C(c): about A, then about the rotated B, then about the twice rotated C. The six numbers of Zhou et al.
are the first two rows of R.

Conversions from matrices expect proper rotations, which `is_rotation` checks. pytorch3d's `eps` and `cos_bound`, which
keep its gradients finite at the cost of accuracy, are accepted but not needed: values are exact to rounding, at the
identity and at 180 degrees too, and no gradient needs a bound.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError

_AXES = "XYZ"

_SERIES_BELOW = 1e-4
"""Squared angle below which sin(x)/x and the like are their series; what these leave out is below 1e-15."""


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


# Quaternions


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


def quaternion_to_matrix(quaternions: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3 3"]:
    """Convert quaternions to rotation matrices.

    Args:
        quaternions: Quaternions of any length above 0, which is divided out; zero gives the identity.

    Returns:
        Rotation matrices.

    Raises:
        InputError: If the last dimension is not 4 or the values are integers.
    """
    _expect(quaternions, 4)
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
    _expect(matrix, 3, 3)
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


# Axis and angle


def axis_angle_to_quaternion(axis_angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 4"]:
    """Convert rotation vectors to quaternions (cos(t/2), sin(t/2) axis).

    Args:
        axis_angle: Axis times angle t in radians.

    Returns:
        Unit quaternions; the real part is negative for t above 180 degrees.

    Raises:
        InputError: If the last dimension is not 3 or the values are integers.
    """
    _expect(axis_angle, 3)
    quarter = axis_angle.square().sum(dim=-1, keepdim=True) / 4  # (t/2)^2
    real = 1 - quarter / 2 * _sinc(quarter / 4).square()  # cos x = 1 - 2 sin^2(x/2)
    return torch.cat((real, axis_angle / 2 * _sinc(quarter)), dim=-1)


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
    _expect(quaternions, 4)
    q = standardize_quaternion(quaternions)
    w, v = q[..., :1], q[..., 1:]
    squared = v.square().sum(dim=-1, keepdim=True)
    small = squared <= _SERIES_BELOW * w.square()
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
    _expect(axis_angle, 3)
    squared = axis_angle.square().sum(dim=-1)[..., None, None]
    turn = hat(axis_angle)
    half = _sinc(squared / 4).square() / 2  # (1 - cos t)/t^2 = (sin(t/2)/(t/2))^2 / 2
    return torch.eye(3).to(axis_angle) + _sinc(squared) * turn + half * (turn @ turn)


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


# Six numbers


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
    _expect(d6, 6)
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
    _expect(matrix, 3, 3)
    return matrix[..., :2, :].flatten(-2)


# Euler angles


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
    _expect(euler_angles, 3)
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
    _expect(matrix, 3, 3)
    i, j, last = _axes_of(convention)
    k, sign, proper = 3 - i - j, _order(i, j), last == i
    rows = matrix.unbind(dim=-2)
    r = [row.unbind(dim=-1) for row in rows]
    swing = _length(r[i][j], r[i][k] if proper else r[i][i])
    locked = swing <= 16 * torch.finfo(matrix.dtype).eps
    b = torch.atan2(swing, r[i][i]) if proper else torch.atan2(sign * r[i][k], swing)
    free = (r[j][i], -sign * r[k][i]) if proper else (-sign * r[j][k], r[k][k])
    a = torch.where(locked, _atan2(sign * r[k][j], r[j][j], locked), _atan2(*free, ~locked))
    # Row j of R_A(-a) R is row j of R_C(c), so c is as exact close to the lock as elsewhere.
    left = a.cos()[..., None] * rows[j] + sign * a.sin()[..., None] * rows[k]
    c = _atan2(-sign * left[..., k] if proper else sign * left[..., i], left[..., j], ~locked)
    return torch.stack((a, b, c), dim=-1)


# Logarithms


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


def so3_exp_map(log_rot: Float[Tensor, "*B 3"], eps: float = 1e-4) -> Float[Tensor, "*B 3 3"]:
    """Compute the exponential map of SO(3), which is `axis_angle_to_matrix`.

    Args:
        log_rot: Axis times angle in radians.
        eps: No effect; see the module's description.

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
        cos_bound: No effect; see the module's description.

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
        cos_bound: No effect; see the module's description.

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
        cos_bound: No effect; see the module's description.
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
        eps: No effect; see the module's description.

    Returns:
        Matrices that act on row vectors, as pytorch3d's: the rotation is transposed, the translation is in the last
        row.

    Raises:
        InputError: If the last dimension is not 6 or the values are integers.
    """
    rotation = axis_angle_to_matrix(log_transform[..., 3:])
    shift = _left_jacobian(log_transform[..., 3:]) @ log_transform[..., :3, None]
    return F.pad(torch.cat((rotation.mT, shift.mT), dim=-2), (0, 1)) + _corner(log_transform)


def se3_log_map(
    transform: Float[Tensor, "*B 4 4"], eps: float = 1e-4, cos_bound: float = 1e-4
) -> Float[Tensor, "*B 6"]:
    """Compute the logarithm of rigid motions; the inverse of `se3_exp_map`.

    Args:
        transform: Matrices that act on row vectors.
        eps: How far a trace may lie outside -1 to 3.
        cos_bound: No effect; see the module's description.

    Returns:
        Three numbers of the translation, then axis times angle in radians.

    Raises:
        InputError: If a trace is not that of a rotation.
    """
    turn = so3_log_map(transform[..., :3, :3].mT, eps, cos_bound)
    shift = torch.linalg.solve(_left_jacobian(turn), transform[..., 3, :3, None])
    return torch.cat((shift[..., 0], turn), dim=-1)


# At random


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


def _sinc(squared: Tensor) -> Tensor:
    """Compute sin(x)/x of x squared."""
    small = squared < _SERIES_BELOW
    x = torch.where(small, 1, squared).sqrt()
    return torch.where(small, 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42)), x.sin() / x)


def _left_jacobian(turn: Tensor) -> Tensor:
    """Compute 1 + (1 - cos t)/t^2 K + (t - sin t)/t^3 K^2: how a translation grows along a rotation by t."""
    squared = turn.square().sum(dim=-1)[..., None, None]
    small = squared < 100 * _SERIES_BELOW  # the quotient below loses digits earlier than sin(x)/x
    large = (1 - _sinc(squared)) / torch.where(small, 1, squared)
    series = (1 - squared / 20 * (1 - squared / 42 * (1 - squared / 72 * (1 - squared / 110)))) / 6
    matrix = hat(turn)
    half = _sinc(squared / 4).square() / 2
    return torch.eye(3).to(turn) + half * matrix + torch.where(small, series, large) * (matrix @ matrix)


def _corner(like: Tensor) -> Tensor:
    """Return [4 4] zeros with a 1 in the last corner."""
    return F.pad(like.new_ones(1, 1), (3, 0, 3, 0))


def _expect(value: Tensor, *shape: int) -> None:
    """Raise InputError unless the last dimensions are as expected and the values floats."""
    if tuple(value.shape[-len(shape) :]) != shape or not value.is_floating_point():
        wanted = " ".join(map(str, shape))
        raise InputError(f"expected floats [... {wanted}], got {value.dtype} {list(value.shape)}")


def _axes_of(convention: str) -> tuple[int, int, int]:
    """Return the axes of a convention as indices; raise InputError for an invalid one."""
    letters = [_AXES.find(letter) for letter in convention]
    if len(letters) != 3 or -1 in letters or letters[1] in (letters[0], letters[2]):
        raise InputError(
            f"{convention!r} is not a convention of Euler angles; expected three of X, Y and Z of which neighbors"
            " differ, such as 'XYZ' or 'ZXZ'"
        )
    return letters[0], letters[1], letters[2]


def _order(i: int, j: int) -> int:
    """Return 1 where i, j and the third axis follow each other as X, Y, Z do, otherwise -1."""
    return 1 if (j - i) % 3 == 1 else -1


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


def _length(x: Tensor, y: Tensor) -> Tensor:
    """Return the length of vectors; its gradient at 0 is 0."""
    length: Tensor = torch.linalg.vector_norm(torch.stack((x, y), dim=-1), dim=-1)
    return length


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _check_traces(matrix: Tensor, eps: float) -> None:
    _expect(matrix, 3, 3)
    traces = _trace(matrix).detach().flatten()
    bad = ~((traces >= -1 - eps) & (traces <= 3 + eps))
    if bad.any():
        raise InputError(
            f"a rotation matrix has a trace from -1 to 3, got {float(traces[bad][0]):g} in {int(bad.sum())} of"
            f" {len(traces)}; make rotations orthonormal and right-handed first"
        )
