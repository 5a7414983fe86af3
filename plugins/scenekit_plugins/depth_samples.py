"""Depth inside of objects, on a grid of samples in each region.

Letters: N regions, M side of a mask, S side of the grid of samples in a region, P samples of a region, B images, H W
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.keys import MASKS, OBJECTS
from scenekit.model.board import Board
from scenekit.ops.cameras import pixel_rays
from scenekit.ops.rng import generator
from scenekit.structures import ImageBatch, Regions

DEPTH_INPUT = "depth"
"""The modality, by its name in `ImageBatch.inputs`."""

SIDE = 48
"""Samples along each side of a region."""

INSIDE = 0.5
"""Smallest probability of a mask."""

EROSION = 1
"""Samples at the border of a mask that do not count: there depth cameras show what is behind."""

SHRINKAGE = 0.25
"""Share of each side of a region that does not count at either end, where there is no mask."""

LEAST_PIXELS = 5
"""Pixels with depth that an object needs for its depth to be used."""

SCALE_ERROR, PIXEL_ERROR = 0.03, 0.05
"""Standard deviation of the error of scale of a training image, and largest one of the error of each pixel."""

LEAST_SHARE, WHOLE = 0.01, 0.5
"""Least share of the pixels of a training image that keep their depth, and share of the images whose pixels all do."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Depth inside of each object."""

    depth: Float[Tensor, "N P"]
    """Metres along the optical axis."""
    counted: Bool[Tensor, "N P"]
    """Which samples have a depth and belong to the object."""
    inside: Bool[Tensor, "N P"]
    """Which samples belong to the object."""
    rays: Float[Tensor, "N P 3"]
    """The points at depth 1 that project to the samples."""
    usable: Bool[Tensor, " N"]
    """Which objects have enough of them."""

    def __getitem__(self, rows: Int[Tensor, " M"]) -> Samples:
        return Samples(**{name: value[rows] for name, value in vars(self).items()})


def object_samples(board: Board) -> Samples | None:
    """Sample the depth that images come with inside of the objects; in training it is spoilt.

    Args:
        board: The board of a head that may read objects, masks and depth.

    Returns:
        The samples; None where images come without depth.
    """
    depth = board.images.inputs.get(DEPTH_INPUT)
    if depth is None:
        return None
    return samples_of(board[OBJECTS], board.images, spoilt(depth, board.images.seeds), object_masks(board))


def object_masks(board: Board) -> Float[Tensor, "N M M"] | None:
    """Return the masks of the objects, as probabilities in the frame of the regions.

    Args:
        board: The board.

    Returns:
        The masks; None where the board has none.
    """
    return board[MASKS] if MASKS in board else None  # noqa: SIM401  # a board is no dict


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
    inside = _inside(masks, len(boxes), boxes.device).flatten(1)
    counted = inside & (values > 0) & values.isfinite()
    columns, rows = x[:, None, :].expand(-1, SIDE, -1), y[:, :, None].expand(-1, -1, SIDE)
    pixels = torch.stack((columns, rows), dim=-1).flatten(1, 2)
    rays = pixel_rays(pixels, images.intrinsics[regions.image_index][:, None])
    # A pixel that several samples show is one pixel.
    share = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1) / SIDE**2).clamp(max=1)
    return Samples(values, counted, inside, rays, counted.sum(dim=1) * share >= LEAST_PIXELS)


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


def spoilt(depth: Float[Tensor, "B 1 H W"], seeds: tuple[int, ...] | None) -> Float[Tensor, "B 1 H W"]:
    """Return depth as sensors might have measured it, so that networks learn to be robust.

    Each image gets an error of scale, an error of each pixel, and pixels without depth.

    Args:
        depth: Metres along the optical axis, NaN for none.
        seeds: Seeds of training images, which decide; None outside of training, where depth stays as it is.

    Returns:
        The depth.
    """
    if seeds is None:
        return depth
    sources = [generator(seed, "depth") for seed in seeds]
    return torch.stack([_spoilt_image(image, source) for image, source in zip(depth, sources, strict=True)])


def _spoilt_image(depth: Float[Tensor, "1 H W"], source: torch.Generator) -> Float[Tensor, "1 H W"]:
    pixel, whole, share = torch.rand(3, generator=source).tolist()
    factor = 1 + SCALE_ERROR * float(torch.randn((), generator=source))
    noise = 1 + pixel**3 * PIXEL_ERROR * torch.randn(depth.shape, generator=source)
    lost = torch.rand(depth.shape, generator=source) >= (1.0 if whole < WHOLE else LEAST_SHARE**share)
    measured: Tensor = depth * factor * noise.to(depth)
    return measured.masked_fill(lost.to(depth.device), torch.nan)


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
