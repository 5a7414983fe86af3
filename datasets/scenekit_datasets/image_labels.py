"""What files say of one image, as data sets of several forms share it. Letters: N objects."""

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
    """Objects of an image and what is known of them; `faults` are what cannot be right."""

    objects: Objects
    values: Mapping[Key[Any, Any], Any]
    valid: Mapping[Key[Any, Any], Bool[Tensor, " N"]]
    faults: Sequence[str]


def clipped(box: Sequence[float | int], size: Size) -> tuple[float, float, float, float] | None:
    """The part of a box that is in the image, if there is one."""
    height, width = size
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None
