"""The frame in which shapes are predicted: the frustum of a box in the image, between two depths, as a cube.

Letters: N frustums, V points; *B any leading dimensions.

In the cube x and y are linear in the pixel, from -1 at the left and upper side of the box to 1 at the right and lower
one; z is affine in 1 / depth, from -1 at the near end to 1 at the far end (Gkioxari et al., Mesh R-CNN, 2019, section
3.2). Lines stay lines, so that a mesh is moved by moving its vertices; x right, y down, z away from the camera, so that
it is not turned inside out either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NEAREST = 0.01
"""Smallest depth, in metres: points that are nearer, beside or behind the camera are clamped to it."""

FARTHEST = 10.0
"""Upper limit of the depth of a predicted vertex, as a multiple of the far end; beyond it lies the space behind the
camera.
"""

SMALLEST = 1.0
"""Lower limit of a box's sides, in pixels; only larger boxes are trained."""


@dataclass(frozen=True, eq=False)
class Frustums:
    """Frustums of boxes."""

    boxes: Float[Tensor, "N 4"]
    """Boxes xyxy, in pixels."""
    depths: Float[Tensor, "N 2"]
    """Near and far end, in metres."""
    K: Float[Tensor, "N 3 3"]
    """Intrinsics of each one's camera."""

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Frustums:
        return Frustums(self.boxes[rows], self.depths[rows], self.K[rows])

    @property
    def usable(self) -> Bool[Tensor, " N"]:
        """Frustums that can be trained: of boxes that are not too small, and wholly in front of the camera."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        near, far = self.depths.unbind(-1)
        return (sides > SMALLEST).all(-1) & (near > NEAREST) & (far > near) & far.isfinite()

    def to_cube(self, points: Float[Tensor, "V 3"], rows: Int[Tensor, " V"]) -> Float[Tensor, "V 3"]:
        """Transform points from the camera frame to the cube.

        Args:
            points: Points, in metres.
            rows: Frustum of each point.

        Returns:
            Coordinates in the cube.
        """
        frames = torch.linalg.inv(pixels_from_cube(self.boxes)) @ self.K
        return to_cube(points, frames[rows], self.depths[rows])

    def to_camera(self, points: Float[Tensor, "V 3"], rows: Int[Tensor, " V"]) -> Float[Tensor, "V 3"]:
        """Transform points from the cube to the camera frame.

        Args:
            points: Coordinates in the cube.
            rows: Frustum of each point.

        Returns:
            Points, in metres.
        """
        return to_camera(points, self.rays[rows], self.depths[rows])

    @property
    def rays(self) -> Float[Tensor, "N 3 3"]:
        """Matrices from (x, y, 1) of the cube to the point at depth 1 that projects there."""
        rays: Tensor = torch.linalg.inv(self.K) @ pixels_from_cube(self.boxes)
        return rays


def pixels_from_cube(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """Return the matrices from (x, y, 1) of the cube to homogeneous pixels.

    Args:
        boxes: Boxes of the frustums, in pixels.

    Returns:
        The matrices.
    """
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=SMALLEST) / 2
    matrix = torch.diag_embed(torch.cat((half, torch.ones_like(half[:, :1])), dim=1))
    matrix[:, :2, 2] = middle
    return matrix


def to_cube(
    points: Float[Tensor, "*#B 3"], frames: Float[Tensor, "*#B 3 3"], depths: Float[Tensor, "*#B 2"]
) -> Float[Tensor, "*B 3"]:
    """Transform points from the camera frame to the cube.

    Args:
        points: Points, in metres.
        frames: Matrices to homogeneous (x, y) of the cube.
        depths: Near and far end, in metres.

    Returns:
        Coordinates in the cube.
    """
    depth = points[..., 2:].clamp(min=NEAREST)
    projected = _times(frames, torch.cat((points[..., :2], depth), dim=-1))
    z = z_in_cube(depth[..., 0], depths)
    return torch.cat((projected[..., :2] / projected[..., 2:], z[..., None]), dim=-1)


def to_camera(
    points: Float[Tensor, "*#B 3"], rays: Float[Tensor, "*#B 3 3"], depths: Float[Tensor, "*#B 2"]
) -> Float[Tensor, "*B 3"]:
    """Transform points from the cube to the camera frame.

    Args:
        points: Coordinates in the cube.
        rays: Matrices from (x, y, 1) of the cube to directions with z = 1.
        depths: Near and far end, in metres.

    Returns:
        Points, in metres.
    """
    flat = torch.cat((points[..., :2], torch.ones_like(points[..., 2:])), dim=-1)
    return _times(rays, flat) * depths_at(points[..., 2], depths)[..., None]


def depths_at(z: Float[Tensor, "*#B"], depths: Float[Tensor, "*#B 2"]) -> Float[Tensor, "*B"]:
    """Compute the depth of points with this z in the cube.

    Args:
        z: Coordinates in the cube.
        depths: Near and far end, in metres.

    Returns:
        Depths, in metres.
    """
    near, far = (1 / depths).unbind(dim=-1)
    return 1 / torch.maximum(near - (z + 1) / 2 * (near - far), far / FARTHEST)


def z_in_cube(depth: Float[Tensor, "*#B"], depths: Float[Tensor, "*#B 2"]) -> Float[Tensor, "*B"]:
    """Compute the z in the cube of points of a depth: the inverse of `depths_at`.

    Args:
        depth: Depths, in metres.
        depths: Near and far end, in metres.

    Returns:
        Coordinates in the cube.
    """
    near, far = (1 / depths).unbind(dim=-1)
    return 2 * (near - 1 / depth) / (near - far) - 1


def _times(matrix: Float[Tensor, "*#B 3 3"], vectors: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B 3"]:
    # For many small matrices a sum of products takes a fraction of the time of a batched matrix product.
    return (matrix * vectors[..., None, :]).sum(dim=-1)


def depth_ranges(
    center: Float[Tensor, " N"], extent: Float[Tensor, " N"], heights: Float[Tensor, " N"], focal: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """Compute near and far end around a center.

    They differ by center * extent * height / focal. No range comes nearer than a tenth of its center.

    Args:
        center: Depth of the center, in metres.
        extent: Extent of the depth relative to the height of the box, as the network predicts it.
        heights: Heights of the boxes, in pixels.
        focal: Focal lengths, in pixels.

    Returns:
        Near and far end, in metres.
    """
    half = center * (extent * heights / focal / 2).clamp(max=0.9)
    return torch.stack((center - half, center + half), dim=-1)


def extents(
    center: Float[Tensor, " N"],
    low: Float[Tensor, " N"],
    high: Float[Tensor, " N"],
    heights: Float[Tensor, " N"],
    focal: Float[Tensor, " N"],
) -> Float[Tensor, " N"]:
    """Compute the smallest extent of a range around `center` that holds all depths from `low` to `high`.

    The center is that of the 3D box, which is known when a mesh is placed; the center of an object's own depths differs
    from it by up to a fifth of their extent.

    Args:
        center: Depth of the center, in metres.
        low: Smallest depth of the object, in metres.
        high: Greatest depth of the object, in metres.
        heights: Heights of the boxes, in pixels.
        focal: Focal lengths, in pixels.

    Returns:
        The extents.
    """
    half = torch.maximum(high - center, center - low)
    return 2 * half / center * focal / heights
