"""The regions of one image. Letters: N regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures.geometry import Size


@dataclass(frozen=True, eq=False)
class Objects:
    """The regions of one image, in its own pixels."""

    boxes: Float[Tensor, "N 4"]
    """Boxes, xyxy in pixels."""
    labels: Int[Tensor, " N"]
    """Indices into the vocabulary's things."""
    scores: Float[Tensor, " N"] | None = None
    """Confidence of predictions, 0 to 1; None in ground truth."""
    ids: Int[Tensor, " N"] = None  # type: ignore[assignment]
    """Identities, which stay the same through tracking; by default 0, 1, 2, ..."""
    crowd: Bool[Tensor, " N"] = None  # type: ignore[assignment]
    """Whether a region covers a group of objects; by default none does."""
    ignore: Bool[Tensor, " N"] = None  # type: ignore[assignment]
    """Whether evaluation ignores a region; by default it ignores none."""
    area: Float[Tensor, " N"] = None  # type: ignore[assignment]
    """Areas in pixels, of the mask where it is known; by default those of the boxes."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        sides = self.boxes[..., 2:] - self.boxes[..., :2]
        defaults = {
            "ids": torch.arange(count),
            "crowd": torch.zeros(count, dtype=torch.bool),
            "ignore": torch.zeros(count, dtype=torch.bool),
            "area": sides.prod(-1),
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.boxes.shape != (count, 4):
            raise InputError(f"{count} labels need boxes of shape [{count}, 4], got {list(self.boxes.shape)}")
        for name, column in vars(self).items():
            if column is not None and len(column) != count:
                raise InputError(f"{name} has {len(column)} entries for {count} regions, expected one per region")

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"]) -> Objects:
        columns: dict[str, Any] = {name: None if v is None else v[rows] for name, v in vars(self).items()}
        return Objects(**columns)

    @classmethod
    def empty(cls) -> Objects:
        """Create a set without regions.

        Returns:
            No regions.
        """
        return cls(torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64))


def invalid_boxes(regions: Objects, size: Size, things: int | None) -> dict[int, str]:
    """Find regions with an invalid box or label.

    Args:
        regions: The regions of one image.
        size: Height and width of the image, in pixels.
        things: The number of labels; None where labels have no meaning.

    Returns:
        What is wrong, by row; boxes that merely reach over the border are valid.
    """
    checks = {
        "NaN or infinite": ~regions.boxes.isfinite().all(dim=1),
        "reversed": (regions.boxes[:, 2:] < regions.boxes[:, :2]).any(dim=1),
        "empty": (regions.boxes[:, 2:] == regions.boxes[:, :2]).any(dim=1),
        "outside the image": _outside(regions.boxes, size),
    }
    if things is not None:
        checks["of an unknown label"] = (regions.labels < 0) | (regions.labels >= things)
    problems: dict[int, str] = {}
    for problem, rows in checks.items():
        for row in rows.nonzero()[:, 0].tolist():
            problems.setdefault(row, problem)
    return problems


def _outside(boxes: Tensor, size: Size) -> Bool[Tensor, " N"]:
    height, width = size
    return (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
