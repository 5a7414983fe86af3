"""Boxes moved along their rays to the depth that an image comes with.

Letters: N boxes, M side of a mask, S side of the grid of samples in a region, P samples of a region, B images, H W
pixels.

Depth is sampled on a grid in each region, inside of the object's mask. Each sample says where the center of the box is,
if the surface that the sample shows is that of the box: at its depth, plus the way from that surface to the center. The
band of the nearer samples decides, since masks reach over what is behind an object more often than over what is before
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.cameras import pixel_rays
from scenekit.structures import Boxes3D, ImageBatch, Regions

SIDE = 48
"""Samples along each side of a region."""

INSIDE = 0.5
"""Smallest probability of a mask."""

EROSION = 1
"""Samples at the border of a mask that do not count: there depth cameras show what is behind."""

SHRINKAGE = 0.25
"""Share of each side of a region that does not count at either end, where there is no mask."""

BAND = (0.25, 0.5)
"""Quantiles between which samples count."""

LEAST_PIXELS = 5
"""Pixels with depth that a box needs to be moved."""

SURFACE = 0.25
"""Where between the front of its box (0) and the middle (1) the surface of an object lies on average."""

START = 0.5
"""The same for a first estimate, along the optical axis."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Depth inside of each object."""

    depth: Float[Tensor, "N P"]
    """Metres along the optical axis."""
    counted: Bool[Tensor, "N P"]
    """Which samples have a depth and belong to the object."""
    rays: Float[Tensor, "N P 3"]
    """The points at depth 1 that project to the samples."""
    usable: Bool[Tensor, " N"]
    """Which objects have enough of them."""


def refined(
    boxes: Boxes3D,
    regions: Regions,
    images: ImageBatch,
    depth: Float[Tensor, "B 1 H W"],
    masks: Float[Tensor, "N M M"] | None,
) -> Boxes3D:
    """Move boxes along their rays so that their visible surface lies at the depth of the image.

    Sizes, rotations, scores and the pixels of the centers stay as they are; so do boxes of images without depth, and
    those with fewer than `LEAST_PIXELS` pixels of it.

    Args:
        boxes: Boxes in the camera frame.
        regions: Their regions, in network pixels.
        images: The batch.
        depth: Metres along the optical axis, NaN for none.
        masks: Probabilities in the frame of the regions; None without masks, where the middle of a region stands in.

    Returns:
        The boxes.
    """
    samples = samples_of(regions, images, depth, masks)
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


def samples_of(
    regions: Regions, images: ImageBatch, depth: Float[Tensor, "B 1 H W"], masks: Float[Tensor, "N M M"] | None
) -> Samples:
    """Sample depth on a grid in each region.

    Args:
        regions: Regions in network pixels.
        images: The batch.
        depth: Metres along the optical axis, NaN for none.
        masks: Probabilities in the frame of the regions, if any.

    Returns:
        The samples.
    """
    boxes = regions.boxes.float()
    x, y = grid(boxes, SIDE)
    values = depth_in_regions(regions, depth, SIDE).flatten(1)
    counted = (_inside(masks, len(boxes), boxes.device).flatten(1)) & (values > 0) & values.isfinite()
    columns, rows = x[:, None, :].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)
    pixels = torch.stack((columns, rows), dim=-1).flatten(1, 2)
    rays = pixel_rays(pixels, images.intrinsics[regions.image_index][:, None])
    # A pixel that several samples show is one pixel.
    share = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1) / SIDE**2).clamp(max=1)
    return Samples(values, counted, rays, counted.sum(dim=1) * share >= LEAST_PIXELS)


def grid(boxes: Float[Tensor, "N 4"], side: int) -> tuple[Float[Tensor, "N S"], Float[Tensor, "N S"]]:
    """Return the middles of the cells of regions that are divided into S x S.

    Args:
        boxes: Boxes of the regions.
        side: Cells along each side.

    Returns:
        x of the columns and y of the rows, in pixels.
    """
    places = (torch.arange(side, device=boxes.device) + 0.5) / side
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    return boxes[:, :1] + places * sides[:, :1], boxes[:, 1:2] + places * sides[:, 1:]


def depth_in_regions(regions: Regions, depth: Float[Tensor, "B 1 H W"], side: int) -> Float[Tensor, "N S S"]:
    """Return the depth of the pixel in the middle of each cell of regions that are divided into S x S.

    Args:
        regions: Regions in network pixels.
        depth: Metres along the optical axis, NaN for none.
        side: Cells along each side.

    Returns:
        Depth, in metres.
    """
    x, y = grid(regions.boxes.float(), side)
    height, width = depth.shape[-2:]
    column, row = x.floor().long().clamp(0, width - 1), y.floor().long().clamp(0, height - 1)
    return depth[regions.image_index[:, None, None], 0, row[:, :, None], column[:, None, :]].float()


def _inside(masks: Float[Tensor, "N M M"] | None, count: int, device: torch.device) -> Bool[Tensor, "N S S"]:
    """Mark the samples inside of each object, without the border of its mask; of a mask that is all border, with it."""
    if masks is None:
        margin = round(SHRINKAGE * SIDE)
        middle = torch.zeros((count, SIDE, SIDE), dtype=torch.bool, device=device)
        middle[:, margin : SIDE - margin, margin : SIDE - margin] = True
        return middle
    fine = F.interpolate(masks[:, None].float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    outside = F.pad((fine < INSIDE).float(), [EROSION] * 4, value=1.0)
    eroded = F.max_pool2d(outside, 2 * EROSION + 1, stride=1)[:, 0] == 0
    whole: Bool[Tensor, "N S S"] = fine[:, 0] >= INSIDE
    return torch.where(eroded.flatten(1).any(dim=1)[:, None, None], eroded, whole)


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
