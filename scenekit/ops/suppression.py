"""Suppression of boxes that overlap a better one, by lower scores instead of removal.

Letters: N boxes of one image, S boxes that are kept.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou, nms

Decay = Literal["linear", "gaussian"]


@torch.no_grad()
def soft_nms(
    boxes: Float[Tensor, "N 4"],
    scores: Float[Tensor, " N"],
    labels: Int[Tensor, " N"],
    *,
    decay: Decay = "gaussian",
    iou_threshold: float = 0.5,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
    limit: int | None = None,
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """Reduce the scores of boxes that overlap a better one (Bodla et al., Soft-NMS, 2017, section 3).

    All are of one image. The best box is kept, the scores of the other boxes of its label are lowered by their IoU
    with it, and so on with the best of the rest.

    ```python
    rows, scores = soft_nms(boxes, scores, labels, decay="linear", iou_threshold=0.3)
    ```

    Args:
        boxes: Boxes, xyxy in pixels.
        scores: Their scores, 0 to 1.
        labels: Their classes; boxes of different classes do not affect each other.
        decay: "linear": s <- s (1 - IoU) where the IoU is at least `iou_threshold`. "gaussian": s <- s exp(-IoU^2 /
            sigma).
        iou_threshold: Smallest IoU that lowers a score; of "linear" alone.
        sigma: Width of the gaussian; of "gaussian" alone.
        score_threshold: Boxes whose lowered score is not above it are dropped.
        limit: Upper limit of the number of boxes; none if None.

    Returns:
        Rows of the kept boxes with their lowered scores, best first.
    """
    left, taken = scores, torch.zeros_like(labels, dtype=torch.bool)
    rows: list[Tensor] = []
    kept: list[Tensor] = []
    for _ in range(len(boxes) if limit is None else min(limit, len(boxes))):
        score, best = left.max(dim=0)
        if not score > score_threshold:
            break
        rows.append(best)
        kept.append(score)
        iou: Tensor = box_iou(boxes[best][None], boxes)[0]
        factors = _factors(iou, decay, iou_threshold, sigma)
        taken[best] = True
        left = (left * factors.where(labels == labels[best], 1.0)).masked_fill(taken, -torch.inf)
    if not rows:
        return labels.new_zeros(0, dtype=torch.int64), scores.new_zeros(0)
    return torch.stack(rows), torch.stack(kept)


def nms_mask(boxes: Float[Tensor, "N 4"], scores: Float[Tensor, " N"], threshold: float) -> Bool[Tensor, " N"]:
    """Mark the boxes that NMS keeps, so that the shape of the result does not depend on them.

    Args:
        boxes: Boxes, xyxy in pixels.
        scores: Their scores.
        threshold: IoU above which a box suppresses those with lower scores.

    Returns:
        True for the boxes to keep.
    """
    return torch.zeros_like(scores, dtype=torch.bool).index_fill(0, nms(boxes, scores, threshold), True)


def _factors(iou: Float[Tensor, " N"], decay: Decay, iou_threshold: float, sigma: float) -> Float[Tensor, " N"]:
    if decay == "gaussian":
        return (-(iou**2) / sigma).exp()
    return (1 - iou).where(iou >= iou_threshold, 1.0)
