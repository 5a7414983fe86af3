"""Labels of one image, as data sets of several formats share them. Letters: N objects, H W pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError
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


def index_map(path: Path, size: Size) -> Int[np.ndarray, "H W"]:
    """Read an image with one whole number per pixel; of a palette its index.

    Args:
        path: The file.
        size: Expected (height, width) in pixels.

    Returns:
        The numbers.

    Raises:
        InputError: If it cannot be read, has another size, or more than a number per pixel.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path} as an image: {error}") from None
    if values.ndim != 2 or values.dtype.kind not in "iu" or values.shape != tuple(size):
        expected = f"one whole number a pixel, {list(size)} (height, width)"
        raise InputError(f"{path}: expected {expected}; got {list(values.shape)} of {values.dtype}")
    return values.astype(np.int64)
