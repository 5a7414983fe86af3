"""From coarse logits to a map of labels at full resolution.

Letters: L labels, h w cells of the logits, H W pixels of the result, R rows of a band.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures.geometry import Size

BAND = 64
"""Rows that are looked at together: their logits stay in the cache, and those of a photograph never fill gigabytes."""


def best_labels(logits: Float[Tensor, "L h w"], stride: int, source: Size, size: Size) -> Int[Tensor, "H W"]:
    """The label with the greatest logit at each pixel, after bilinear upsampling by `stride`, cutting to `source` and
    bilinear resizing to `size`.

    All three are linear and treat rows and columns apart, so that one matrix per axis does them at once.
    """
    rows, columns = (
        _resampling(cells, stride, kept, pixels)
        for cells, kept, pixels in zip(logits.shape[1:], source, size, strict=True)
    )
    wide = logits @ columns.to(logits)
    return torch.cat([_first_greatest(_band(wide, weights)) for weights in torch.split(rows, BAND, dim=1)])


def _resampling(cells: int, stride: int, kept: int, pixels: int) -> Float[Tensor, "cells pixels"]:
    """How much each cell of an axis counts at each pixel: what becomes of the unit vectors."""
    upsampled = F.interpolate(torch.eye(cells)[None], scale_factor=float(stride), mode="linear")[:, :, :kept]
    return F.interpolate(upsampled, size=pixels, mode="linear")[0]


def _band(wide: Float[Tensor, "L h W"], weights: Float[Tensor, "h R"]) -> Float[Tensor, "L R W"]:
    """Rows of the result, out of the few rows of cells that count there."""
    used = weights.any(dim=1).nonzero()[:, 0]
    cells = slice(int(used[0]), int(used[-1]) + 1)
    return weights[cells].T.to(wide) @ wide[:, cells]


def _first_greatest(logits: Float[Tensor, "L R W"]) -> Int[Tensor, "R W"]:
    """`logits.argmax(0)`, which on a CPU takes several times as long; label 0 where a logit is NaN."""
    falling = torch.arange(len(logits), 0, -1, dtype=torch.int16, device=logits.device)[:, None, None]
    top = ~(logits < logits.amax(dim=0))
    return len(logits) - (top * falling).amax(dim=0).long()
