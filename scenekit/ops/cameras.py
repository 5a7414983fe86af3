"""The pinhole camera as functions, for points of many cameras at once: pixels, depth, and turns seen along a ray.

Letters: *B any leading dimensions; K intrinsics in pixels.

The camera looks along z, x is right, y is down, in metres; a pixel is K X / z, and pixel (0, 0) covers [0, 1) x [0, 1).
Leading dimensions broadcast: one camera goes with many points, or each point with its own.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.rotations import hat

VIRTUAL_FOCAL = 512.0
"""The focal length, in pixels, of the camera in which Cube R-CNN counts depth."""

_FLIP = (-1.0, -1.0, 1.0)
"""Between x right, y down and pytorch3d's x left, y up."""


def project(points: Float[Tensor, "*#B 3"], K: Float[Tensor, "*#B 3 3"]) -> Float[Tensor, "*B 2"]:
    """Pixels of points in the camera frame. Points with z <= 0, beside or behind the camera, have no meaningful one."""
    homogeneous = _times(K, points)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def pixel_rays(pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]) -> Float[Tensor, "*B 3"]:
    """The points at depth 1 that are seen at these pixels."""
    return _times(torch.linalg.inv(K), F.pad(pixels, (0, 1), value=1.0))


def unproject(
    pixels: Float[Tensor, "*#B 2"], depth: Float[Tensor, "*#B"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3"]:
    """The points at `depth`, metres along z, that are seen at these pixels."""
    return pixel_rays(pixels, K) * depth[..., None]


def to_virtual_depth(
    depth: Float[Tensor, "*#B"],
    focal: Float[Tensor, "*#B"],
    height: Float[Tensor, "*#B"],
    virtual_height: Float[Tensor, "*#B"],
    virtual_focal: float = VIRTUAL_FOCAL,
) -> Float[Tensor, "*B"]:
    """The depth at which a virtual camera would see the same: metres times (virtual f / H) / (f / H).

    `focal` and `height` are those of the image, in the same pixels, and so are the virtual ones. What an object's
    size in the image says of its depth is then the same for all cameras. Brazil et al., Omni3D, CVPR 2023, eq. 2.
    """
    return depth * (virtual_focal * height) / (focal * virtual_height)


def from_virtual_depth(
    depth: Float[Tensor, "*#B"],
    focal: Float[Tensor, "*#B"],
    height: Float[Tensor, "*#B"],
    virtual_height: Float[Tensor, "*#B"],
    virtual_focal: float = VIRTUAL_FOCAL,
) -> Float[Tensor, "*B"]:
    """The metres of a virtual depth: the opposite of `to_virtual_depth`."""
    return depth * (focal * virtual_height) / (virtual_focal * height)


def allocentric_to_egocentric(
    rotation: Float[Tensor, "*#B 3 3"], pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3 3"]:
    """Rotations in the camera frame, of those relative to the ray on which the object is seen.

    Objects that look the same have the same allocentric rotation, wherever in the image they are; after it, the
    shortest rotation from the optical axis to the ray gives the egocentric one.
    """
    return _towards(pixel_rays(pixels, K)) @ rotation


def egocentric_to_allocentric(
    rotation: Float[Tensor, "*#B 3 3"], pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3 3"]:
    """Rotations relative to the ray through `pixels`, of those in the camera frame; see `allocentric_to_egocentric`."""
    return _towards(pixel_rays(pixels, K)).mT @ rotation


def from_pytorch3d(
    R: Float[Tensor, "*B 3 3"], T: Float[Tensor, "*B 3"]
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3"]]:
    """(Rotation, translation) with camera = rotation @ world + translation, of pytorch3d's world @ R + T.

    pytorch3d's camera, which is also that of Pix3D, has x left and y up.
    """
    flip = R.new_tensor(_FLIP)
    return flip[:, None] * R.mT, flip * T


def to_pytorch3d(
    rotation: Float[Tensor, "*B 3 3"], translation: Float[Tensor, "*B 3"]
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3"]]:
    """pytorch3d's (R, T), of camera = rotation @ world + translation."""
    flip = rotation.new_tensor(_FLIP)
    return (flip[:, None] * rotation).mT, flip * translation


def pixels_to_ndc(pixels: Float[Tensor, "*B 2"], size: tuple[int, int]) -> Float[Tensor, "*B 2"]:
    """pytorch3d's normalized coordinates: x left, y up, 0 in the middle, the shorter side from -1 to 1.

    `size` is (height, width).
    """
    height, width = size
    return (pixels.new_tensor([width, height]) - 2 * pixels) / min(size)


def ndc_to_pixels(ndc: Float[Tensor, "*B 2"], size: tuple[int, int]) -> Float[Tensor, "*B 2"]:
    """The opposite of `pixels_to_ndc`."""
    height, width = size
    return (ndc.new_tensor([width, height]) - ndc * min(size)) / 2


def _towards(rays: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The shortest rotations from the optical axis to rays, z > 0: 1 + V + V^2 / (1 + cos t), V = hat(axis sin t)."""
    unit = F.normalize(rays, dim=-1)
    x, y, z = unit.unbind(dim=-1)
    turn = hat(torch.stack((-y, x, torch.zeros_like(x)), dim=-1))  # the cross product of (0, 0, 1) and the ray
    return torch.eye(3).to(rays) + turn + (turn @ turn) / (1 + z)[..., None, None]


def _times(matrix: Tensor, vectors: Tensor) -> Tensor:
    return (matrix @ vectors[..., None])[..., 0]
