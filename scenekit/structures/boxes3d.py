"""Oriented boxes in the camera frame (x right, y down, z forward, metres). Letters: N boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CORNER_SIGNS = torch.tensor(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
    dtype=torch.float32,
)


@dataclass(frozen=True, eq=False)
class Boxes3D:
    """`center` in metres; `size` is width, height, length; `rotation` takes object axes to camera axes.

    In the object's own frame x is forward along its length, y is down along its height and z lies along its width, so
    an unrotated box faces right.
    """

    center: Float[Tensor, "N 3"]
    size: Float[Tensor, "N 3"]
    rotation: Float[Tensor, "N 3 3"]
    scores: Float[Tensor, " N"] | None = None

    def __len__(self) -> int:
        return int(self.center.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | list[int]) -> Boxes3D:
        scores = None if self.scores is None else self.scores[rows]
        return Boxes3D(self.center[rows], self.size[rows], self.rotation[rows], scores)

    @property
    def corners(self) -> Float[Tensor, "N 8 3"]:
        """The corners; 0-3 go around the face at negative z of the object frame, 4-7 around the opposite one."""
        width, height, length = self.size.unbind(-1)
        half = torch.stack((length, height, width), dim=-1) / 2
        local = _CORNER_SIGNS.to(half) * half[:, None]
        return local @ self.rotation.transpose(1, 2) + self.center[:, None]

    @property
    def roll_pitch_yaw(self) -> Float[Tensor, "N 3"]:
        """Angles in radians with rotation = Ry(yaw) Rz(pitch) Rx(roll).

        Yaw turns about the down axis, pitch above 0 lowers the front, roll turns about the forward axis; for an
        upright box pitch and roll are 0. At pitch = +-90 degrees roll is 0 by convention.
        """
        r = self.rotation
        pitch = torch.asin(r[:, 1, 0].clamp(-1, 1))
        locked = r[:, 1, 0].abs() > 1 - 1e-6
        yaw = torch.where(locked, torch.atan2(r[:, 0, 2], r[:, 2, 2]), torch.atan2(-r[:, 2, 0], r[:, 0, 0]))
        roll = torch.where(locked, torch.zeros_like(pitch), torch.atan2(-r[:, 1, 2], r[:, 1, 1]))
        return torch.stack((roll, pitch, yaw), dim=-1)

    @property
    def parameters(self) -> Float[Tensor, "N 9"]:
        """x y z w h l roll pitch yaw."""
        return torch.cat((self.center, self.size, self.roll_pitch_yaw), dim=-1)

    def mirrored(self) -> Boxes3D:
        """The boxes of the world reflected at x = 0: S R S' keeps rotations proper.

        S reflects the camera's x; S' reflects the object's width axis, which is its mirror symmetry.
        """
        reflect = self.rotation.new_tensor([-1.0, 1.0, 1.0])
        width_flip = self.rotation.new_tensor([1.0, 1.0, -1.0])
        rotation = reflect[:, None] * self.rotation * width_flip
        return Boxes3D(self.center * reflect, self.size, rotation, self.scores)
