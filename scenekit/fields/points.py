"""Points in pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from scenekit.fields.base import FREE, Field, Frame, Shape, tensor_of
from scenekit.structures.geometry import Geometry, Size
from scenekit.structures.vocabulary import Vocabulary


class PointField(Field[Tensor, Tensor]):
    """A point [N 2] or several [N K 2] of each region, x and y in pixels; they follow the image, even out of it.

    Args:
        dims: 2 for a point per region, 3 for several.
        nan_is_unknown: Whether NaN marks points that are unknown.
    """

    def __init__(self, dims: int = 2, nan_is_unknown: bool = False) -> None:
        super().__init__(dims, nan_is_unknown)

    def transform(self, item: Tensor, geometry: Geometry, vocabulary: Vocabulary) -> Tensor:
        """Return the points of the cropped, resized or flipped image."""
        return geometry.points(item)

    def example(self, frame: Frame, shape: Shape = None) -> Tensor:
        """Return points along the diagonal of each box, in the middle where there is one for each."""
        boxes = frame.boxes
        count = shape[1] if shape is not None and isinstance(shape[1], int) else FREE
        along = torch.linspace(0.2, 0.8, count) if self.dims > 2 else torch.tensor([0.5])
        points = boxes[:, None, :2] + along[None, :, None] * (boxes[:, None, 2:] - boxes[:, None, :2])
        return points if self.dims > 2 else points[:, 0]

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        """Read what `encode` wrote."""
        return tensor_of(data, *[0] * (self.dims - 2), 2)
