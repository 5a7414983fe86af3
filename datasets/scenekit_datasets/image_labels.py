"""Labels of one image, as data sets of several formats share them. Letters: N objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from scenekit.keys import Key
from scenekit.scene import Objects
from scenekit.structures.geometry import Size


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
