"""PNG files with a number for each pixel: classes or instances.

Letters: H W pixels, N masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.structures import Masks
from scenekit.structures.geometry import Size


def read_label_map(path: Path, size: Size) -> Int[np.ndarray, "H W"]:
    """Read an image with one number per pixel; of a palette its index.

    Args:
        path: The file.
        size: Expected (height, width) in pixels.

    Returns:
        The number of each pixel.

    Raises:
        InputError: If the file cannot be read, has another size or several numbers per pixel.
    """
    values = read_pixels(path)
    if values.ndim != 2 or values.dtype.kind not in "iu" or values.shape != tuple(size):
        expected = f"one whole number a pixel, {list(size)} (height, width)"
        raise InputError(f"{path}: expected {expected}; got {list(values.shape)} of {values.dtype}")
    return values.astype(np.int64)


def read_pixels(path: Path) -> np.ndarray:
    """Read an image as it is stored, without conversion.

    Args:
        path: The file.

    Returns:
        Its values, [H W] or [H W channels].

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path} as an image: {error}") from None


def masks_in(ids: Int[np.ndarray, "H W"], wanted: Sequence[int]) -> Masks:
    """Encode the masks of instances, all from one scan of a map.

    Args:
        ids: The instance of each pixel.
        wanted: Instances.

    Returns:
        A mask for each of the instances.
    """
    height, width = ids.shape
    pixels = ids.ravel(order="F")  # run lengths go down the columns
    starts = np.concatenate(([0], np.flatnonzero(np.diff(pixels)) + 1))
    ends = np.append(starts[1:], len(pixels))
    values = pixels[starts]
    order = np.argsort(values, kind="stable")
    firsts = np.searchsorted(values[order], wanted)
    lasts = np.searchsorted(values[order], wanted, side="right")
    rles = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        runs = order[first:last]
        bounds = np.stack((starts[runs], ends[runs]), axis=1).ravel()
        counts = np.diff(np.concatenate(([0], bounds, [len(pixels)])))
        rles.append({"size": [height, width], "counts": counts.tolist()})
    return Masks(tuple(coco_mask.frPyObjects(rles, height, width)) if rles else (), (height, width))
