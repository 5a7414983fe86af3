"""Oriented boxes as eight corners: their edges, and how a camera sees them. Letters: N boxes.

Corners stand as `Boxes3D.corners` gives them, in the order that `scenekit.ops.iou3d` and Omni3D's files have too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.ops.cameras import project

CUBOID_EDGES = torch.tensor(
    [[0, 1], [1, 2], [2, 3], [0, 3], [4, 5], [5, 6], [6, 7], [4, 7], [0, 4], [1, 5], [2, 6], [3, 7]]
)
"""The twelve edges, [12 2] numbers of corners, the lower one first."""

MIN_DEPTH = 0.2
"""Metres; corners nearer than this, or behind the camera, are not projected."""


class CuboidBoxes(NamedTuple):
    """What `project_cuboids` gives."""

    boxes: Float[Tensor, "N 4"]
    behind: Bool[Tensor, " N"]
    fully_behind: Bool[Tensor, " N"]


def footprints(corners: Float[Tensor, "N 8 3"]) -> Float[Tensor, "N 4 2"]:
    """Seen from above: corners (x, z) of length x width turned by yaw, whatever pitch and roll are, as KITTI has it."""
    along, across = corners[:, 1] - corners[:, 0], corners[:, 4] - corners[:, 0]
    yaw = torch.atan2(-along[:, 2], along[:, 0])
    return turned_rectangles(corners.mean(dim=1)[:, [0, 2]], along.norm(dim=1), across.norm(dim=1), yaw)


def turned_rectangles(
    middle: Float[Tensor, "N 2"], length: Float[Tensor, " N"], width: Float[Tensor, " N"], yaw: Float[Tensor, " N"]
) -> Float[Tensor, "N 4 2"]:
    """Corners (x, z) of rectangles seen from above; at yaw 0 the length lies along x."""
    along = torch.stack((yaw.cos(), -yaw.sin()), dim=-1) * length[:, None] / 2
    across = torch.stack((yaw.sin(), yaw.cos()), dim=-1) * width[:, None] / 2
    return middle[:, None] + torch.stack((-along - across, along - across, along + across, across - along), dim=1)


def project_cuboids(
    corners: Float[Tensor, "N 8 3"],
    K: Float[Tensor, "*#B 3 3"],
    size: tuple[int, int],
    min_depth: float = MIN_DEPTH,
) -> CuboidBoxes:
    """The 2D boxes (xyxy pixels) around the corners in an image of `size` (height, width), as Omni3D has them.

    `behind` marks boxes of which a corner is nearer than `min_depth`, `fully_behind` those of which all are. Such a
    corner has no pixel; the corner of the image (pixels (0, 0) to (W - 1, H - 1)) on its side of the optical axis
    stands for it. Boxes are not clipped: they may reach beyond the image. K is one camera [3 3] or one a box [N 3 3].
    """
    behind = corners[..., 2] <= min_depth  # [N 8]
    K = K.to(corners)
    pixels = project(corners, K[..., None, :, :])
    far = corners.new_tensor([size[1] - 1, size[0] - 1])
    pixels = torch.where(behind[..., None], torch.where(corners[..., :2] < 0, 0 * far, far), pixels)
    boxes = torch.cat((pixels.amin(dim=1), pixels.amax(dim=1)), dim=-1)
    return CuboidBoxes(boxes, behind.any(dim=1), behind.all(dim=1))
