"""Boxes, xyxy in pixels: encoding, clipping, overlaps that torchvision does not have.

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
    """Offsets between boxes: (dx, dy) in units of the reference's size, (dw, dh) as logarithms.

    Girshick et al., Rich feature hierarchies for accurate object detection, 2014, eq. 1-4 and 6-9; `weights` scale the
    four numbers so that each has about unit variance.
    """

    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def encode(self, boxes: Float[Tensor, "N 4"], references: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
        """What leads from each reference to its box. References have a positive width and height."""
        center, size = _center_and_size(boxes)
        origin, unit = _center_and_size(references)
        offsets = torch.cat(((center - origin) / unit, (size / unit).log()), dim=-1)
        return offsets * offsets.new_tensor(self.weights)

    def decode(self, deltas: Float[Tensor, "*N 4"], references: Float[Tensor, "*#N 4"]) -> Float[Tensor, "*N 4"]:
        """The boxes that `deltas` lead to."""
        origin, unit = _center_and_size(references)
        offsets = deltas / deltas.new_tensor(self.weights)
        center = origin + offsets[..., :2] * unit
        half = offsets[..., 2:].clamp(max=MAX_LOG_SCALE).exp() * (0.5 * unit)
        return torch.cat((center - half, center + half), dim=-1)


def _center_and_size(boxes: Float[Tensor, "*N 4"]) -> tuple[Float[Tensor, "*N 2"], Float[Tensor, "*N 2"]]:
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def image_limits(sizes: Sequence[tuple[int, int]], like: Tensor) -> Float[Tensor, "B 4"]:
    """(width, height, width, height) of every image, for clipping many images' boxes at once."""
    return like.new_tensor([(width, height, width, height) for height, width in sizes]).reshape(-1, 4)


def clip_to_images(
    boxes: Float[Tensor, "N *K 4"], image_index: Int[Tensor, " N"], sizes: Sequence[tuple[int, int]]
) -> Float[Tensor, "N *K 4"]:
    """Boxes (one or several per row) cut off at the border of their image; `sizes` are (height, width)."""
    limits = image_limits(sizes, boxes)[image_index]
    return boxes.clamp(min=0).minimum(limits.view(len(boxes), *[1] * (boxes.dim() - 2), 4))


def large_enough(boxes: Float[Tensor, "*N 4"], min_size: float) -> Bool[Tensor, "*N"]:
    """Which boxes are at least `min_size` pixels wide and high, and not empty."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return ((sides >= min_size) & (sides > 0)).all(dim=-1)


def intersection_over_area(boxes: Float[Tensor, "N 4"], others: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """How much of each box lies inside each of the others, 0..1: what COCO uses in place of IoU for crowds."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    return (high - low).clamp(min=0).prod(dim=2) / area.clamp(min=torch.finfo(area.dtype).tiny)[:, None]
