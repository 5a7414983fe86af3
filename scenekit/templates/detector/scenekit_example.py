"""The detector `example`: one stage without anchors, one prediction per cell of one feature map. Make it yours.

Letters: B images, N regions, G ground-truth boxes, C classes, H W cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

import scenekit as sk
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.detection.pooler import RoIPooler
from scenekit.ops.boxes import clip_to_images
from scenekit.ops.matching import match_same_label

LEVEL = 1
"""Which feature map predicts: the one of stride 8."""


class ExampleConfig(sk.Config):
    """Options that a recipe sets under `model.detector_options`."""

    threshold: float = Field(default=0.05, ge=0, le=1)
    detections: int = Field(default=100, ge=1)


class ExampleDetector(sk.Provider):
    """Each cell whose centre lies in a box predicts the box's class and the distances to its four sides."""

    name = "detection"  # losses are detection.classification and detection.box
    requires = (sk.FEATURES,)
    provides = (sk.OBJECTS,)

    def __init__(self, core: sk.Core, config: ExampleConfig) -> None:
        super().__init__()
        self.config = config
        self.pooler = RoIPooler()  # heads get their RoI features from it
        self.net = nn.Sequential(nn.Conv2d(core.channels, core.channels, 3, padding=1), nn.ReLU())
        self.classify = nn.Conv2d(core.channels, len(core.vocabulary.things), 1)
        self.measure = nn.Conv2d(core.channels, 4, 1)
        nn.init.constant_(self.classify.bias, -2.0)  # few cells show an object

    def forward(self, board: sk.Board, targets: sk.Targets | None = None) -> dict[str, Tensor]:
        """Put OBJECTS on the board: external boxes as they are, detections, or with targets the ground-truth boxes."""
        logits, boxes, centers = self.predict(board)
        if sk.OBJECTS in board.given:
            board.put(sk.OBJECTS, self.labelled(board.given[sk.OBJECTS], logits, board))
            return {}
        if targets is None:
            board.put(sk.OBJECTS, self.decode(logits, boxes, board))
            return {}
        target = targets.streams[sk.OBJECTS]
        rows = (~target.crowd & target.supervised[target.regions.image_index]).nonzero()[:, 0]
        regions = target.regions
        board.put(
            sk.OBJECTS, sk.Regions(regions.boxes[rows], regions.image_index[rows], regions.labels[rows], matched=rows)
        )
        return self.loss(logits, boxes, centers, target)

    def predict(self, board: sk.Board) -> tuple[Tensor, Tensor, Tensor]:
        """Return class logits [B HW C], boxes [B HW 4] and centres [HW 2] of the cells, in network pixels."""
        features, stride = board[sk.FEATURES].maps[LEVEL], board[sk.FEATURES].strides[LEVEL]
        hidden = self.net(features)
        logits, sides = (layer(hidden).flatten(2).transpose(1, 2) for layer in (self.classify, self.measure))
        ys, xs = (stride * (torch.arange(side, device=features.device) + 0.5) for side in features.shape[-2:])
        centers = torch.cartesian_prod(ys, xs).flip(1)
        sides = stride * sides.clamp(max=6).exp()
        return logits, torch.cat((centers - sides[..., :2], centers + sides[..., 2:]), dim=-1), centers

    def loss(self, logits: Tensor, boxes: Tensor, centers: Tensor, target: sk.StreamTruth) -> dict[str, Tensor]:
        """Compute the classes' cross-entropy and the boxes' GIoU loss, means over cells that show an object."""
        classes, weights = torch.zeros_like(logits), torch.zeros_like(logits)
        overlaps = [boxes.flatten()[:0]]
        for image in range(len(logits)):
            own = (target.regions.image_index == image).nonzero()[:, 0]
            cells, rows = assigned(centers, target.regions.boxes[own], target.crowd[own])
            rows = own[rows]
            classes[image, cells, target.regions.labels[rows]] = 1.0
            if target.exhaustive[image]:  # cells in no box are background, unless a crowd covers them
                weights[image] = 1.0
                weights[image, inside(centers, target.regions.boxes[own[target.crowd[own]]]).any(dim=1)] = 0.0
            weights[image, cells] = 1.0
            weights[image] *= (target.covered[image] & target.supervised[image]).float()
            if target.supervised[image]:
                overlaps.append(giou(boxes[image, cells], target.regions.boxes[rows]))
        losses = weights * F.binary_cross_entropy_with_logits(logits, classes, reduction="none")
        overlap = torch.cat(overlaps)
        return {
            "classification": losses.sum() / max(len(overlap), 1),
            "box": sk.safe_mean(1 - overlap) + 0.0 * boxes.sum(),
        }

    @torch.no_grad()
    def decode(self, logits: Tensor, boxes: Tensor, board: sk.Board) -> sk.Regions:
        """Return the best boxes of each image, without those that overlap a better one of their class."""
        kept_boxes = []
        for image, (scores, own) in enumerate(zip(logits.sigmoid(), boxes, strict=True)):
            best, labels = scores.max(dim=1)
            index = torch.full_like(labels, image)
            clipped = clip_to_images(own, index, board.images.sizes)
            solid = (clipped[:, 2:] - clipped[:, :2] > 1).all(dim=1) & (best > self.config.threshold)
            rows = solid.nonzero()[:, 0]
            kept = rows[batched_nms(clipped[rows], best[rows], labels[rows], 0.5)[: self.config.detections]]
            kept_boxes.append(sk.Regions(clipped[kept], index[kept], labels=labels[kept], scores=best[kept]))
        return sk.Regions.cat(kept_boxes)

    def labelled(self, given: sk.Regions, logits: Tensor, board: sk.Board) -> sk.Regions:
        """Return external boxes, with the class that the cell at their centre predicts where they have none."""
        stride, width = board[sk.FEATURES].strides[LEVEL], board[sk.FEATURES].maps[LEVEL].shape[-1]
        x, y = ((given.boxes[:, :2] + given.boxes[:, 2:]) / 2 // stride).long().unbind(1)
        cells = (y * width + x).clamp(max=logits.shape[1] - 1)
        scores, labels = logits[given.image_index, cells].sigmoid().max(dim=1)
        fresh = replace(given, labels=labels, scores=scores)
        return replace(fresh, parent=given.root, rows=given.root_rows)  # features of the same boxes are pooled once

    @torch.no_grad()
    def detections(self, board: sk.Board, targets: sk.Targets) -> sk.Regions:
        """Return what tasks with Policy.DETECTIONS learn on: detections, matched to ground truth of their class."""
        detected, target = self.decode(*self.predict(board)[:2], board), targets.streams[sk.OBJECTS]
        matched = torch.full_like(detected.labels, -1)
        for image in range(len(board.images)):
            own = (detected.image_index == image).nonzero()[:, 0]
            usable = ~target.crowd & target.supervised[target.regions.image_index]
            rows = (usable & (target.regions.image_index == image)).nonzero()[:, 0]
            boxes, labels = target.regions.boxes[rows], target.regions.labels[rows]
            best = match_same_label(detected.boxes[own], detected.labels[own], boxes, labels, 0.5)
            matched[own[best >= 0]] = rows[best[best >= 0]]
        return replace(detected, matched=matched)


def inside(centers: Tensor, boxes: Tensor) -> Tensor:
    """Return which centres lie in which boxes [HW G]."""
    offsets = torch.cat((centers[:, None] - boxes[None, :, :2], boxes[None, :, 2:] - centers[:, None]), dim=2)
    return offsets.amin(dim=2) > 0 if len(boxes) else offsets.new_zeros(offsets.shape[:2], dtype=torch.bool)


def assigned(centers: Tensor, boxes: Tensor, crowd: Tensor) -> tuple[Tensor, Tensor]:
    """Return cells that show an object, and the row of its box: the smallest box around their centre."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).where(~crowd, torch.inf)
    costs = torch.where(inside(centers, boxes), areas, torch.inf)
    if not len(boxes):
        none = torch.zeros(0, dtype=torch.int64, device=centers.device)
        return none, none
    cost, rows = costs.min(dim=1)
    cells = cost.isfinite().nonzero()[:, 0]
    return cells, rows[cells]


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalized IoU of boxes, row by row."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    union = sum((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (first, second)) - shared
    low, high = torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])
    hull = (high - low).prod(dim=1)
    return shared / union - (hull - union) / hull


def build_stages(core: sk.Core, config: ExampleConfig) -> Sequence[sk.Provider]:
    """Build the stages of the detector; there is one."""
    return [ExampleDetector(core, config)]


@sk.hookimpl
def scenekit_detectors() -> Iterator[sk.DetectorSpec]:
    """Register the detector; the entry point in pyproject.toml names this module."""
    yield sk.DetectorSpec(
        name="example",
        summary="one stage without anchors",
        build=build_stages,
        config=ExampleConfig,
        evaluator=DetectionEvaluator,
    )
