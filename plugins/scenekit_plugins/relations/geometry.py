"""Positions of objects and relative positions of pairs, as numbers of about one.

Letters: N objects of the batch, M ordered pairs, U different union boxes, S side of a raster, B images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures import Boxes3D, Regions

BOX_NUMBERS, PAIR_NUMBERS, SOLID_NUMBERS, SOLID_PAIR_NUMBERS = 8, 17, 8, 11


def box_numbers(regions: Regions, sizes: Sequence[tuple[int, int]]) -> Float[Tensor, "N 8"]:
    """Compute corners, center and log sides of each box in shares of its image.

    Args:
        regions: The boxes.
        sizes: Height and width of each image, in pixels.

    Returns:
        The numbers.
    """
    shares = regions.boxes / _sides(regions, sizes)
    middle, side = (shares[:, :2] + shares[:, 2:]) / 2, (shares[:, 2:] - shares[:, :2]).clamp(min=1e-4)
    return torch.cat((shares, middle, side.log()), dim=1)


def pair_numbers(
    regions: Regions, pairs: Int[Tensor, "M 2"], sizes: Sequence[tuple[int, int]]
) -> Float[Tensor, "M 17"]:
    """Compute the position of the object's box relative to the subject's.

    Offsets of the centers by the sides of one, of the other and of the image, ratios of the sides, differences of the
    edges, shares of the overlap, log areas. Unbounded ones are compressed by asinh.

    Args:
        regions: The boxes.
        pairs: Rows of subjects and objects.
        sizes: Height and width of each image, in pixels.

    Returns:
        The numbers.
    """
    shares = regions.boxes / _sides(regions, sizes)
    first, second = shares[pairs[:, 0]], shares[pairs[:, 1]]
    sides = [(box[:, 2:] - box[:, :2]).clamp(min=1e-4) for box in (first, second)]
    offset = (second[:, :2] + second[:, 2:] - first[:, :2] - first[:, 2:]) / 2
    areas = [side.prod(dim=1, keepdim=True) for side in sides]
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1, keepdim=True)
    overlaps = (shared / areas[0], shared / areas[1], shared / (areas[0] + areas[1] - shared))
    relative = torch.cat((offset / sides[0], offset / sides[1]), dim=1).asinh()
    ratios = (sides[1] / sides[0]).log()
    return torch.cat((relative, offset, ratios, second - first, *overlaps, areas[0].log(), areas[1].log()), dim=1)


def solid_numbers(boxes: Boxes3D | None, count: int, like: Tensor) -> Float[Tensor, "N 8"]:
    """Compute center (m), log distance and log size of each 3D box, and that it exists; zeros where it does not.

    Args:
        boxes: 3D boxes of the objects; None without the task.
        count: Number of objects.
        like: A tensor of the result's type and device.

    Returns:
        The numbers.
    """
    if boxes is None:
        return like.new_zeros((count, SOLID_NUMBERS))
    there = _exists(boxes)
    distance, size = boxes.center[:, 2:].clamp(min=1e-2).log(), boxes.size.clamp(min=1e-3).log()
    numbers = torch.cat((boxes.center, distance, size, torch.ones_like(distance)), dim=1)
    return numbers.masked_fill(~there[:, None], 0.0).to(like)


def solid_pair_numbers(boxes: Boxes3D | None, pairs: Int[Tensor, "M 2"], like: Tensor) -> Float[Tensor, "M 11"]:
    """Compute the position of the object's 3D box relative to the subject's; zeros where one is missing.

    Offset of the centers and gaps between the boxes along x, y and z (m, compressed by asinh; gaps are below 0 where
    they overlap), distance in x and z, its direction (cos, sin), the log of how much farther sideways than in depth,
    and that both exist.

    Args:
        boxes: 3D boxes of the objects; None without the task.
        pairs: Rows of subjects and objects.
        like: A tensor of the result's type and device.

    Returns:
        The numbers.
    """
    if boxes is None:
        return like.new_zeros((len(pairs), SOLID_PAIR_NUMBERS))
    there = _exists(boxes)[pairs].all(dim=1)
    centers, corners = boxes.center[pairs], boxes.corners
    low, high = corners.amin(dim=1)[pairs], corners.amax(dim=1)[pairs]
    offset = centers[:, 1] - centers[:, 0]
    gaps = torch.maximum(low[:, 1] - high[:, 0], low[:, 0] - high[:, 1])
    flat = offset[:, [0, 2]]
    distance, sides = flat.norm(dim=1, keepdim=True), flat.abs().clamp(min=0.02).log()
    bearing = (distance.asinh(), flat / distance.clamp(min=0.05), sides[:, :1] - sides[:, 1:])
    numbers = torch.cat((offset.asinh(), gaps.asinh(), *bearing, torch.ones_like(distance)), dim=1)
    return numbers.masked_fill(~there[:, None], 0.0).to(like)


def _exists(boxes: Boxes3D) -> Bool[Tensor, " N"]:
    """Return which rows are not blank."""
    return torch.cat((boxes.center, boxes.size, boxes.rotation.flatten(1)), dim=1).isfinite().all(dim=1)


def unions(regions: Regions, pairs: Int[Tensor, "M 2"]) -> tuple[Regions, Int[Tensor, " M"]]:
    """Compute the boxes around both objects of each pair, once for both orders (of padded objects for each pair).

    Args:
        regions: The boxes.
        pairs: Rows of subjects and objects.

    Returns:
        The union boxes, and the row there of each pair.
    """
    ends = pairs.sort(dim=1).values
    if regions.valid is not None:
        boxes = _around(regions, ends[:, 0], ends[:, 1])
        return replace(boxes, valid=regions.valid[ends].all(dim=1)), torch.arange(len(pairs), device=pairs.device)
    codes, rows = torch.unique(ends[:, 0] * len(regions) + ends[:, 1], return_inverse=True)
    count = max(len(regions), 1)
    a, b = torch.div(codes, count, rounding_mode="floor"), codes % count
    return _around(regions, a, b), rows


def _around(regions: Regions, a: Int[Tensor, " U"], b: Int[Tensor, " U"]) -> Regions:
    low = torch.minimum(regions.boxes[a, :2], regions.boxes[b, :2])
    high = torch.maximum(regions.boxes[a, 2:], regions.boxes[b, 2:])
    return Regions(torch.cat((low, high), dim=1), regions.image_index[a])


def pair_rasters(boxes: Float[Tensor, "N 4"], pairs: Int[Tensor, "M 2"], side: int) -> Float[Tensor, "M 2 side side"]:
    """Compute the share of each cell of the union box that belongs to the subject, and to the object.

    Args:
        boxes: The boxes.
        pairs: Rows of subjects and objects.
        side: Cells per side.

    Returns:
        The shares.
    """
    ends = boxes[pairs]
    low, high = ends[..., :2].amin(dim=1, keepdim=True), ends[..., 2:].amax(dim=1, keepdim=True)
    cells = (ends - torch.cat((low, low), dim=-1)) / torch.cat((high - low,) * 2, dim=-1).clamp(min=1e-4) * side
    edge = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    covered = [
        (torch.minimum(cells[..., axis + 2, None], edge + 1) - torch.maximum(cells[..., axis, None], edge)).clamp(0, 1)
        for axis in (0, 1)
    ]
    return covered[1][..., :, None] * covered[0][..., None, :]


def _sides(regions: Regions, sizes: Sequence[tuple[int, int]]) -> Float[Tensor, "N 4"]:
    """Return width, height, width, height of each row's image."""
    limits = regions.boxes.new_tensor([[width, height, width, height] for height, width in sizes])
    return limits[regions.image_index]
