"""The frame in which shapes are predicted: what lies behind a box in the image, between two depths, as a cube.

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
"""Metres. What lies nearer, beside or behind the camera counts as being here: it has no place in the image."""

FARTHEST = 10.0
"""A predicted vertex goes no farther than so many times the far end; beyond that lies what is behind the camera."""

SMALLEST = 1.0
"""Pixels. A box is taken to have at least such sides, and only larger ones teach anything."""


@dataclass(frozen=True, eq=False)
class Frustums:
    """`boxes` xyxy in pixels, `depths` (near, far) in metres, and the intrinsics `K` of each one's camera."""

    boxes: Float[Tensor, "N 4"]
    depths: Float[Tensor, "N 2"]
    K: Float[Tensor, "N 3 3"]

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Frustums:
        return Frustums(self.boxes[rows], self.depths[rows], self.K[rows])

    @property
    def usable(self) -> Bool[Tensor, " N"]:
        """Those from which something can be learned: boxes of some size, and wholly in front of the camera."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        near, far = self.depths.unbind(-1)
        return (sides > SMALLEST).all(-1) & (near > NEAREST) & (far > near) & far.isfinite()

    def to_cube(self, points: Float[Tensor, "V 3"], rows: Int[Tensor, " V"]) -> Float[Tensor, "V 3"]:
        """Points of the camera frame in the cube of the frustum that `rows` names for each."""
        frames = torch.linalg.inv(pixels_from_cube(self.boxes)) @ self.K
        return to_cube(points, frames[rows], self.depths[rows])

    def to_camera(self, points: Float[Tensor, "V 3"], rows: Int[Tensor, " V"]) -> Float[Tensor, "V 3"]:
        """The opposite of `to_cube`."""
        return to_camera(points, self.rays[rows], self.depths[rows])

    @property
    def rays(self) -> Float[Tensor, "N 3 3"]:
        """Takes (x, y, 1) of the cube to the point at depth 1 that is seen there."""
        rays: Tensor = torch.linalg.inv(self.K) @ pixels_from_cube(self.boxes)
        return rays


def pixels_from_cube(boxes: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """Takes (x, y, 1) of the cube to homogeneous pixels."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=SMALLEST) / 2
    matrix = torch.diag_embed(torch.cat((half, torch.ones_like(half[:, :1])), dim=1))
    matrix[:, :2, 2] = middle
    return matrix


def to_cube(
    points: Float[Tensor, "*#B 3"], frames: Float[Tensor, "*#B 3 3"], depths: Float[Tensor, "*#B 2"]
) -> Float[Tensor, "*B 3"]:
    """Camera frame to cube; `frames` take points to homogeneous (x, y) of the cube."""
    depth = points[..., 2:].clamp(min=NEAREST)
    seen = _times(frames, torch.cat((points[..., :2], depth), dim=-1))
    near, far = 1 / depths[..., :1], 1 / depths[..., 1:]
    z = 2 * (near - 1 / depth) / (near - far) - 1
    return torch.cat((seen[..., :2] / seen[..., 2:], z), dim=-1)


def to_camera(
    points: Float[Tensor, "*#B 3"], rays: Float[Tensor, "*#B 3 3"], depths: Float[Tensor, "*#B 2"]
) -> Float[Tensor, "*B 3"]:
    """Cube to camera frame; `rays` take (x, y, 1) of the cube to directions with z = 1."""
    flat = torch.cat((points[..., :2], torch.ones_like(points[..., 2:])), dim=-1)
    return _times(rays, flat) * depths_at(points[..., 2], depths)[..., None]


def depths_at(z: Float[Tensor, "*#B"], depths: Float[Tensor, "*#B 2"]) -> Float[Tensor, "*B"]:
    """The depth in metres of what has this z in the cube."""
    near, far = (1 / depths).unbind(dim=-1)
    return 1 / torch.maximum(near - (z + 1) / 2 * (near - far), far / FARTHEST)


def _times(matrix: Float[Tensor, "*#B 3 3"], vectors: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B 3"]:
    # For many small matrices a sum of products takes a fraction of the time of a batched matrix product.
    return (matrix * vectors[..., None, :]).sum(dim=-1)


def depth_ranges(
    center: Float[Tensor, " N"], extent: Float[Tensor, " N"], heights: Float[Tensor, " N"], focal: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """(near, far) in metres, around `center`.

    `extent` is that of the depth relative to the height of the box, `heights` in pixels, as the network predicts it:
    near and far differ by center * extent * height / focal. No range comes nearer than a tenth of its center.
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
    """The smallest `extent` of a range around `center` that holds all depths from `low` to `high`: see `depth_ranges`.

    The center is that of the 3D box, which is what is known when a mesh is placed; the middle of an object's own depths
    lies up to a fifth of their extent beside it.
    """
    half = torch.maximum(high - center, center - low)
    return 2 * half / center * focal / heights
