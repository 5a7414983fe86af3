"""Which detections stand for which objects, by their boxes in the image.

Letters: D detections, G true objects, P pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.metrics.common import match
from scenekit.ops.boxes import intersection_over_area
from scenekit.scene import Objects

FITS = 0.5
"""IoU from which a detection stands for an object of its class."""


def overlaps(found: Objects, true: Objects) -> Float[Tensor, "D G"]:
    """IoU of the boxes, whatever the labels; with crowds the share of the detection inside of the crowd's box."""
    shares = intersection_over_area(found.boxes, true.boxes)
    return torch.where(true.crowd, shares, box_iou(found.boxes, true.boxes).nan_to_num(0))


def same_class(found: Objects, true: Objects) -> Bool[Tensor, "D G"]:
    """Which detections have the label of which objects."""
    return found.labels[:, None] == true.labels


def ignored_detections(found: Objects, true: Objects, told: Bool[Tensor, " G"]) -> Bool[Tensor, " D"]:
    """Detections that stand for a crowd, or for an object of which nothing is `told`, rather than for any other.

    Whether they are right nobody knows.
    """
    silent = ~told | true.crowd
    iou = overlaps(found, true) * same_class(found, true)
    best = [torch.cat((iou[:, rows], iou.new_zeros(len(iou), 1)), dim=1).amax(dim=1) for rows in (silent, ~silent)]
    return (best[0] >= FITS) & (best[0] > best[1])


def matched_rows(
    true: Objects,
    found: Objects,
    asked: Bool[Tensor, " G"],
    answered: Bool[Tensor, " D"],
    scores: Float[Tensor, " D"],
) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
    """Rows of those objects that are `asked` for, and of the `answered` detections that stand for them.

    Best scores choose first; an object is taken once.
    """
    true_rows, rows = asked.nonzero()[:, 0], answered.nonzero()[:, 0]
    rows = rows[torch.from_numpy(by_score(scores[rows]))]
    iou = overlaps(found[rows], true[true_rows]) * same_class(found[rows], true[true_rows])
    taken = match(iou.double().numpy(), np.zeros(len(true_rows), dtype=bool), np.array([FITS]))[0]
    hits = np.flatnonzero(taken >= 0)
    return true_rows[torch.from_numpy(taken[hits])], rows[torch.from_numpy(hits)]


def by_score(scores: Float[Tensor, " D"]) -> Int[np.ndarray, " D"]:
    """The rows of detections, best first."""
    order: Int[np.ndarray, " D"] = np.argsort(-scores.detach().cpu().numpy(), kind="stable")
    return order
