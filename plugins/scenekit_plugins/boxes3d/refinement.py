"""Boxes moved along their rays to the depth that an image comes with.

Letters: N boxes, P samples of a region.

Each sample inside of an object says where the center of its box is, if the surface that the sample shows is that of the
box: at its depth, plus the way from that surface to the center. The band of the nearer samples decides, since masks
reach over what is behind an object more often than over what is before it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.structures import Boxes3D
from scenekit_plugins.depth_samples import Samples

BAND = (0.25, 0.5)
"""Quantiles between which samples count."""

SURFACE = 0.25
"""Where between the front of its box (0) and the middle (1) the surface of an object lies on average."""

START = 0.5
"""The same for a first estimate, along the optical axis."""


def refined(boxes: Boxes3D, samples: Samples) -> Boxes3D:
    """Move boxes along their rays so that their visible surface lies at the depth of the image.

    Sizes, rotations, scores and the pixels of the centers stay as they are; so do boxes whose samples are not usable.

    Args:
        boxes: Boxes in the camera frame.
        samples: Depth inside of their objects.

    Returns:
        The boxes.
    """
    extent = (boxes.rotation.abs() @ _half_sizes(boxes)[..., None])[:, 2, 0]
    first = band_mean(samples.depth, samples.counted) + START * extent
    placed = at_depth(boxes, torch.where(samples.usable, first, boxes.center[:, 2]))
    near, far, hit = crossings(placed, samples.rays)
    surface = near + SURFACE * (far - near) / 2
    # Where the center is if the surface of the box is at the depth of a sample.
    centers = samples.depth - surface + placed.center[:, 2:]
    counted = samples.counted & hit
    z = torch.where(counted.any(dim=1), band_mean(centers, counted), placed.center[:, 2])
    moved = samples.usable & z.isfinite() & (z > 0)
    return at_depth(boxes, torch.where(moved, z, boxes.center[:, 2]))


def band_mean(values: Float[Tensor, "N P"], counted: Bool[Tensor, "N P"]) -> Float[Tensor, " N"]:
    """Compute the mean of the values between the quantiles of `BAND`.

    Args:
        values: Values of each row.
        counted: Which of them count.

    Returns:
        A mean for each row; NaN where none counts.
    """
    ordered = values.masked_fill(~counted, torch.inf).sort(dim=1).values
    last = counted.sum(dim=1, keepdim=True) - 1
    rank = torch.arange(values.shape[1], device=values.device)
    inside = (rank >= (BAND[0] * last).floor()) & (rank <= (BAND[1] * last).floor())
    return ordered.masked_fill(~inside, 0).sum(dim=1) / inside.sum(dim=1).where(last[:, 0] >= 0, torch.nan)


def crossings(
    boxes: Boxes3D, rays: Float[Tensor, "N P 3"]
) -> tuple[Float[Tensor, "N P"], Float[Tensor, "N P"], Bool[Tensor, "N P"]]:
    """Compute where rays enter and leave their box, by the slabs between its faces.

    Args:
        boxes: Boxes in the camera frame.
        rays: Points at depth 1.

    Returns:
        Depths at which each ray enters and leaves, in metres, and whether it meets the box in front of the camera.
    """
    half = _half_sizes(boxes)[:, None]
    direction = rays @ boxes.rotation
    center = boxes.center[:, None] @ boxes.rotation
    direction = torch.where(direction.abs() < 1e-9, 1e-9, direction)
    first, second = (center - half) / direction, (center + half) / direction
    near, far = torch.minimum(first, second).amax(dim=2), torch.maximum(first, second).amin(dim=2)
    return near, far, (far > near) & (near > 0)


def at_depth(boxes: Boxes3D, z: Float[Tensor, " N"]) -> Boxes3D:
    """Move boxes along the rays through their centers.

    Args:
        boxes: Boxes in the camera frame.
        z: Depths of their centers, in metres.

    Returns:
        The boxes; those that have their depth already, or none from which a ray follows, to the bit.
    """
    stays = (z == boxes.center[:, 2]) | (boxes.center[:, 2] == 0)
    center = boxes.center * (z / boxes.center[:, 2])[:, None]
    return replace(boxes, center=torch.where(stays[:, None], boxes.center, center))


def _half_sizes(boxes: Boxes3D) -> Float[Tensor, "N 3"]:
    """Return half of length, height and width: along the object's x, y and z."""
    return boxes.size.flip(-1) / 2
