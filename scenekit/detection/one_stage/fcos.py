"""FCOS (Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, 2019): locations in place of anchors.

The reference box of a location is the square of one stride around it.

Letters: B images, N locations, C classes, G ground-truth boxes of an image, P positive locations, F channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from scenekit.detection.anchors import AnchorGenerator
from scenekit.detection.assign import assign
from scenekit.detection.config import AnchorConfig
from scenekit.detection.layers import init_normal
from scenekit.detection.one_stage.config import OneStageConfig
from scenekit.detection.one_stage.dense import DenseDetector, LossSums
from scenekit.detection.one_stage.predictions import LevelHead, Predictions, pyramid_strides
from scenekit.detection.one_stage.retinanet import FocalConfig, TowerConfig, class_layer, focal_class_loss, tower
from scenekit.model.head import AxisNames, Core, Provider, rows_by_name
from scenekit.model.targets import StreamTruth
from scenekit.ops.boxes import intersection_over_area
from scenekit.ops.matching import Matches
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch

RANGE = (4.0, 8.0)
"""Limits of the greatest distance to a side of the box that a level predicts, in its strides (section 3.2)."""


class FCOSConfig(OneStageConfig):
    """FCOS on the feature pyramid; the preset `torchvision` is fcos_resnet50_fpn, `default` is ours."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "torchvision": {"stride": "grid", "pooler": {"aligned": False}},
    }

    score_threshold: float = Field(default=0.2, ge=0, le=1)
    """Scores of detections are above this."""
    nms_threshold: float = Field(default=0.6, ge=0, le=1)
    """IoU above which NMS suppresses a detection of the same class."""
    tower: TowerConfig = TowerConfig(norm="group")
    """Network of classes, and of boxes and centerness."""
    radius: float = Field(default=1.5, gt=0)
    """Largest distance of a positive location from the center of its box along each axis, in strides."""
    focal: FocalConfig = FocalConfig()
    """Loss of the classes."""
    offset: float = 0.0
    """Location of cell (0, 0), in strides."""
    stride: Literal["nominal", "grid"] = "nominal"
    """"nominal" is the stride of the pyramid; "grid" divides the padded image by the cells of the level, rounded down,
    as torchvision.
    """


@dataclass(frozen=True)
class LocationMatcher:
    """Matching of locations: near the center of a box, inside it, and on the level that predicts boxes of its size.

    A location that matches several boxes belongs to the smallest. Crowds match none, and locations inside a crowd are
    ignored instead of negative.
    """

    radius: float
    """Largest distance from the center along each axis, in strides."""

    def __call__(
        self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"], crowd: Bool[Tensor, " G"]
    ) -> Matches:
        """Match the locations of one image to its ground truth.

        Args:
            boxes: The square of one stride around each location.
            targets: Ground-truth boxes, xyxy in pixels.
            crowd: Which ground-truth boxes are crowds.

        Returns:
            The match of each location.
        """
        nothing = torch.full((len(boxes),), -1, device=boxes.device)
        negative = torch.ones_like(nothing, dtype=torch.bool)
        if crowd.any():
            negative = intersection_over_area(boxes, targets[crowd]).amax(dim=1) <= 0.5
        single = (~crowd).nonzero()[:, 0]
        if len(single) == 0:
            return Matches(nothing, negative)
        candidates = self._candidates(boxes, targets[single])
        area = (targets[single, 2:] - targets[single, :2]).prod(dim=1)
        smallest, best = area.expand_as(candidates).masked_fill(~candidates, torch.inf).min(dim=1)
        matched = single[best].where(smallest.isfinite(), -1)
        return Matches(matched, negative & (matched < 0))

    def _candidates(self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"]) -> Bool[Tensor, "N G"]:
        points, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2] - boxes[:, 0]
        centers = (targets[:, :2] + targets[:, 2:]) / 2
        near = (points[:, None] - centers).abs().amax(dim=2) < self.radius * sizes[:, None]
        sides = torch.cat((points[:, None] - targets[:, :2], targets[:, 2:] - points[:, None]), dim=2)
        farthest, (lower, upper) = sides.amax(dim=2), level_range(sizes)
        return near & (sides.amin(dim=2) > 0) & (farthest > lower[:, None]) & (farthest < upper[:, None])


