"""Instance masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.fields.base import Field, Shape
from scenekit.fields.bounds import slack
from scenekit.fields.conversion import scattered
from scenekit.fields.frame import Columns, Frame, Issue, Validated, bitmaps_of
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.masks import Masks
from scenekit.structures.tensors import row_numbers
from scenekit.structures.vocabulary import Vocabulary


class MaskField(Field[Tensor, Masks]):
    """Targets: uint8 [G H W] bitmaps in network pixels. On a board: float [N M M] probabilities in the box frame.

    Args:
        amodal: Whether masks include hidden parts, which lie outside the box of what is visible.
    """

    def __init__(self, amodal: bool = False) -> None:
        super().__init__(dims=3)
        self.bounds_regions = not amodal

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
        """Return the boxes themselves."""
        return Masks.from_dense(bitmaps_of(frame))

    def misplaced(self, item: Masks, frame: Frame) -> str | None:
        return None if item.size == frame.size else f"has {item.size[0]} x {item.size[1]} pixels"

    def encode(self, item: Masks, vocabulary: Vocabulary) -> Any:
        return item.to_json()

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Masks:
        return Masks.from_json(data, size)

    def describe(self, item: Masks, vocabulary: Vocabulary, threshold: float) -> list[Any]:
        """Return the area of each mask, in pixels."""
        return [{"area": area} for area in item.area.tolist()]

    def extent(self, item: Masks) -> tuple[Float[Tensor, "N 4"], Float[Tensor, " N"]]:
        """Return the tightest box and the area of each mask."""
        return item.boxes, item.area

    def validate(self, item: Masks, frame: Frame) -> Validated:
        """Drop masks of another size than the image."""
        if tuple(item.size) == tuple(frame.size):
            return Validated(item)
        message = f"the size is {list(item.size)}; expected that of the image, {list(frame.size)} (height, width)"
        return Validated(None, None, [Issue("masks of another size", message)])

    def warnings(self, item: Masks, frame: Frame) -> Iterator[Issue]:
        """Yield masks without a pixel, and those that do not fit their box."""
        carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
        empty = item.area == 0
        yield from (Issue("empty masks", row=row) for row in row_numbers(empty & carried))
        if self.bounds_regions:
            misfit = ((item.boxes - frame.boxes).abs() > slack(frame.boxes)).any(dim=1)
            rows = row_numbers(~empty & misfit & carried)
            yield from (Issue("masks that do not fit their box", row=row) for row in rows)

    def statistics(self, item: Masks, frame: Frame) -> Iterator[tuple[str, Tensor]]:
        """Yield areas."""
        masks = item if frame.valid is None else item[frame.valid]
        sides = masks.boxes[:, 2:] - masks.boxes[:, :2]
        yield "area, px", masks.area
        yield "share of the box around it", masks.area / sides.prod(1)
