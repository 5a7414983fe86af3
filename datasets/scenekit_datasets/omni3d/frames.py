"""Conversion of 3D boxes of other data sets to `Boxes3D`: boxes with yaw alone, or in frames other than the camera's.

For annotations in neither KITTI's nor Omni3D's format: create scenes from them, and `write_omni3d` writes what the data
set `omni3d` reads. Letters: N boxes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.structures import Boxes3D, Camera


def boxes_in_camera(boxes: Float[Tensor, "N 7"]) -> Boxes3D:
    """Convert boxes with a yaw in the camera's frame (x right, y down, z forward).

    nuScenes (`bbox_3d` of camera instances) and KITTI are stored so in mmdetection3d's annotation files.

    Args:
        boxes: x, y, z of the center, length, height, width in metres, and KITTI's rotation_y in radians: about the y
            axis, 0 faces right.

    Returns:
        The boxes.
    """
    length, height, width = boxes[:, 3:6].unbind(1)
    rotation = axis_angle_to_matrix(boxes[:, 6:] * boxes.new_tensor([0.0, 1.0, 0.0]))
    return Boxes3D(boxes[:, :3], torch.stack((width, height, length), dim=1), rotation)


def boxes_on_floor(boxes: Float[Tensor, "N 7"], pixels_from_world: Float[Tensor, "3 3"]) -> tuple[Boxes3D, Camera]:
    """Convert boxes with a yaw in a world of x right, y forward and z up, whose origin is the camera.

    Args:
        boxes: x, y, z of the center, length, width, height in metres, and yaw in radians: counter-clockwise about z, 0
            faces along x.
        pixels_from_world: K R, a rotation into the camera's frame, then the intrinsics (SUN RGB-D's `depth2img`).

    Returns:
        (boxes in the camera's frame, camera).
    """
    K, turn = decomposed(pixels_from_world)
    length, width, height = boxes[:, 3:6].unbind(1)
    cosine, sine, zero = boxes[:, 6].cos(), boxes[:, 6].sin(), torch.zeros_like(length)
    forward, across = torch.stack((cosine, sine, zero), dim=1), torch.stack((-sine, cosine, zero), dim=1)
    down = torch.stack((zero, zero, zero - 1), dim=1)
    axes = torch.stack((forward, down, across), dim=2)  # columns: the object's x, y, z in the world
    size = torch.stack((width, height, length), dim=1)
    return Boxes3D(boxes[:, :3] @ turn.T, size, turn @ axes), Camera(K)


def decomposed(matrix: Float[Tensor, "3 3"]) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3 3"]]:
    """Decompose a matrix into intrinsics and a rotation.

    Args:
        matrix: s K R with s > 0.

    Returns:
        (K, R): an upper triangular matrix with K[2, 2] = 1 and a positive diagonal, and a rotation.
    """
    flip = torch.eye(3).flip(0).to(matrix)
    Q, upper = torch.linalg.qr((flip @ matrix).T)
    K, R = flip @ upper.T @ flip, flip @ Q.T
    signs = K.diagonal().sign()
    K, R = K * signs, signs[:, None] * R
    return K / K[2, 2], R
