"""Which ground-truth box a candidate stands for.

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
    """`truth` is the row of the ground truth that a candidate stands for, -1 for none; `negative` marks background.

    What is neither matched nor negative says nothing and is left out of the losses.
    """

    truth: Int[Tensor, " N"]
    negative: Bool[Tensor, " N"]


@dataclass(frozen=True)
class Matcher:
    """Matching by IoU (Ren et al., Faster R-CNN, 2015, section 3.1.2).

    A candidate is positive from an IoU of `foreground` on, and negative below `background`. With `low_quality`, the
    best candidate of each ground-truth box is positive too, however small its IoU. Crowds are matched by nobody, and
    candidates that lie inside a crowd by more than `crowd` of their area are no negatives.
    """

    foreground: float
    background: float
    low_quality: bool = False
    crowd: float = 0.5

    def __call__(self, boxes: Float[Tensor, "N 4"], truth: Float[Tensor, "G 4"], crowd: Bool[Tensor, " G"]) -> Matches:
        """Match the candidates of one image to its ground truth."""
        single = (~crowd).nonzero()[:, 0]
        matches = self._match_singles(boxes, truth[single], single)
        if len(single) == len(truth):
            return matches
        inside = intersection_over_area(boxes, truth[crowd]).amax(dim=1) > self.crowd
        return Matches(matches.truth, matches.negative & ~inside)

    def _match_singles(
        self, boxes: Float[Tensor, "N 4"], truth: Float[Tensor, "G 4"], rows: Int[Tensor, " G"]
    ) -> Matches:
        if len(rows) == 0:
            nothing = torch.full((len(boxes),), -1, device=boxes.device)
            return Matches(nothing, torch.ones_like(nothing, dtype=torch.bool))
        iou: Tensor = box_iou(truth, boxes)
        quality, best = iou.max(dim=0)
        positive = quality >= self.foreground
        if self.low_quality:
            top = iou.amax(dim=1, keepdim=True)
            positive |= ((iou == top) & (top > 0)).any(dim=0)
        return Matches(rows[best].where(positive, -1), (quality < self.background) & ~positive)


def match_same_label(
    boxes: Float[Tensor, "N 4"],
    labels: Int[Tensor, " N"],
    truth: Float[Tensor, "G 4"],
    truth_labels: Int[Tensor, " G"],
    min_iou: float,
) -> Int[Tensor, " N"]:
    """For each detection the row of the ground truth of its own label with the greatest IoU, -1 below `min_iou`."""
    if len(truth) == 0:
        return torch.full_like(labels, -1)
    iou: Tensor = box_iou(truth, boxes) * (truth_labels[:, None] == labels)
    quality, best = iou.max(dim=0)
    return best.where(quality >= min_iou, -1)
