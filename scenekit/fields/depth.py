"""Depth maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scenekit.fields.base import ImageField
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
