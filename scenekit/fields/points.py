"""Points in pixels."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from scenekit.fields.base import Field, Shape
from scenekit.fields.conversion import tensor_of
from scenekit.fields.frame import Frame
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

    def decode(self, data: Any, size: Size, vocabulary: Vocabulary) -> Tensor:
        """Read what `encode` wrote."""
        return tensor_of(data, *[0] * (self.dims - 2), 2)

    def example(self, frame: Frame, shape: Shape = None) -> Tensor:
        """Return the centers of the boxes, for each point of a region the same."""
        centers = (frame.boxes[:, :2] + frame.boxes[:, 2:]) / 2
        if self.dims == 2:
            return centers
        points = next((side for side in (shape or ())[1:2] if isinstance(side, int)), 2)
        return centers[:, None].repeat(1, points, 1)
