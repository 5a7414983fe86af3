"""Matching of candidates to ground-truth boxes.

Letters: N candidates and G ground-truth boxes of one image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.ops.boxes import intersection_over_area


@dataclass(frozen=True, eq=False)
class Matches:
    """The match of each candidate; one that is neither matched nor negative is ignored by the losses."""

    matched: Int[Tensor, " N"]
    """Row of the ground truth, -1 where a candidate matches none."""
    negative: Bool[Tensor, " N"]
    """Whether a candidate is background."""


@dataclass(frozen=True)
class Matcher:
    """Matching by IoU (Ren et al., Faster R-CNN, 2015, section 3.1.2).

    Crowds match no candidate, and candidates inside a crowd are ignored instead of negative.
    """

    foreground: float
    """IoU from which on a candidate is positive."""
    background: float
    """IoU below which a candidate is negative."""
    low_quality: bool = False
    """Whether the best candidate of each ground-truth box is positive too, however small its IoU."""
    crowd: float = 0.5
    """Part of a candidate's area inside a crowd above which it is ignored."""

    def __call__(
        self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"], crowd: Bool[Tensor, " G"]
    ) -> Matches:
        """Match the candidates of one image to its ground truth.

        Args:
            boxes: Candidates, xyxy in pixels.
            targets: Ground-truth boxes, xyxy in pixels.
            crowd: Which ground-truth boxes are crowds.

        Returns:
            The match of each candidate.
        """
        single = (~crowd).nonzero()[:, 0]
        matches = self._match_singles(boxes, targets[single], single)
        if len(single) == len(targets):
            return matches
        inside = intersection_over_area(boxes, targets[crowd]).amax(dim=1) > self.crowd
        return Matches(matches.matched, matches.negative & ~inside)

    def _match_singles(
        self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"], rows: Int[Tensor, " G"]
    ) -> Matches:
        if len(rows) == 0:
            nothing = torch.full((len(boxes),), -1, device=boxes.device)
            return Matches(nothing, torch.ones_like(nothing, dtype=torch.bool))
        iou: Tensor = box_iou(targets, boxes)
        quality, best = iou.max(dim=0)
        positive = quality >= self.foreground
        if self.low_quality:
            top = iou.amax(dim=1, keepdim=True)
            positive |= ((iou == top) & (top > 0)).any(dim=0)
        return Matches(rows[best].where(positive, -1), (quality < self.background) & ~positive)


def match_same_label(
    boxes: Float[Tensor, "N 4"],
    labels: Int[Tensor, " N"],
    targets: Float[Tensor, "G 4"],
    target_labels: Int[Tensor, " G"],
    min_iou: float,
) -> Int[Tensor, " N"]:
    """Match each detection to the ground-truth box of the same label with the greatest IoU.

    Args:
        boxes: Detections, xyxy in pixels.
        labels: Labels of the detections.
        targets: Ground-truth boxes, xyxy in pixels.
        target_labels: Labels of the ground truth.
        min_iou: Smallest IoU of a match.

    Returns:
        Row of the ground truth for each detection, -1 where none reaches `min_iou`.
    """
    if len(targets) == 0:
        return torch.full_like(labels, -1)
    iou: Tensor = box_iou(targets, boxes) * (target_labels[:, None] == labels)
    quality, best = iou.max(dim=0)
    return best.where(quality >= min_iou, -1)
