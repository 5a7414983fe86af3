"""Labels of one image, as data sets of several formats share them. Letters: N objects, H W pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from scenekit.keys import Key
from scenekit.scene import Objects
from scenekit.structures import Boxes3D
from scenekit.structures.geometry import Size

Box3D = tuple[Float[Tensor, " 3"], Float[Tensor, " 3"], Float[Tensor, "3 3"]]
"""Center, size (metres) and rotation of a 3D box, as `Boxes3D` has them."""


@dataclass(frozen=True, eq=False)
class Labels:
    """Objects of an image and their labels."""

    objects: Objects
    """The objects."""
    values: Mapping[Key[Any, Any], Any]
    """Labels by key."""
    valid: Mapping[Key[Any, Any], Bool[Tensor, " N"]]
    """Rows with a label, by key."""
    issues: Sequence[str]
    """Problems of the annotations, one message each."""


def clipped(box: Sequence[float | int], size: Size) -> tuple[float, float, float, float] | None:
    """Clip a box to the image.

    Args:
        box: Box, xyxy in pixels.
        size: (height, width) of the image in pixels.

    Returns:
        The box inside the image, None where nothing of it is.
    """
    height, width = size
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def boxes3d_of(boxes: Sequence[Box3D | None]) -> Boxes3D:
    """Create 3D boxes, NaN where there is none.

    Args:
        boxes: The boxes, None for an object without one.

    Returns:
        A row for each object.
    """
    nothing = (torch.full((3,), torch.nan), torch.full((3,), torch.nan), torch.full((3, 3), torch.nan))
    columns = list(zip(*(box or nothing for box in boxes), strict=True)) or [(), (), ()]
    center, size, rotation = (
        torch.stack(column) if column else torch.zeros((0, *part.shape))
        for column, part in zip(columns, nothing, strict=True)
    )
    return Boxes3D(center, size, rotation)
