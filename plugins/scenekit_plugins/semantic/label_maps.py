"""Label maps at full resolution from coarse logits.

Letters: L labels, h w cells of the logits, H W pixels of the result, R rows of a band.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures.geometry import Size

BAND = 64
"""Rows that are computed together: their logits stay in the cache, and those of large images never fill gigabytes."""


def best_labels(logits: Float[Tensor, "L h w"], stride: int, source: Size, size: Size) -> Int[Tensor, "H W"]:
    """Return the label with the greatest logit at each pixel.

    Logits are upsampled bilinearly by `stride`, cropped to `source` and resized bilinearly to `size`. All three are
    linear and separable, so that one matrix per axis does them at once.

    Args:
        logits: Logits of one image.
        stride: Network pixels per cell.
        source: Height and width of the image without padding, in network pixels.
        size: Height and width of the result, in pixels.

    Returns:
        The label map.
    """
    rows, columns = (
        _resampling(cells, stride, kept, pixels)
        for cells, kept, pixels in zip(logits.shape[1:], source, size, strict=True)
    )
    wide = logits @ columns.to(logits)
    return torch.cat([_first_greatest(_band(wide, weights)) for weights in torch.split(rows, BAND, dim=1)])


def _resampling(cells: int, stride: int, kept: int, pixels: int) -> Float[Tensor, "cells pixels"]:
    """Return the weight of each cell of an axis at each pixel: the resampled unit vectors."""
    upsampled = F.interpolate(torch.eye(cells)[None], scale_factor=float(stride), mode="linear")[:, :, :kept]
    return F.interpolate(upsampled, size=pixels, mode="linear")[0]


def _band(wide: Float[Tensor, "L h W"], weights: Float[Tensor, "h R"]) -> Float[Tensor, "L R W"]:
    """Compute rows of the result from the rows of cells that have a weight there."""
    used = weights.any(dim=1).nonzero()[:, 0]
    cells = slice(int(used[0]), int(used[-1]) + 1)
    return weights[cells].T.to(wide) @ wide[:, cells]


def _first_greatest(logits: Float[Tensor, "L R W"]) -> Int[Tensor, "R W"]:
    """Compute `logits.argmax(0)`, which on a CPU takes several times as long; label 0 where a logit is NaN."""
    falling = torch.arange(len(logits), 0, -1, dtype=torch.int16, device=logits.device)[:, None, None]
    top = ~(logits < logits.amax(dim=0))
    return len(logits) - (top * falling).amax(dim=0).long()
