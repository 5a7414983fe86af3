"""Regions of a batch of images: proposals, sampled regions, detections, unions.

Letters: N regions of all images together, C foreground classes, K = C + 1 with background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Regions:
    """Boxes in network pixels, packed over the batch.

    `image_index` says which image a row belongs to; `labels` are indices into the vocabulary's things; `matched` is
    the row of the targets' ground truth that a region stands for (-1: none). `class_logits` has one column more than
    there are classes: background is the last one. `class_boxes` holds a refined box per class.
    A subset remembers the regions it was taken from (`parent`, never itself a subset) and its `rows` there.
    """

    boxes: Float[Tensor, "N 4"]
    image_index: Int[Tensor, " N"]
    labels: Int[Tensor, " N"] | None = None
    scores: Float[Tensor, " N"] | None = None
    class_logits: Float[Tensor, "N K"] | None = None
    class_boxes: Float[Tensor, "N C 4"] | None = None
    matched: Int[Tensor, " N"] | None = None
    parent: Regions | None = None
    rows: Int[Tensor, " N"] | None = None

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    @property
    def root(self) -> Regions:
        """The regions that this one is a subset of, or itself."""
        return self if self.parent is None else self.parent

    @property
    def root_rows(self) -> Int[Tensor, " N"]:
        """Each row's place in `root`."""
        if self.rows is None:
            return torch.arange(len(self), device=self.boxes.device)
        return self.rows

    def subset(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Regions:
        """Some of the rows, by index or by a boolean mask; knows its root."""
        if rows.dtype == torch.bool:
            rows = rows.nonzero()[:, 0]
        return replace(self._indexed(rows), parent=self.root, rows=self.root_rows[rows])

    def _indexed(self, rows: Tensor) -> Regions:
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        indexed: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return Regions(**indexed)

    def of_image(self, index: int) -> Regions:
        """The rows of one image, in order."""
        return self.subset(self.image_index == index)

    def detach(self) -> Regions:
        """The same regions, cut off from the gradient; still a subset of the same root."""
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        return replace(self, **{name: value.detach() for name, value in values.items() if value is not None})

    @staticmethod
    def cat(parts: Sequence[Regions]) -> Regions:
        """All rows of `parts` as new regions; a field stays only where every part has it."""
        columns = {name: [getattr(part, name) for part in parts] for name in _ROW_FIELDS}
        complete = {name: column for name, column in columns.items() if all(part is not None for part in column)}
        joined: dict[str, Any] = {name: torch.cat(column) for name, column in complete.items()}
        return Regions(**joined)


_ROW_FIELDS = tuple(f.name for f in fields(Regions) if f.name not in ("parent", "rows"))
