"""Boxes, xyxy in pixels: encoding, clipping, and overlaps that torchvision lacks.

Letters: N M boxes, B images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)
"""A box grows at most by this factor (log) in one step; the usual guard against exp() overflowing."""


@dataclass(frozen=True)
class BoxCoder:
    """Box regression deltas: (dx, dy) in units of the reference's size, (dw, dh) as logarithms.

    Girshick et al., Rich feature hierarchies for accurate object detection, 2014, eq. 1-4 and 6-9.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Scale of the four deltas, so that each has about unit variance."""

    def encode(self, boxes: Float[Tensor, "N 4"], references: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
        """Encode boxes as deltas relative to reference boxes.

        Args:
            boxes: Boxes to encode, xyxy in pixels.
            references: Proposals or anchors, xyxy in pixels, of positive width and height.

        Returns:
            The deltas that lead from each reference to its box.
        """
        center, size = _center_and_size(boxes)
        origin, unit = _center_and_size(references)
        offsets = torch.cat(((center - origin) / unit, (size / unit).log()), dim=-1)
        return offsets * offsets.new_tensor(self.weights)

    def decode(self, deltas: Float[Tensor, "*N 4"], references: Float[Tensor, "*#N 4"]) -> Float[Tensor, "*N 4"]:
        """Decode deltas to boxes.

        Args:
            deltas: Deltas relative to the references, several per reference where leading dimensions broadcast.
            references: Proposals or anchors, xyxy in pixels.

        Returns:
            Boxes, xyxy in pixels, not clipped.
        """
        origin, unit = _center_and_size(references)
        offsets = deltas / deltas.new_tensor(self.weights)
        center = origin + offsets[..., :2] * unit
        half = offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp() * (0.5 * unit)
        return torch.cat((center - half, center + half), dim=-1)


def _center_and_size(boxes: Float[Tensor, "*N 4"]) -> tuple[Float[Tensor, "*N 2"], Float[Tensor, "*N 2"]]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def image_limits(sizes: Sequence[tuple[int, int]], like: Tensor) -> Float[Tensor, "B 4"]:
    """Return the limits for clipping boxes of many images at once.

    Args:
        sizes: (height, width) of each image in pixels.
        like: Tensor whose type and device the result has.

    Returns:
        (width, height, width, height) of each image.
    """
    return like.new_tensor([(width, height, width, height) for height, width in sizes]).reshape(-1, 4)


def clip_to_images(
    boxes: Float[Tensor, "N *K 4"], image_index: Int[Tensor, " N"], sizes: Sequence[tuple[int, int]]
) -> Float[Tensor, "N *K 4"]:
    """Clip boxes to the border of their image.

    Args:
        boxes: Boxes, xyxy in pixels, one or several per row.
        image_index: The image of each row.
        sizes: (height, width) of each image in pixels.

    Returns:
        The clipped boxes.
    """
    limits = image_limits(sizes, boxes)[image_index]
    return boxes.clamp(min=0).minimum(limits.view(len(boxes), *[1] * (boxes.dim() - 2), 4))


def large_enough(boxes: Float[Tensor, "*N 4"], min_size: float) -> Bool[Tensor, "*N"]:
    """Return which boxes have at least a minimum width and height, and are not empty.

    Args:
        boxes: Boxes, xyxy in pixels.
        min_size: Smallest width and height in pixels.

    Returns:
        True for the boxes to keep.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    return ((sides >= min_size) & (sides > 0)).all(dim=-1)


def intersection_over_area(boxes: Float[Tensor, "N 4"], others: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Compute the part of each box that lies inside each of the others, as COCO does for crowds instead of IoU.

    Args:
        boxes: Boxes, xyxy in pixels.
        others: The boxes of the crowds, xyxy in pixels.

    Returns:
        Intersection divided by the area of `boxes`, 0 to 1.
    """
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    return (high - low).clamp(min=0).prod(dim=2) / area.clamp(min=torch.finfo(area.dtype).tiny)[:, None]
