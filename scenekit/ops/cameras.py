"""The pinhole camera as functions on points of many cameras: pixels, depth, and rotations relative to a viewing ray.

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
"""The focal length, in pixels, of the virtual camera of Cube R-CNN."""

_FLIP = (-1.0, -1.0, 1.0)
"""Between x right, y down and pytorch3d's x left, y up."""


def project(points: Float[Tensor, "*#B 3"], K: Float[Tensor, "*#B 3 3"]) -> Float[Tensor, "*B 2"]:
    """Project points to pixels.

    Args:
        points: Points in the camera frame, in metres. The pixels of points with z <= 0 are meaningless.
        K: Intrinsics in pixels.

    Returns:
        Pixels (x, y).
    """
    homogeneous = _times(K, points)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def pixel_rays(pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Compute the points at depth 1 on the viewing rays of pixels.

    Args:
        pixels: Pixels (x, y).
        K: Intrinsics in pixels.

    Returns:
        Points in the camera frame with z = 1.
    """
    return _times(torch.linalg.inv(K), F.pad(pixels, (0, 1), value=1.0))


def unproject(
    pixels: Float[Tensor, "*#B 2"], depth: Float[Tensor, "*#B"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3"]:
    """Compute the points at which pixels with a known depth look.

    Args:
        pixels: Pixels (x, y).
        depth: Metres along z.
        K: Intrinsics in pixels.

    Returns:
        Points in the camera frame, in metres.
    """
    return pixel_rays(pixels, K) * depth[..., None]


def to_virtual_depth(
    depth: Float[Tensor, "*#B"],
    focal: Float[Tensor, "*#B"],
    height: Float[Tensor, "*#B"],
    virtual_height: Float[Tensor, "*#B"],
    virtual_focal: float = VIRTUAL_FOCAL,
) -> Float[Tensor, "*B"]:
    """Convert depth to that of a virtual camera with the same image: metres times (virtual f / H) / (f / H).

    The relation between an object's size in the image and its virtual depth is the same for all cameras. Brazil et al.,
    Omni3D, CVPR 2023, eq. 2.

    Args:
        depth: Depth in metres.
        focal: Focal length of the camera, in pixels of its image.
        height: Height of the image in the same pixels.
        virtual_height: Height of the virtual camera's image in pixels.
        virtual_focal: Focal length of the virtual camera in pixels.

    Returns:
        Virtual depth in metres.
    """
    return depth * (virtual_focal * height) / (focal * virtual_height)


def from_virtual_depth(
    depth: Float[Tensor, "*#B"],
    focal: Float[Tensor, "*#B"],
    height: Float[Tensor, "*#B"],
    virtual_height: Float[Tensor, "*#B"],
    virtual_focal: float = VIRTUAL_FOCAL,
) -> Float[Tensor, "*B"]:
    """Convert virtual depth to metres; the inverse of `to_virtual_depth`.

    Args:
        depth: Virtual depth in metres.
        focal: Focal length of the camera, in pixels of its image.
        height: Height of the image in the same pixels.
        virtual_height: Height of the virtual camera's image in pixels.
        virtual_focal: Focal length of the virtual camera in pixels.

    Returns:
        Depth in metres.
    """
    return depth * (focal * virtual_height) / (virtual_focal * height)


def allocentric_to_egocentric(
    rotation: Float[Tensor, "*#B 3 3"], pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3 3"]:
    """Convert rotations relative to the viewing ray of an object to rotations in the camera frame.

    Objects with the same appearance have the same allocentric rotation, wherever in the image they are; followed by the
    shortest rotation from the optical axis to the ray it is the egocentric one.

    Args:
        rotation: Allocentric rotations.
        pixels: The pixel (x, y) through which the viewing ray of each object passes.
        K: Intrinsics in pixels.

    Returns:
        Egocentric rotations: camera from object.
    """
    return _towards(pixel_rays(pixels, K)) @ rotation


def egocentric_to_allocentric(
    rotation: Float[Tensor, "*#B 3 3"], pixels: Float[Tensor, "*#B 2"], K: Float[Tensor, "*#B 3 3"]
) -> Float[Tensor, "*B 3 3"]:
    """Convert rotations in the camera frame to rotations relative to the viewing ray; see `allocentric_to_egocentric`.

    Args:
        rotation: Egocentric rotations: camera from object.
        pixels: The pixel (x, y) through which the viewing ray of each object passes.
        K: Intrinsics in pixels.

    Returns:
        Allocentric rotations.
    """
    return _towards(pixel_rays(pixels, K)).mT @ rotation


def from_pytorch3d(
    R: Float[Tensor, "*B 3 3"], T: Float[Tensor, "*B 3"]
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3"]]:
    """Convert extrinsics from pytorch3d's convention, world @ R + T with x left and y up, which Pix3D also uses.

    Args:
        R: pytorch3d's rotations.
        T: pytorch3d's translations, in metres.

    Returns:
        (rotation, translation) with camera = rotation @ world + translation, x right and y down.
    """
    flip = R.new_tensor(_FLIP)
    return flip[:, None] * R.mT, flip * T


def to_pytorch3d(
    rotation: Float[Tensor, "*B 3 3"], translation: Float[Tensor, "*B 3"]
) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3"]]:
    """Convert extrinsics to pytorch3d's convention; the inverse of `from_pytorch3d`.

    Args:
        rotation: Rotations of camera = rotation @ world + translation.
        translation: Translations in metres.

    Returns:
        pytorch3d's (R, T).
    """
    flip = rotation.new_tensor(_FLIP)
    return (flip[:, None] * rotation).mT, flip * translation


def pixels_to_ndc(pixels: Float[Tensor, "*B 2"], size: tuple[int, int]) -> Float[Tensor, "*B 2"]:
    """Convert pixels to pytorch3d's normalized coordinates: x left, y up, 0 in the middle, the shorter side -1 to 1.

    Args:
        pixels: Pixels (x, y).
        size: (height, width) of the image in pixels.

    Returns:
        Normalized device coordinates.
    """
    height, width = size
    return (pixels.new_tensor([width, height]) - 2 * pixels) / min(size)


def ndc_to_pixels(ndc: Float[Tensor, "*B 2"], size: tuple[int, int]) -> Float[Tensor, "*B 2"]:
    """Convert pytorch3d's normalized coordinates to pixels; the inverse of `pixels_to_ndc`.

    Args:
        ndc: Normalized device coordinates.
        size: (height, width) of the image in pixels.

    Returns:
        Pixels (x, y).
    """
    height, width = size
    return (ndc.new_tensor([width, height]) - ndc * min(size)) / 2


def _towards(rays: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Return the shortest rotations from the optical axis to rays, z > 0.

    1 + V + V^2 / (1 + cos t) with V = hat(axis sin t).
    """
    unit = F.normalize(rays, dim=-1)
    x, y, z = unit.unbind(dim=-1)
    turn = hat(torch.stack((-y, x, torch.zeros_like(x)), dim=-1))  # the cross product of (0, 0, 1) and the ray
    return torch.eye(3).to(rays) + turn + (turn @ turn) / (1 + z)[..., None, None]


def _times(matrix: Tensor, vectors: Tensor) -> Tensor:
    return (matrix @ vectors[..., None])[..., 0]
