"""Oriented 3D boxes as eight corners: edges, footprints and projections. Letters: N boxes.

Corners are in the order of `Boxes3D.corners`, which `scenekit.ops.iou3d` and Omni3D's files share.
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
"""The twelve edges as pairs of corner indices, [12 2], the lower index first."""

MIN_DEPTH = 0.2
"""Metres; corners nearer than this, or behind the camera, are not projected."""


class CuboidBoxes(NamedTuple):
    """Projections of 3D boxes, as `project_cuboids` returns them."""

    boxes: Float[Tensor, "N 4"]
    """2D boxes around the projected corners, xyxy in pixels, not clipped."""
    behind: Bool[Tensor, " N"]
    """Whether at least one corner is nearer than the minimum depth."""
    fully_behind: Bool[Tensor, " N"]
    """Whether all corners are."""


def footprints(corners: Float[Tensor, "N 8 3"]) -> Float[Tensor, "N 4 2"]:
    """Compute the footprints of 3D boxes in bird's-eye view, as KITTI does: length x width rotated by yaw alone.

    Args:
        corners: Corners of the boxes in the camera frame, in metres.

    Returns:
        Corners (x, z) of each footprint, in metres.
    """
    along, across = corners[:, 1] - corners[:, 0], corners[:, 4] - corners[:, 0]
    yaw = torch.atan2(-along[:, 2], along[:, 0])
    return turned_rectangles(corners.mean(dim=1)[:, [0, 2]], along.norm(dim=1), across.norm(dim=1), yaw)


def turned_rectangles(
    middle: Float[Tensor, "N 2"], length: Float[Tensor, " N"], width: Float[Tensor, " N"], yaw: Float[Tensor, " N"]
) -> Float[Tensor, "N 4 2"]:
    """Compute the corners of rotated rectangles in bird's-eye view.

    Args:
        middle: Centers (x, z) in metres.
        length: Lengths in metres; at yaw 0 they lie along x.
        width: Widths in metres.
        yaw: Rotations in radians about the y axis, which points down.

    Returns:
        Corners (x, z) in metres.
    """
    along = torch.stack((yaw.cos(), -yaw.sin()), dim=-1) * length[:, None] / 2
    across = torch.stack((yaw.sin(), yaw.cos()), dim=-1) * width[:, None] / 2
    return middle[:, None] + torch.stack((-along - across, along - across, along + across, across - along), dim=1)


def project_cuboids(
    corners: Float[Tensor, "N 8 3"],
    K: Float[Tensor, "*#B 3 3"],
    size: tuple[int, int],
    min_depth: float = MIN_DEPTH,
) -> CuboidBoxes:
    """Compute the 2D boxes around the projected corners of 3D boxes, as Omni3D does.

    A corner nearer than `min_depth` has no pixel; the corner of the image (pixels (0, 0) to (W - 1, H - 1)) on its side
    of the optical axis replaces it.

    Args:
        corners: Corners in the camera frame, in metres.
        K: Intrinsics in pixels, one camera [3 3] or one per box [N 3 3].
        size: (height, width) of the image in pixels.
        min_depth: Depth in metres below which a corner is not projected.

    Returns:
        The 2D boxes, which may reach beyond the image, and which boxes lie behind the camera.
    """
    behind = corners[..., 2] <= min_depth  # [N 8]
    K = K.to(corners)
    pixels = project(corners, K[..., None, :, :])
    far = corners.new_tensor([size[1] - 1, size[0] - 1])
    pixels = torch.where(behind[..., None], torch.where(corners[..., :2] < 0, 0 * far, far), pixels)
    boxes = torch.cat((pixels.amin(dim=1), pixels.amax(dim=1)), dim=-1)
    return CuboidBoxes(boxes, behind.any(dim=1), behind.all(dim=1))
