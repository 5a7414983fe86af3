"""Instance masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import Columns, Field, Frame, Shape, bitmaps_of, scattered
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.masks import Masks
from scenekit.structures.vocabulary import Vocabulary


class MaskField(Field[Tensor, Masks]):
    """Targets: uint8 [G H W] bitmaps in network pixels. On a board: float [N M M] probabilities in the box frame."""

    def scatter(self, item: Masks | Tensor, rows: Tensor, count: int) -> Masks | Tensor:
        if isinstance(item, Tensor):
            blank_between: Tensor = scattered(item, rows, count)
            return blank_between
        full = list(Masks.empty(count, item.size).rles)
        for row, rle in zip(rows.tolist(), item.rles, strict=True):
            full[row] = rle
        return Masks(tuple(full), item.size)

    def collate(self, items: Sequence[Masks], size: Size) -> Tensor:
        packed = torch.zeros((sum(map(len, items)), *size), dtype=torch.uint8)
        start = 0
        for item in items:
            packed[start : start + len(item), : item.size[0], : item.size[1]] = item.dense
            start += len(item)
        return packed

    def transform(self, item: Masks, geometry: Geometry, vocabulary: Vocabulary) -> Masks:
        return item.transformed(geometry)

    def columns(self, item: Masks, frame: Frame) -> Columns:
        return {"mask px": [f"{area:,.0f}" for area in item.area.tolist()]}

    def example(self, frame: Frame, shape: Shape = None) -> Masks:
        """The boxes themselves."""
        return Masks.from_dense(bitmaps_of(frame))

    def misplaced(self, item: Masks, frame: Frame) -> str | None:
        return None if item.size == frame.size else f"has {item.size[0]} x {item.size[1]} pixels"

    def encode(self, item: Masks, vocabulary: Vocabulary) -> Any:
        return item.to_json()

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Masks:
        return Masks.from_json(data, size)

    def describe(self, item: Masks, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """How many pixels there are."""
        return [{"area": area} for area in item.area.tolist()]
