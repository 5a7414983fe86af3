"""Depth maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from scenekit.fields.base import Frame, ImageField, Issue, Validated
from scenekit.fields.maps import pad_maps, transform_map
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

    def validate(self, item: Tensor, frame: Frame) -> Validated:
        """Make values that are infinite or not above 0 unknown."""
        faulty = (item <= 0) | item.isinf()
        if not bool(faulty.any()):
            return Validated(item)
        kind = "depth maps with values that are infinite or not above 0"
        message = f"{int(faulty.sum())} of {item.numel()} pixels are; expected metres, or NaN for unknown"
        return Validated(torch.where(faulty, torch.nan, item), None, [Issue(kind, message)])

    def warnings(self, item: Tensor, frame: Frame) -> Iterator[Issue]:
        """Yield a map without a value."""
        if bool(item.isnan().all()):
            yield Issue("depth maps without a value", "every pixel is unknown")
