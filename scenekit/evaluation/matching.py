"""Matching of detections and ground-truth objects by their boxes in the image.

Letters: D detections, G ground-truth objects, P pairs.
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

MIN_IOU = 0.5
"""IoU from which a detection matches an object of its class."""


def overlaps(detections: Objects, objects: Objects) -> Float[Tensor, "D G"]:
    """Compute the IoU of the boxes, whatever the labels.

    Args:
        detections: Predicted objects.
        objects: Those of the ground truth; for crowds, the share of the detection inside of the crowd's box.

    Returns:
        Fractions.
    """
    shares = intersection_over_area(detections.boxes, objects.boxes)
    return torch.where(objects.crowd, shares, box_iou(detections.boxes, objects.boxes).nan_to_num(0))


def same_class(detections: Objects, objects: Objects) -> Bool[Tensor, "D G"]:
    """Return which detections have the label of which objects.

    Args:
        detections: Predicted objects.
        objects: Those of the ground truth.

    Returns:
        Whether the labels are equal.
    """
    return detections.labels[:, None] == objects.labels


def ignored_detections(detections: Objects, objects: Objects, annotated: Bool[Tensor, " G"]) -> Bool[Tensor, " D"]:
    """Return the detections that match a crowd or an object without annotation better than any other object.

    Their correctness cannot be determined.

    Args:
        detections: Predicted objects.
        objects: Those of the ground truth.
        annotated: Which of the objects are annotated with the value that is measured.

    Returns:
        Whether the detection counts neither as right nor as wrong.
    """
    without = ~annotated | objects.crowd
    iou = overlaps(detections, objects) * same_class(detections, objects)
    best = [torch.cat((iou[:, rows], iou.new_zeros(len(iou), 1)), dim=1).amax(dim=1) for rows in (without, ~without)]
    return (best[0] >= MIN_IOU) & (best[0] > best[1])


def matched_rows(
    objects: Objects,
    detections: Objects,
    counted: Bool[Tensor, " G"],
    predicted: Bool[Tensor, " D"],
    scores: Float[Tensor, " D"],
) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
    """Match detections to objects of their class from IoU 0.5, best scores first; an object is matched once.

    Args:
        objects: Those of the ground truth.
        detections: Predicted objects.
        counted: Which of the objects are measured.
        predicted: Which of the detections have the value that is measured.
        scores: Those that detections are ranked by.

    Returns:
        Rows of the objects, and rows of the detections, pair by pair.
    """
    object_rows, rows = counted.nonzero()[:, 0], predicted.nonzero()[:, 0]
    rows = rows[torch.from_numpy(by_score(scores[rows]))]
    iou = overlaps(detections[rows], objects[object_rows]) * same_class(detections[rows], objects[object_rows])
    matched = match(iou.double().numpy(), np.zeros(len(object_rows), dtype=bool), np.array([MIN_IOU]))[0]
    hits = np.flatnonzero(matched >= 0)
    return object_rows[torch.from_numpy(matched[hits])], rows[torch.from_numpy(hits)]


def by_score(scores: Float[Tensor, " D"]) -> Int[np.ndarray, " D"]:
    """Sort detections.

    Args:
        scores: One for each detection.

    Returns:
        The rows of the detections, best first.
    """
    order: Int[np.ndarray, " D"] = np.argsort(-scores.detach().cpu().numpy(), kind="stable")
    return order
