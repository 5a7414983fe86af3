"""Panoptic segments and their map."""

from __future__ import annotations

from typing import Any

import torch

from scenekit.fields.base import ImageField
from scenekit.fields.maps import transform_map
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.masks import Masks
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.structures.vocabulary import Vocabulary


class PanopticField(ImageField[list[Panoptic], Panoptic]):
    """Segments and their map."""

    def transform(self, item: Panoptic, geometry: Geometry, vocabulary: Vocabulary) -> Panoptic:
        ids = transform_map(item.ids, geometry)
        present = set(torch.unique(ids).tolist())
        return Panoptic(ids, tuple(segment for segment in item.segments if segment.id in present))

    def encode(self, item: Panoptic, vocabulary: Vocabulary) -> Any:
        if not item.segments:
            return []
        rles = Masks.from_dense(torch.stack([item.ids == segment.id for segment in item.segments])).to_json()
        return [
            {**vars(segment), "name": vocabulary.labels[segment.label], "mask": rle}
            for segment, rle in zip(item.segments, rles, strict=True)
        ]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Panoptic:
        ids, segments = torch.zeros(size, dtype=torch.int64), []
        for entry in data:
            segments.append(Segment(**{k: v for k, v in entry.items() if k not in ("name", "mask")}))
            ids[Masks.from_json([entry["mask"]], size).dense[0]] = entry["id"]
        return Panoptic(ids, tuple(segments))
