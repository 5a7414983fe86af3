"""Depth maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.fields.base import ImageField, Shape
from scenekit.fields.frame import Columns, Frame, Issue, Validated
from scenekit.fields.maps import other_size, pad_maps, transform_map
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary


class DepthField(ImageField[Tensor, Tensor]):
    """Metres along the optical axis [H W], NaN where unknown; packed as [B H W]."""

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        return pad_maps(items, size, torch.nan)

    def absent(self, size: Size) -> Tensor:
        return torch.full(size, torch.nan)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return transform_map(item, geometry)

    def columns(self, item: Tensor, frame: Frame) -> Columns:
        """Return the least and the largest depth in metres."""
        known = item[item.isfinite()]
        return {"": [f"{float(known.min()):.2f} to {float(known.max()):.2f} m" if len(known) else "unknown"]}

    def example(self, frame: Frame, shape: Shape = None) -> Float[Tensor, "H W"]:
        return torch.linspace(5.0, 1.0, frame.size[0])[:, None].repeat(1, frame.size[1])

    def misplaced(self, item: Tensor, frame: Frame) -> str | None:
        return other_size(item, frame.size)

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Set values that are infinite or not above 0 to unknown."""
        invalid = (item <= 0) | item.isinf()
        if not bool(invalid.any()):
            return Validated(item)
        kind = "depth maps with values that are infinite or not above 0"
        message = f"{int(invalid.sum())} of {item.numel()} pixels are; expected metres, or NaN for unknown"
        return Validated(torch.where(invalid, torch.nan, item), None, [Issue(kind, message)])

    def warnings(self, item: Tensor, frame: Frame) -> Iterator[Issue]:
        """Yield a map without a value."""
        if bool(item.isnan().all()):
            yield Issue("depth maps without a value", "every pixel is unknown")
