"""Pasting of masks in the frame of their boxes into the image.

Letters: N masks, M side of a mask, P the same with a border, h w window of a box, H W image.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures.geometry import Size
from scenekit.structures.masks import Masks


def paste_masks(
    probabilities: Float[Tensor, "N M M"],
    boxes: Float[Tensor, "N 4"],
    size: Size,
    threshold: float = 0.5,
    rounded: bool = False,
) -> Masks:
    """Resample each mask bilinearly at the pixel centers inside its box, and threshold it.

    Only the window of each box is computed, and a mask is run-length encoded before the next one is pasted, so that
    memory does not grow with their number.

    Args:
        probabilities: Masks in the frame of their boxes, 0..1.
        boxes: Boxes in pixels of the image.
        size: Height and width of the image, in pixels.
        threshold: Smallest probability inside the mask.
        rounded: Whether each mask gets a border of zeros, and its box is rounded to whole pixels: torchvision's
            `paste_masks_in_image`, to the bit.

    Returns:
        The masks, run-length encoded.
    """
    if rounded:
        probabilities, boxes = _bordered(probabilities, boxes)
    resample = _stretch if rounded else _resample
    rles = []
    for mask, box in zip(probabilities, boxes.tolist(), strict=True):
        canvas = np.zeros(size, dtype=np.uint8, order="F")
        x0, y0 = max(math.floor(box[0]), 0), max(math.floor(box[1]), 0)
        x1, y1 = min(math.ceil(box[2]), size[1]), min(math.ceil(box[3]), size[0])
        if x1 > x0 and y1 > y0:
            canvas[y0:y1, x0:x1] = (resample(mask, box, (x0, y0, x1, y1)) >= threshold).numpy()
        rles.append(coco_mask.encode(canvas))
    return Masks(tuple(rles), size)


def _bordered(
    probabilities: Float[Tensor, "N M M"], boxes: Float[Tensor, "N 4"]
) -> tuple[Float[Tensor, "N P P"], Float[Tensor, "N 4"]]:
    """Return masks with a border of zeros, P = M + 2, and the boxes that they cover, enlarged, in whole pixels."""
    side = probabilities.shape[-1]
    center = (boxes[:, 2:] + boxes[:, :2]) * 0.5
    half = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ((side + 2) / side)
    return F.pad(probabilities, (1, 1, 1, 1)), torch.cat(((center - half).trunc(), (center + half).trunc() + 1), dim=1)


def _resample(mask: Float[Tensor, "M M"], box: list[float], window: tuple[int, int, int, int]) -> Float[Tensor, "h w"]:
    """Resample at the centers of the window's pixels; outside of the mask all is zero, so values fall off there."""
    xs = (torch.arange(window[0], window[2]) + 0.5 - box[0]) / max(box[2] - box[0], 1e-6) * 2 - 1
    ys = (torch.arange(window[1], window[3]) + 0.5 - box[1]) / max(box[3] - box[1], 1e-6) * 2 - 1
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)
    return F.grid_sample(mask[None, None], grid[None], mode="bilinear", align_corners=False)[0, 0]


def _stretch(mask: Float[Tensor, "P P"], box: list[float], window: tuple[int, int, int, int]) -> Float[Tensor, "h w"]:
    """Resize the mask to its box of whole pixels, and return the part in the window."""
    x0, y0, x1, y1 = map(int, box)
    full = F.interpolate(mask[None, None], size=(y1 - y0, x1 - x0), mode="bilinear", align_corners=False)[0, 0]
    return full[window[1] - y0 : window[3] - y0, window[0] - x0 : window[2] - x0]
