"""Maps of an image [H W]: padded into a batch, moved with the image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.structures.geometry import Geometry, Size


def pad_maps(maps: Sequence[Tensor], size: Size, value: int | float) -> Tensor:
    """Stack [h w] maps into [B H W], filled up with `value` at the right and bottom."""
    packed = maps[0].new_full((len(maps), *size), value)
    for row, item in zip(packed, maps, strict=True):
        row[: item.shape[0], : item.shape[1]] = item
    return packed


def transform_map(item: Tensor, geometry: Geometry) -> Tensor:
    """A map of labels or measures follows the image (nearest neighbour, so that no new values appear)."""
    x0, y0, x1, y1 = geometry.window
    cut = item[y0:y1, x0:x1]
    if tuple(cut.shape) != geometry.size:
        nearest_exact = tv.InterpolationMode.NEAREST_EXACT
        cut = tv.resize(cut[None].double(), list(geometry.size), interpolation=nearest_exact)[0].to(item.dtype)
    return cut.flip(-1) if geometry.mirrored else cut
