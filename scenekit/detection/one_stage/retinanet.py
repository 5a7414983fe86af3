"""RetinaNet (Lin et al., Focal Loss for Dense Object Detection, 2017): anchors, two towers, and the focal loss.

Letters: B images, N anchors, C classes, P positive anchors of an image, F channels of the pyramid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from scenekit.backbones.norm import group_norm
from scenekit.config import Config
from scenekit.detection.anchors import AnchorGenerator
from scenekit.detection.assign import assign
from scenekit.detection.layers import init_normal
from scenekit.detection.one_stage.config import DenseAnchorConfig, OneStageConfig
from scenekit.detection.one_stage.dense import DenseDetector, LossSums, class_weights
from scenekit.detection.one_stage.predictions import LevelHead, Predictions, pyramid_strides
from scenekit.model.head import AxisNames, Core, Provider, rows_by_name
from scenekit.model.targets import StreamTruth
from scenekit.ops.boxes import BoxCoder
from scenekit.ops.matching import Matcher, Matches
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch

_SIZES = [[side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))] for side in (32, 64, 128, 256, 512)]
_TORCHVISION: Mapping[str, Any] = {
    "anchors": {"sizes": _SIZES, "rounded": True, "stride": "grid"},
    "detections": 300,
    "pooler": {"aligned": False},
}


class FocalConfig(Config):
    """Focal loss: cross-entropy times alpha (1 - p)^gamma, where p is the probability of what is right."""

    alpha: float = Field(default=0.25, ge=0, le=1)
    """Weight of positives; that of negatives is 1 - alpha."""
    gamma: float = Field(default=2.0, ge=0)
    """Exponent by which the loss of what is easy falls; 0 is cross-entropy."""
    prior: float = Field(default=0.01, gt=0, lt=1)
    """Score of every class before training, so that the many negatives do not swamp the first steps."""


class TowerConfig(Config):
    """The convolutions that classes and boxes have each for themselves."""

    convs: int = Field(default=4, ge=0, le=100)
    """Number of 3x3 convolutions."""
    norm: Literal["group"] | None = None
    """Normalization after each convolution."""


class RetinaNetConfig(OneStageConfig):
    """RetinaNet on the feature pyramid.

    The option `preset` names the values of all options that are not set: `torchvision` is retinanet_resnet50_fpn,
    `torchvision_v2` retinanet_resnet50_fpn_v2; `default` is ours.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "torchvision": _TORCHVISION,
        "torchvision_v2": {**_TORCHVISION, "tower": {"norm": "group"}, "box_loss": "giou"},
    }

    anchors: DenseAnchorConfig = DenseAnchorConfig()
    """Reference boxes."""
    tower: TowerConfig = TowerConfig()
    """Network of classes, and of boxes."""
    foreground: float = Field(default=0.5, ge=0, le=1)
    """IoU from which on an anchor is positive."""
    background: float = Field(default=0.4, ge=0, le=1)
    """IoU below which an anchor is negative."""
    focal: FocalConfig = FocalConfig()
    """Loss of the classes."""
    box_loss: Literal["l1", "giou"] = "l1"
    """Loss of the boxes: L1 of their offsets, or generalized IoU."""


def tower(channels: int, config: TowerConfig, bias: bool = False) -> nn.Sequential:
    """Build the convolutions of classes or boxes.

    Args:
        channels: Channels of the pyramid, which every layer keeps.
        config: Number of layers and their normalization.
        bias: Whether convolutions before a normalization have a bias, too.

    Returns:
        The layers.
    """

    def layer() -> nn.Sequential:
        normed = config.norm is not None
        conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=bias or not normed)
        return nn.Sequential(conv, *([group_norm(channels)] if normed else []), nn.ReLU())

    return nn.Sequential(*(layer() for _ in range(config.convs))).apply(init_normal)


def class_layer(channels: int, classes: int, each: int, prior: float) -> nn.Conv2d:
    """Build the convolution that gives the logits of all classes, each for every reference box of a cell.

    Args:
        channels: Channels of the tower.
        classes: Number of classes.
        each: Reference boxes per cell.
        prior: Score of every class before training.

    Returns:
        The layer.
    """
    layer = nn.Conv2d(channels, classes * each, kernel_size=3, padding=1).apply(init_normal)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, math.log(prior / (1 - prior)))
    return layer


class RetinaNetHead(LevelHead):
    """The network: two towers that all levels share.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector.
        anchors: Anchors per cell.
    """

    name = "retinanet"

    def __init__(self, core: Core, config: RetinaNetConfig, anchors: int) -> None:
        super().__init__()
        things = tuple(core.vocabulary.things)
        self.class_tower, self.box_tower = (tower(core.channels, config.tower) for _ in range(2))
        self.classification = class_layer(core.channels, len(things), anchors, config.focal.prior)
        self.offsets = nn.Conv2d(core.channels, 4 * anchors, kernel_size=3, padding=1).apply(init_normal)
        self.axis_names = rows_by_name({"classification": AxisNames(things, each=anchors)})

    def predict(self, features: Float[Tensor, "B F _ _"]) -> Float[Tensor, "B _ _ _"]:
        """Compute class logits and box offsets."""
        classes = self.classification(self.class_tower(features))
        return torch.cat((classes, self.offsets(self.box_tower(features))), dim=1)


