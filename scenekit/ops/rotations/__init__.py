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

from scenekit.ops.rotations.conversions import (
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_to_axis_angle,
    quaternion_to_matrix,
    random_rotation,
    random_rotations,
    rotation_6d_to_matrix,
)
from scenekit.ops.rotations.euler import (
    euler_angles_to_matrix,
    matrix_to_euler_angles,
)
from scenekit.ops.rotations.logarithms import (
    se3_exp_map,
    se3_log_map,
    so3_exp_map,
    so3_log_map,
    so3_relative_angle,
    so3_rotation_angle,
)
from scenekit.ops.rotations.matrices import (
    hat,
    hat_inv,
    is_rotation,
)
from scenekit.ops.rotations.quaternions import (
    quaternion_apply,
    quaternion_invert,
    quaternion_multiply,
    quaternion_raw_multiply,
    random_quaternions,
    standardize_quaternion,
)

__all__ = [
    "axis_angle_to_matrix",
    "axis_angle_to_quaternion",
    "euler_angles_to_matrix",
    "hat",
    "hat_inv",
    "is_rotation",
    "matrix_to_axis_angle",
    "matrix_to_euler_angles",
    "matrix_to_quaternion",
    "matrix_to_rotation_6d",
    "quaternion_apply",
    "quaternion_invert",
    "quaternion_multiply",
    "quaternion_raw_multiply",
    "quaternion_to_axis_angle",
    "quaternion_to_matrix",
    "random_quaternions",
    "random_rotation",
    "random_rotations",
    "rotation_6d_to_matrix",
    "se3_exp_map",
    "se3_log_map",
    "so3_exp_map",
    "so3_log_map",
    "so3_relative_angle",
    "so3_rotation_angle",
    "standardize_quaternion",
]
