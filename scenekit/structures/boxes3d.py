"""Oriented 3D boxes in the camera frame (x right, y down, z forward, metres). Letters: N boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops.boxes3d import footprints
from scenekit.ops.rotations import euler_angles_to_matrix, is_rotation, matrix_to_euler_angles

_CORNER_SIGNS = torch.tensor(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
    dtype=torch.float32,
)


CONVENTION = "YZX"
"""The convention of the Euler angles (yaw, pitch, roll), as `scenekit.ops.rotations` names it."""


@dataclass(frozen=True, eq=False)
class Boxes3D:
    """Oriented 3D boxes in the camera frame.

    In the object's own frame x is forward along its length, y is down along its height and z lies along its width, so
    an unrotated box faces right.
    """

    center: Float[Tensor, "N 3"]
    """Centers in metres."""
    size: Float[Tensor, "N 3"]
    """Width, height and length in metres."""
    rotation: Float[Tensor, "N 3 3"]
    """Rotations from object axes to camera axes."""
    scores: Float[Tensor, " N"] | None = None
    """Confidence of predictions, 0 to 1; None in ground truth."""

    @classmethod
    def from_parameters(cls, parameters: Float[Tensor, "N 9"], scores: Float[Tensor, " N"] | None = None) -> Boxes3D:
        """Create boxes from nine numbers each; the inverse of `parameters`.

        Args:
            parameters: x y z w h l in metres, roll pitch yaw in radians.
            scores: Confidence of predictions.

        Returns:
            The boxes.

        Raises:
            InputError: If a box has not nine numbers.
        """
        if parameters.dim() != 2 or parameters.shape[1] != 9:
            raise InputError(f"a 3D box is x y z w h l roll pitch yaw, [N 9]; got {list(parameters.shape)}")
        rotation = euler_angles_to_matrix(parameters[:, 6:].flip(-1), CONVENTION)
        return cls(parameters[:, :3], parameters[:, 3:6], rotation, scores)

    def __len__(self) -> int:
        return int(self.center.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | list[int]) -> Boxes3D:
        scores = None if self.scores is None else self.scores[rows]
        return Boxes3D(self.center[rows], self.size[rows], self.rotation[rows], scores)

    @property
    def corners(self) -> Float[Tensor, "N 8 3"]:
        """Corners in metres; 0-3 go around the face at negative z of the object frame, 4-7 around the opposite one."""
        width, height, length = self.size.unbind(-1)
        half = torch.stack((length, height, width), dim=-1) / 2
        local = _CORNER_SIGNS.to(half) * half[:, None]
        return local @ self.rotation.transpose(1, 2) + self.center[:, None]

    @property
    def roll_pitch_yaw(self) -> Float[Tensor, "N 3"]:
        """Angles in radians with rotation = Ry(yaw) Rz(pitch) Rx(roll).

        (yaw, pitch, roll) are Euler angles of the convention "YZX" of `scenekit.ops.rotations`. Yaw rotates about the
        down axis, pitch above 0 lowers the front, roll rotates about the forward axis; for an upright box pitch and
        roll are 0. At pitch = +-90 degrees roll is 0 by convention.
        """
        return matrix_to_euler_angles(self.rotation, CONVENTION).flip(-1)

    @property
    def parameters(self) -> Float[Tensor, "N 9"]:
        """The nine numbers x y z w h l (metres) roll pitch yaw (radians)."""
        return torch.cat((self.center, self.size, self.roll_pitch_yaw), dim=-1)

    @property
    def volume(self) -> Float[Tensor, " N"]:
        """Volumes in cubic metres."""
        return self.size.prod(dim=1)

    @property
    def footprints(self) -> Float[Tensor, "N 4 2"]:
        """Corners (x, z) in metres of the footprints in bird's-eye view, as KITTI has them: rotated by yaw alone.

        `scenekit.ops.iou3d.bev_overlap` expects them.
        """
        return footprints(self.corners)

    @property
    def valid(self) -> Bool[Tensor, " N"]:
        """Which boxes are finite, have sides above 0, and a proper rotation (orthonormal, right-handed)."""
        finite = self.center.isfinite().all(dim=1) & self.size.isfinite().all(dim=1)
        return finite & (self.size > 0).all(dim=1) & is_rotation(self.rotation, atol=1e-3)

    def mirrored(self) -> Boxes3D:
        """Flip the world left to right, at x = 0: R becomes S R S', which is a proper rotation again.

        S reflects the camera's x; S' reflects the object's width axis, which is its plane of symmetry.

        Returns:
            The flipped boxes.
        """
        reflect = self.rotation.new_tensor([-1.0, 1.0, 1.0])
        width_flip = self.rotation.new_tensor([1.0, 1.0, -1.0])
        rotation = reflect[:, None] * self.rotation * width_flip
        return Boxes3D(self.center * reflect, self.size, rotation, self.scores)
