"""Maps of an image [H W]: padded into a batch, moved with the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from scenekit.fields.base import Columns, Swatch
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary


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


def other_size(item: Tensor, size: Size) -> str | None:
    """Return what is wrong with a map whose first two sides are not those of the image; None where they are."""
    height, width = item.shape[:2]
    return None if (height, width) == tuple(size) else f"has {height} x {width} pixels"


def shares_of(ids: Int[Tensor, "H W"]) -> dict[int, float]:
    """Return the part of a map that each of its values covers."""
    values, counts = np.unique(ids.cpu().numpy(), return_counts=True)
    return {int(v): int(c) / ids.numel() for v, c in zip(values, counts, strict=True)}


def label_columns(shown: Sequence[tuple[Swatch, float]], vocabulary: Vocabulary) -> Columns:
    """Return the columns of a table of labels, each with its share of the image."""
    things = len(vocabulary.things)
    kinds = ["thing" if swatch.label is not None and swatch.label < things else "stuff" for swatch, _ in shown]
    shares = [f"{share:.1%}" for _, share in shown]
    return {"label": [swatch for swatch, _ in shown], "kind": kinds, "of image": shares}
