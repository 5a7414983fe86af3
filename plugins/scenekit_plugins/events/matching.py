"""Which slot learns which event.

Letters: S slots of one clip, E its events.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

SCORE, CENTER, OVERLAP = 1.0, 2.0, 1.0
"""Weights in the cost of a pair: of its score, of the seconds from the slot's time to the middle of the event, and of
what the tIoU lacks. Times of slots are fixed, so that from the first step on the same slots learn the same events."""

NEARLY = 0.6
"""A slot without an event whose span has this tIoU with one teaches no score: suppression drops it."""


def matched(
    logits: Float[Tensor, " S"],
    centers: Float[Tensor, " S"],
    spans: Float[Tensor, "S 2"],
    targets: Float[Tensor, "E 2"],
) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
    """Match slots and events one to one, at the least cost.

    Args:
        logits: Of there being an event.
        centers: The time of each slot, in seconds.
        spans: Start and end of each slot.
        targets: Start and end of each event.

    Returns:
        Slots, and the event of each.
    """
    with torch.no_grad():
        middle = (centers[:, None] - targets.mean(dim=1)).abs()
        cost = -SCORE * logits.sigmoid()[:, None] + CENTER * middle - OVERLAP * span_iou(spans, targets)
        rows, columns = linear_sum_assignment(cost.float().cpu().numpy())
    return torch.as_tensor(rows, device=logits.device), torch.as_tensor(columns, device=logits.device)


def span_iou(first: Float[Tensor, "S 2"], second: Float[Tensor, "E 2"]) -> Float[Tensor, "S E"]:
    """Compute the temporal IoU of each pair of spans, less the gap between them over the whole (as GIoU).

    Args:
        first: Start and end in seconds.
        second: Others.

    Returns:
        -1 to 1.
    """
    start, end = torch.maximum(first[:, None, 0], second[:, 0]), torch.minimum(first[:, None, 1], second[:, 1])
    hull = torch.maximum(first[:, None, 1], second[:, 1]) - torch.minimum(first[:, None, 0], second[:, 0])
    return (end - start) / hull.clamp(min=1e-6)
