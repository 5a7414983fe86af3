"""Panoptic segments and their map."""

from __future__ import annotations

from typing import Any

import torch

from scenekit.fields.base import Columns, Frame, ImageField, Shape, Swatch, bitmaps_of, rows_in
from scenekit.fields.maps import label_columns, other_size, shares_of, transform_map
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

    def columns(self, item: Panoptic, frame: Frame) -> Columns:
        """The segments with their share of the image, the largest first."""
        share = shares_of(item.ids)
        segments = sorted(item.segments, key=lambda segment: -share.get(segment.id, 0.0))
        shown = [(Swatch(frame.vocabulary.labels[s.label], s.label, s.object), share.get(s.id, 0.0)) for s in segments]
        return label_columns(shown, frame.vocabulary)

    def example(self, frame: Frame, shape: Shape = None) -> Panoptic:
        """Every object is a segment; what is left belongs to the last kind of stuff."""
        last, objects = len(frame.vocabulary.labels) - 1, rows_in(frame)
        ids, segments = torch.ones(frame.size, dtype=torch.int64), []
        if frame.vocabulary.stuff:
            segments.append(Segment(1, last, is_thing=False))
        for row, bitmap in enumerate(bitmaps_of(frame)):
            ids[bitmap] = row + 2
            segments.append(Segment(row + 2, int(objects.labels[row]), is_thing=True, object=row))
        return Panoptic(ids, tuple(segments))

    def misplaced(self, item: Panoptic, frame: Frame) -> str | None:
        return other_size(item.ids, frame.size)

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
