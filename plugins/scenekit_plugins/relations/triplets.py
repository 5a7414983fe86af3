"""Ranked triplets from the logits of a relation head, by the scene-graph benchmark's protocol.

Letters: N objects of one image, C classes with background (column 0), K pairs, P predicates with "no relation" (column
0).

Zellers et al., Neural Motifs, CVPR 2018, and the relation post-processing of Scene-Graph-Benchmark.pytorch (Tang et
al., 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class RankedTriplets:
    """Pairs with their predicate probabilities, the best triplet first."""

    pairs: Int[Tensor, "K 2"]
    """Rows of subjects and objects."""
    probabilities: Float[Tensor, "K P"]
    """Probabilities of the predicates."""
    predicate: Int[Tensor, " K"]
    """Best predicate."""
    score: Float[Tensor, " K"]
    """Score of the triplet."""
    order: Int[Tensor, " K"]
    """Rows of the pairs before ranking."""


def foreground(logits: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """Compute the softmax over all columns, with column 0 set to 0; rows sum to less than one.

    Args:
        logits: Logits of the classes.

    Returns:
        Probabilities.
    """
    probabilities = logits.softmax(dim=-1)
    return torch.cat((torch.zeros_like(probabilities[:, :1]), probabilities[:, 1:]), dim=1)


def best_labels(probabilities: Float[Tensor, "N C"]) -> Int[Tensor, " N"]:
    """Return the most probable class of each object, never background; for external boxes.

    Args:
        probabilities: Probabilities of the classes.

    Returns:
        The classes.
    """
    return probabilities[:, 1:].argmax(dim=1) + 1


def suppressed_labels(
    probabilities: Float[Tensor, "N C"], class_boxes: Float[Tensor, "N C 4"], threshold: float = 0.3
) -> Int[Tensor, " N"]:
    """Return one class per object, such that objects of one class do not overlap; for predicted boxes.

    N times the highest (object, class) entry is chosen: the object gets the class, and the class is removed from every
    object whose box for that class overlaps by IoU >= `threshold` (inclusive pixels: x2 - x1 + 1 wide). An object
    without a remaining entry gets the first class in order, which may be background (0).

    Args:
        probabilities: Probabilities of the classes.
        class_boxes: Boxes of the objects for each class, in pixels.
        threshold: IoU from which on two boxes overlap.

    Returns:
        The classes.
    """
    left = probabilities.clone()
    labels = torch.zeros(len(left), dtype=torch.long, device=left.device)
    overlaps = _class_overlaps(class_boxes) >= threshold
    C = left.shape[1]
    for _ in range(len(left)):
        best = left.argmax()
        row, label = best // C, best % C
        labels[row] = label
        left[:, label] = left[:, label].masked_fill(overlaps[label, row], 0.0)
        left[row] = -1.0
    return labels


def suppressed_labels_of_valid(
    probabilities: Float[Tensor, "N C"],
    class_boxes: Float[Tensor, "N C 4"],
    valid: Bool[Tensor, " N"],
    threshold: float = 0.3,
) -> Int[Tensor, " N"]:
    """Return what `suppressed_labels` does for the valid objects, with shapes that do not depend on how many these are.

    Args:
        probabilities: Probabilities of the classes.
        class_boxes: Boxes of the objects for each class, in pixels.
        valid: Which rows are objects; the others are padding.
        threshold: IoU from which on two boxes overlap.

    Returns:
        The classes; 0 for padding.
    """
    N, C = probabilities.shape
    left = probabilities.masked_fill(~valid[:, None], -1.0)
    labels = torch.zeros(N, dtype=torch.long, device=left.device)
    overlaps = ((_class_overlaps(class_boxes) >= threshold) & valid).flatten(0, 1)  # by class, then object
    rows, classes = (torch.arange(count, device=left.device) for count in (N, C))
    for step in range(N):
        best = left.flatten().argmax()
        row, label = best // C, best % C
        chosen = (rows == row) & (step < valid.sum())
        labels = torch.where(chosen, label, labels)
        beaten = overlaps.index_select(0, (label * N + row)[None])[0]
        left = left.masked_fill(beaten[:, None] & (classes == label), 0.0).masked_fill(chosen[:, None], -1.0)
    return labels


def ranked(
    object_scores: Float[Tensor, " N"], pairs: Int[Tensor, "K 2"], probabilities: Float[Tensor, "K P"]
) -> RankedTriplets:
    """Rank pairs by falling score of their best predicate (never "no relation") * subject * object.

    Args:
        object_scores: Scores of the objects.
        pairs: Rows of subjects and objects.
        probabilities: Probabilities of the predicates.

    Returns:
        The ranked triplets.
    """
    best, predicate = probabilities[:, 1:].max(dim=1)
    score = best * object_scores[pairs[:, 0]] * object_scores[pairs[:, 1]]
    order = score.argsort(descending=True, stable=True)
    return RankedTriplets(pairs[order], probabilities[order], predicate[order] + 1, score[order], order)


def _class_overlaps(boxes: Float[Tensor, "N C 4"]) -> Float[Tensor, "C N N"]:
    """Compute the IoU of all objects' boxes for each class, in inclusive pixels."""
    boxes = boxes.transpose(0, 1)
    corner = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    limit = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (limit - corner + 1).clamp(min=0).prod(dim=-1)
    area = (boxes[..., 2:] - boxes[..., :2] + 1).prod(dim=-1)
    return shared / (area[:, :, None] + area[:, None, :] - shared)