class RetinaNetDetector(DenseDetector):
    """The stage that gives OBJECTS, with the losses `classification` and `box`.

    Args:
        core: Strides and vocabulary of the model.
        config: Options of the detector.
    """

    def __init__(self, core: Core, config: RetinaNetConfig) -> None:
        super().__init__(core, config)
        strides = pyramid_strides(core, "retinanet")
        self.config = config
        self.anchors = AnchorGenerator(config.anchors.on_levels(strides), len(strides))
        self.coder = BoxCoder()
        self.matcher = Matcher(config.foreground, config.background, low_quality=True)

    def references(self, maps: FeaturePyramid, images: ImageBatch) -> Sequence[Float[Tensor, "_ 4"]]:
        """Return the anchors of each level."""
        return self.anchors(maps, images.padded_size)

    def class_scores(self, logits: Float[Tensor, "*M C"]) -> Float[Tensor, "*M C"]:
        """Compute a score of each class for itself."""
        return logits.sigmoid()

    def decode(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M 4"]:
        """Decode the offsets from anchors."""
        return self.coder.decode(predictions.offsets[image, rows], predictions.references[rows])

    def loss(self, predictions: Predictions, images: ImageBatch, ground_truth: StreamTruth) -> dict[str, Tensor]:
        """Compute the means over annotated images of both losses, each divided by the image's positive anchors."""
        parts = [self.loss_sums(predictions, ground_truth, image) for image in range(len(images))]
        count = ground_truth.supervised.sum().clamp(min=1)
        return {
            name: torch.stack([part.sums[name] / max(part.positives, 1) for part in parts]).sum() / count
            for name in parts[0].sums
        }

    def loss_sums(self, predictions: Predictions, ground_truth: StreamTruth, image: int) -> LossSums:
        """Sum the focal loss of the classes, and the loss of the boxes."""
        matches = assign(self.matcher, predictions.references, ground_truth, image)
        rows = (matches.matched >= 0).nonzero()[:, 0]
        sums = {
            "classification": focal_class_loss(predictions, matches, ground_truth, image, self.config.focal),
            "box": self._box_loss(predictions, image, rows, ground_truth.regions.boxes[matches.matched[rows]]),
        }
        return LossSums(sums, len(rows))

    def _box_loss(
        self, predictions: Predictions, image: int, rows: Int[Tensor, " P"], targets: Float[Tensor, "P 4"]
    ) -> Float[Tensor, ""]:
        offsets, anchors = predictions.offsets[image, rows], predictions.references[rows]
        if self.config.box_loss == "l1":
            return (offsets - self.coder.encode(targets, anchors)).abs().sum()
        boxes = self.decode(predictions, image, rows)
        overlap: Tensor = generalized_box_iou_loss(boxes, targets, reduction="sum")
        return overlap


def focal_class_loss(
    predictions: Predictions, matches: Matches, ground_truth: StreamTruth, image: int, config: FocalConfig
) -> Float[Tensor, ""]:
    """Sum the focal loss of the class scores of one image that have a target.

    Args:
        predictions: Predictions of the batch.
        matches: The match of each reference box.
        ground_truth: Ground truth of the objects.
        image: Number of the image in the batch.
        config: Options of the loss.

    Returns:
        The sum.
    """
    positive = matches.matched >= 0
    rows, logits = positive.nonzero()[:, 0], predictions.logits[image]
    targets = one_hot(logits, rows, matches.matched[rows], ground_truth)
    weights = class_weights(matches.negative, targets, ground_truth, image)
    return (focal_loss(logits, targets, config) * weights).sum()


def one_hot(
    logits: Float[Tensor, "N C"], rows: Int[Tensor, " P"], matched: Int[Tensor, " P"], ground_truth: StreamTruth
) -> Float[Tensor, "N C"]:
    """Return the target of every class score: 1 for the class of the ground truth that a row is matched to.

    Args:
        logits: Logits, whose type and device the result has.
        rows: Positive rows.
        matched: Row of the ground truth of each.
        ground_truth: Ground truth of the objects.

    Returns:
        0 or 1.
    """
    assert ground_truth.regions.labels is not None
    classes = torch.zeros_like(logits)
    classes[rows, ground_truth.regions.labels[matched]] = 1.0
    return classes


def focal_loss(
    logits: Float[Tensor, "*N C"], classes: Float[Tensor, "*N C"], config: FocalConfig
) -> Float[Tensor, "*N C"]:
    """Compute the focal loss of each class score (eq. 5).

    Args:
        logits: Logits.
        classes: Targets, 0 or 1.
        config: Options of the loss.

    Returns:
        The loss of each.
    """
    loss: Tensor = sigmoid_focal_loss(logits, classes, config.alpha, config.gamma)
    return loss


def build_retinanet(core: Core, config: RetinaNetConfig) -> Sequence[Provider]:
    """Build the stages of RetinaNet.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        The network, and the stage that gives OBJECTS.
    """
    detector = RetinaNetDetector(core, config)
    return RetinaNetHead(core, config, detector.anchors.config.per_cell), detector
