"""Peaks of heat maps at the resolution of their boxes, with shapes that do not depend on the boxes.

Letters: N regions, K points, M side of a heat map, T cells of a padded map, P Q R pixels that are looked at.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

BICUBIC = -0.75
"""The parameter of bicubic resampling, as in torch."""

DENSITY = 2
"""Pixels that are compared first, for each cell along an axis."""

REACH = 2
"""Cells to each side that bicubic resampling reads."""


def heatmap_peaks(
    maps: Float[Tensor, "N K M M"], boxes: Float[Tensor, "N 4"], longest: int
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
    """Find the peaks that torchvision's `heatmaps_to_keypoints` finds in maps resampled to the pixels of their boxes.

    First the pixels nearest to the centers of the cells are compared: in boxes of at most M pixels a side these are all
    of them. Then all pixels around the best one are compared, as far as the next cell. The result is another one only
    where a map has two separate peaks of nearly equal height.

    Args:
        maps: Heat maps.
        boxes: Boxes of the maps, xyxy in pixels.
        longest: Longest side of a box, in pixels.

    Returns:
        Peaks in pixels of the image, and their heights.
    """
    side = maps.shape[-1]
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    pixels = sizes.ceil()[:, :, None, None]  # of each axis; the last dimensions are points and pixels
    padded = F.pad(maps, (REACH,) * 4, mode="replicate")
    compared = torch.arange(DENSITY * side, device=maps.device)
    coarse = ((compared + 0.5) * pixels / (DENSITY * side)).floor()
    best, _ = _highest(padded, coarse, pixels, side)
    reach = math.ceil(longest / side)
    around = torch.arange(-reach, reach + 1, device=maps.device)
    fine = (best.movedim(-1, 1)[..., None] + around).clamp(min=0).minimum(pixels - 1)
    best, heights = _highest(padded, fine, pixels, side)
    corrections = (sizes / sizes.ceil())[:, None]
    return (best + 0.5) * corrections + boxes[:, None, :2], heights


def _highest(
    padded: Float[Tensor, "N K T T"], places: Float[Tensor, "N 2 #K P"], pixels: Float[Tensor, "N 2 1 1"], side: int
) -> tuple[Float[Tensor, "N K 2"], Float[Tensor, "N K"]]:
    """Return the pixel (x, y) of the greatest value among rows and columns of pixels, and the value."""
    x, y = places.unbind(1)
    across, down = (_weights(at, pixels[:, axis], side) for axis, at in enumerate((x, y)))
    values = (down @ padded @ across.mT).flatten(2)
    heights, best = values.max(dim=2)
    at = torch.stack((best % x.shape[-1], best // x.shape[-1]), dim=1)[..., None]
    return places.expand(-1, -1, padded.shape[1], -1).gather(3, at)[..., 0].movedim(1, -1), heights


def _weights(places: Float[Tensor, "N _ P"], pixels: Float[Tensor, "N 1 1"], side: int) -> Float[Tensor, "N _ P T"]:
    """Return the weight of each cell, the padding included, at pixels of an axis (Keys, 1981, eq. 15)."""
    at = (places + 0.5) * (side / pixels) - 0.5
    cells = torch.arange(-REACH, side + REACH, device=at.device)
    far = (at[..., None] - cells).abs()
    near = ((BICUBIC + 2) * far - (BICUBIC + 3)) * far * far + 1
    beyond = ((BICUBIC * far - 5 * BICUBIC) * far + 8 * BICUBIC) * far - 4 * BICUBIC
    return torch.where(far <= 1, near, torch.where(far < 2, beyond, 0.0))
