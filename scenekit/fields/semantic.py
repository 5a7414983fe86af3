"""Semantic label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import ImageField
from scenekit.fields.maps import pad_maps, transform_map
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.masks import Masks
from scenekit.structures.vocabulary import Vocabulary

IGNORE = -1
"""Label of a pixel that says nothing."""


class SemanticField(ImageField[Tensor, Tensor]):
    """Labels [H W] int64, `IGNORE` where nothing is known; packed as [B H W]."""

    def collate(self, items: Sequence[Tensor], size: Size) -> Tensor:
        return pad_maps(items, size, IGNORE)

    def absent(self, size: Size) -> Tensor:
        return torch.full(size, IGNORE)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        return transform_map(item, geometry)

    def encode(self, item: Tensor, vocabulary: Vocabulary) -> Any:
        present = [label for label in torch.unique(item).tolist() if label != IGNORE]
        masks = Masks.from_dense(torch.stack([item == label for label in present])) if present else None
        rles = [] if masks is None else masks.to_json()
        labels = vocabulary.labels
        return [{"label": n, "name": labels[n], "mask": rle} for n, rle in zip(present, rles, strict=True)]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        labels = torch.full(size, IGNORE)
        for entry in data:
            labels[Masks.from_json([entry["mask"]], size).dense[0]] = entry["label"]
        return labels
