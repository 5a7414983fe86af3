"""Regions of a batch of images: proposals, sampled regions, detections, union boxes.

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
    """Boxes in network pixels, packed over the batch."""

    boxes: Float[Tensor, "N 4"]
    """Boxes, xyxy in network pixels."""
    image_index: Int[Tensor, " N"]
    """Image of each row."""
    labels: Int[Tensor, " N"] | None = None
    """Indices into the vocabulary's things."""
    scores: Float[Tensor, " N"] | None = None
    """Confidence, 0 to 1."""
    class_logits: Float[Tensor, "N K"] | None = None
    """Logits of the classes, then background."""
    class_boxes: Float[Tensor, "N C 4"] | None = None
    """One refined box per class."""
    matched: Int[Tensor, " N"] | None = None
    """Row of the ground truth that a region is matched to, -1 for none."""
    valid: Bool[Tensor, " N"] | None = None
    """Which rows are regions, of a pass with a fixed number of rows, whose others are padding; None: all."""
    parent: Regions | None = None
    """The regions that these are a subset of; never itself a subset."""
    rows: Int[Tensor, " N"] | None = None
    """Rows of a subset in `parent`."""

    def __len__(self) -> int:
        return int(self.boxes.shape[0])

    @property
    def root(self) -> Regions:
        """The regions that these are a subset of, or these."""
        return self if self.parent is None else self.parent

    @property
    def root_rows(self) -> Int[Tensor, " N"]:
        """Row of each region in `root`."""
        if self.rows is None:
            return torch.arange(len(self), device=self.boxes.device)
        return self.rows

    def subset(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Regions:
        """Select rows; the result remembers its root.

        Args:
            rows: Indices or a boolean mask.

        Returns:
            The selected regions.
        """
        if rows.dtype == torch.bool:
            rows = rows.nonzero()[:, 0]
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        indexed: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return Regions(**indexed, parent=self.root, rows=self.root_rows[rows])

    def of_image(self, index: int) -> Regions:
        """Select the rows of one image.

        Args:
            index: Index of the image in the batch.

        Returns:
            Its regions, in order.
        """
        return self.subset(self.image_index == index)

    def detach(self) -> Regions:
        """Detach all values from the graph.

        Returns:
            The same regions without gradient, a subset of the same root.
        """
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        return replace(self, **{name: value.detach() for name, value in values.items() if value is not None})

    @staticmethod
    def cat(parts: Sequence[Regions]) -> Regions:
        """Concatenate regions; a field is kept only where every part has it.

        Args:
            parts: Sets of regions.

        Returns:
            All rows, as regions of their own.
        """
        columns = {name: [getattr(part, name) for part in parts] for name in _ROW_FIELDS}
        complete = {name: column for name, column in columns.items() if all(part is not None for part in column)}
        concatenated: dict[str, Any] = {name: torch.cat(column) for name, column in complete.items()}
        return Regions(**concatenated)


_ROW_FIELDS = tuple(f.name for f in fields(Regions) if f.name not in ("parent", "rows"))