def level_range(sizes: Float[Tensor, " N"]) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Return between which distances to the farthest side of a box each location predicts it, in pixels.

    Args:
        sizes: Stride of each location in pixels.

    Returns:
        Lower and upper limits; the finest level has no lower one, the coarsest no upper one.
    """
    lower = (RANGE[0] * sizes).where(sizes > sizes.min(), 0.0)
    return lower, (RANGE[1] * sizes).where(sizes < sizes.max(), torch.inf)


class FCOSHead(LevelHead):
    """The network: a tower for the classes, one for distances and centerness; all levels share them.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector.
    """

    name = "fcos"

    def __init__(self, core: Core, config: FCOSConfig) -> None:
        super().__init__()
        things = tuple(core.vocabulary.things)
        self.class_tower, self.box_tower = (tower(core.channels, config.tower, bias=True) for _ in range(2))
        self.classification = class_layer(core.channels, len(things), 1, config.focal.prior)
        self.distances, self.centerness = (
            nn.Conv2d(core.channels, outputs, kernel_size=3, padding=1).apply(init_normal) for outputs in (4, 1)
        )
        self.axis_names = rows_by_name({"classification": AxisNames(things)})

    def predict(self, features: Float[Tensor, "B F _ _"]) -> Float[Tensor, "B _ _ _"]:
        """Compute class logits, distances and centerness."""
        boxes = self.box_tower(features)
        classes = self.classification(self.class_tower(features))
        return torch.cat((classes, F.relu(self.distances(boxes)), self.centerness(boxes)), dim=1)


class FCOSDetector(DenseDetector):
    """The stage that gives OBJECTS, with the losses `classification`, `box` and `centerness`.

    Args:
        core: Strides and vocabulary of the model.
        config: Options of the detector.
    """

    def __init__(self, core: Core, config: FCOSConfig) -> None:
        super().__init__(core, config, further=1)
        strides = pyramid_strides(core, "fcos")
        squares = AnchorConfig(
            sizes=tuple((float(stride),) for stride in strides),
            ratios=(1.0,),
            offset=config.offset,
            stride=config.stride,
        )
        self.config = config
        self.locations = AnchorGenerator(squares, len(strides))
        self.matcher = LocationMatcher(config.radius)

    def references(self, maps: FeaturePyramid, images: ImageBatch) -> Sequence[Float[Tensor, "_ 4"]]:
        """Return the square of one stride around each location."""
        return self.locations(maps, images.padded_size)

    def class_scores(self, logits: Float[Tensor, "*M C"]) -> Float[Tensor, "*M C"]:
        """Compute a score of each class for itself."""
        return logits.sigmoid()

    def scores(self, predictions: Predictions) -> Float[Tensor, "B N C"]:
        """Compute the geometric means of the classes' scores and the centerness."""
        return (predictions.logits.sigmoid() * predictions.further.sigmoid()).sqrt()

    def decode(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M 4"]:
        """Decode distances to the left, upper, right and lower side, in strides."""
        distances, references = predictions.offsets[image, rows], predictions.references[rows]
        point = (references[:, :2] + references[:, 2:]) / 2
        size = references[:, 2:] - references[:, :2]
        return torch.cat((point - distances[:, :2] * size, point + distances[:, 2:] * size), dim=1)

    def loss_sums(self, predictions: Predictions, ground_truth: StreamTruth, image: int) -> LossSums:
        """Sum focal loss, generalized IoU and cross-entropy of centerness."""
        matches = assign(self.matcher, predictions.references, ground_truth, image)
        rows = (matches.matched >= 0).nonzero()[:, 0]
        targets, references = ground_truth.regions.boxes[matches.matched[rows]], predictions.references[rows]
        sums = {
            "classification": focal_class_loss(predictions, matches, ground_truth, image, self.config.focal),
            "box": generalized_box_iou_loss(self.decode(predictions, image, rows), targets, reduction="sum"),
            "centerness": F.binary_cross_entropy_with_logits(
                predictions.further[image, rows, 0], centerness(references, targets), reduction="sum"
            ),
        }
        return LossSums(sums, len(rows))

    def responsible(self, boxes: Float[Tensor, "M 4"], predictions: Predictions) -> Int[Tensor, " M"]:
        """Return the location nearest to the center of each box, on the level that predicts boxes of its size."""
        references = predictions.references
        points, sizes = (references[:, :2] + references[:, 2:]) / 2, references[:, 2] - references[:, 0]
        lower, upper = level_range(sizes)
        centers, farthest = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) / 2
        distance = (centers[:, None] - points).abs().amax(dim=2)
        level = (farthest[:, None] >= lower) & (farthest[:, None] < upper)
        return distance.masked_fill(~level, torch.inf).argmin(dim=1)


def centerness(references: Float[Tensor, "P 4"], targets: Float[Tensor, "P 4"]) -> Float[Tensor, " P"]:
    """Compute how central each location lies in its box: 1 at its center, 0 at its border (eq. 3).

    Args:
        references: Reference boxes of the locations.
        targets: The box of each, which contains the location.

    Returns:
        Centerness, 0..1.
    """
    point = (references[:, :2] + references[:, 2:]) / 2
    before, after = point - targets[:, :2], targets[:, 2:] - point
    shares = torch.minimum(before, after) / torch.maximum(before, after)
    return shares.prod(dim=1).sqrt()


def build_fcos(core: Core, config: FCOSConfig) -> Sequence[Provider]:
    """Build the stages of FCOS.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        The network, and the stage that gives OBJECTS.
    """
    return FCOSHead(core, config), FCOSDetector(core, config)
