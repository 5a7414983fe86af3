"""SSD (Liu et al., SSD: Single Shot MultiBox Detector, 2016) and SSDLite (Sandler et al., MobileNetV2, 2018).

Letters: B images, N default boxes, C classes, K columns of class logits (C + 1 with background), M candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from scenekit.backbones.base import Level
from scenekit.detection.assign import assign
from scenekit.detection.config import Width
from scenekit.detection.one_stage.config import OneStageConfig
from scenekit.detection.one_stage.default_boxes import DefaultBoxConfig, DefaultBoxes
from scenekit.detection.one_stage.dense import DenseDetector, LossSums
from scenekit.detection.one_stage.predictions import DENSE_PREDICTIONS, Predictions, pyramid_strides
from scenekit.detection.one_stage.ssd_layers import FurtherMaps, LayerStyle, init_prior, prediction_layers
from scenekit.errors import InputError
from scenekit.keys import BACKBONE_FEATURES, FEATURES
from scenekit.model.board import Board
from scenekit.model.head import BACKGROUND, AxisNames, Core, Provider, rows_by_name
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import BoxCoder
from scenekit.ops.losses import covered_cross_entropy
from scenekit.ops.matching import Matcher, Matches
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch

_SSD300: Mapping[str, Any] = {
    "source": "backbone",
    "scale": 20.0,
    "dense": 1024,
    "extra": [[512, 2], [256, 2], [256, 1], [256, 1]],
    "boxes": {
        "scales": [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        "ratios": [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        "steps": [8, 16, 32, 64, 100, 300],
    },
    "detections": 200,
}
_SSDLITE320: Mapping[str, Any] = {
    "source": "backbone",
    "lite": True,
    "extra": [[512, 2], [256, 2], [256, 2], [128, 2]],
    "boxes": {"smallest": 0.2, "largest": 0.95},
    "score_threshold": 0.001,
    "nms_threshold": 0.55,
    "candidates": 300,
    "detections": 300,
}
_TENSORFLOW: Mapping[str, Any] = {
    "source": "backbone",
    "levels": [16, 32],
    "extra": [[512, 2], [256, 2], [256, 2], [128, 2]],
    "norm": "batch",
    "activation": "relu6",
    "padding": "tensorflow",
    "prediction_kernel": 1,
    "boxes": {"smallest": 0.2, "largest": 0.95, "reduced": 0.1, "unit": "shorter_side", "clip": False},
    "scores": "sigmoid",
    "min_negatives": 3,
    "nms_threshold": 0.6,
}


class SSDConfig(OneStageConfig):
    """SSD on the feature pyramid, or on the backbone's maps as in the paper.

    The option `preset` names the values of all options that are not set: `torchvision` is ssd300_vgg16,
    `torchvision_lite` ssdlite320_mobilenet_v3_large, `tensorflow` ssd_mobilenet_v2 of TensorFlow's object detection
    API; `default` is ours. They read the backbone, so that `model.pyramid` may be null, and were made for an input of
    `model.input.fixed_size`. `tensorflow` goes with a backbone of `padding: tensorflow`, whose map of stride 16 is that
    of `features.14.conv.0` of mobilenet_v2.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "torchvision": _SSD300,
        "torchvision_lite": _SSDLITE320,
        "tensorflow": _TENSORFLOW,
    }

    score_threshold: float = Field(default=0.01, ge=0, le=1)
    """Scores of detections are above this."""
    candidates: int = Field(default=400, ge=1)
    """Upper limit of the predictions of each class of an image that enter NMS, best first."""
    nms_threshold: float = Field(default=0.45, ge=0, le=1)
    """IoU above which NMS suppresses a detection of the same class."""
    source: Literal["pyramid", "backbone"] = "pyramid"
    """Which maps predict: those of the shared pyramid, or those of the backbone as they are."""
    levels: tuple[Width, ...] | None = None
    """Strides of the maps of the source that predict, fine to coarse; all if null."""
    scale: float | None = Field(default=None, gt=0)
    """First length of the finest map's features after L2 normalization; null leaves them as they are."""
    dense: int | None = Field(default=None, ge=1)
    """Channels of two convolutions behind the last map, in place of VGG's fully connected layers; none if null."""
    extra: tuple[tuple[Width, Width], ...] = ()
    """Channels and stride of each further map; one of stride 1 loses its border, unless `padding` is TensorFlow's."""
    lite: bool = False
    """Whether further maps and predictions are by depthwise separable convolutions with batch norm and ReLU6."""
    norm: Literal["batch"] | None = None
    """Normalization behind each convolution of further maps that are not `lite`."""
    activation: Literal["relu", "relu6"] = "relu"
    """Activation of further maps that are not `lite`."""
    padding: Literal["symmetric", "tensorflow"] = "symmetric"
    """Padding of the windows of further maps; "tensorflow" pads a map of even size at the right and bottom alone."""
    prediction_kernel: Literal[1, 3] = 3
    """Side of the windows of the convolutions that predict, where they are not `lite`."""
    boxes: DefaultBoxConfig = DefaultBoxConfig()
    """Default boxes."""
    trained_side: Width | None = None
    """Side in pixels of the square images on which the weights were trained. On images of other sizes, default boxes
    then have the sizes in pixels and the places that the network learned, and windows of `padding: tensorflow` begin
    where they began. If null, default boxes are parts of each image.
    """
    foreground: float = Field(default=0.5, ge=0, le=1)
    """IoU from which on a default box is positive; the best one of each ground-truth box always is."""
    negatives: float = Field(default=3.0, ge=0)
    """Negatives for each positive of an image: those of the greatest loss."""
    min_negatives: int = Field(default=0, ge=0)
    """Smallest number of negatives of an image, whatever its positives."""
    scores: Literal["softmax", "sigmoid"] = "softmax"
    """Scores and loss of the classes: softmax over them and background, or a sigmoid of each, where several may apply
    to one box.
    """
    background: bool = True
    """Whether there is a column of background logits. Softmax needs it; sigmoid scores do not use it, but it is
    trained, as in TensorFlow.
    """

    @model_validator(mode="after")
    def _softmax_needs_background(self) -> SSDConfig:
        if self.scores == "softmax" and not self.background:
            raise ValueError("background: softmax scores need it; set scores: sigmoid, or leave background out")
        return self

    @property
    def style(self) -> LayerStyle:
        """How further maps and predictions are computed."""
        return LayerStyle(self.lite, self.norm, self.activation, self.padding, self.prediction_kernel)


@dataclass(frozen=True)
class BestBoxMatcher:
    """Matching by IoU, where each ground-truth box also gets its best default box (section 2.2)."""

    matcher: Matcher
    """Matches all others."""

    def __call__(
        self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"], crowd: Bool[Tensor, " G"]
    ) -> Matches:
        """Match the default boxes of one image to its ground truth.

        Args:
            boxes: Default boxes, xyxy in pixels.
            targets: Ground-truth boxes, xyxy in pixels.
            crowd: Which ground-truth boxes are crowds.

        Returns:
            The match of each default box.
        """
        matches = self.matcher(boxes, targets, crowd)
        single = (~crowd).nonzero()[:, 0]
        if len(single) == 0:
            return matches
        best = box_iou(targets[single], boxes).argmax(dim=1)
        matched = matches.matched.index_put((best,), single)
        return Matches(matched, matches.negative & (matched < 0))


class SSDHead(Provider):
    """The network: further maps, and a convolution for each map.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector.
    """

    name = "ssd"
    provides = (DENSE_PREDICTIONS,)
    static = True

    def __init__(self, core: Core, config: SSDConfig) -> None:
        super().__init__()
        sources = source_maps(core, config)
        self.source = BACKBONE_FEATURES if config.source == "backbone" else FEATURES
        self.requires = (self.source,)
        self.chosen = [index for index, _ in sources]
        self.steps = [stride for _, stride in config.extra]
        channels = [level.channels for _, level in sources]
        side, coarsest = config.trained_side, sources[-1][1].stride
        cells = None if side is None else math.ceil(side / coarsest)
        self.maps = FurtherMaps(channels, config.scale, config.dense, config.extra, config.style, cells)
        self.boxes = DefaultBoxes(config.boxes, len(self.maps.channels), config.trained_side)
        names, per_cell = (*core.vocabulary.things, *((BACKGROUND,) if config.background else ())), self.boxes.per_cell
        self.classification = prediction_layers(self.maps.channels, per_cell, len(names), config.style)
        if config.scores == "sigmoid":
            for layer in self.classification:
                init_prior(layer)
        self.offsets = prediction_layers(self.maps.channels, per_cell, 4, config.style)
        last = ".1" if config.lite else ""
        self.axis_names = rows_by_name(
            {f"classification.{level}{last}": AxisNames(names, each=each) for level, each in enumerate(per_cell)}
        )

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the dense predictions on the board.

        Args:
            board: The board with the maps.
            targets: Targets of the batch; not used.

        Returns:
            No losses.
        """
        features: FeaturePyramid = board[self.source]
        sources = [features.maps[index] for index in self.chosen]
        levels = zip(self.maps(sources), self.classification, self.offsets, strict=True)
        maps = tuple(torch.cat((classes(level), offsets(level)), dim=1) for level, classes, offsets in levels)
        strides = [features.strides[index] for index in self.chosen]
        for step in self.steps:
            strides.append(strides[-1] * step)
        board.put(DENSE_PREDICTIONS, FeaturePyramid(maps, tuple(strides)))
        return {}


def source_maps(core: Core, config: SSDConfig) -> list[tuple[int, Level]]:
    """Return which maps SSD reads.

    Args:
        core: Channels and levels of the model.
        config: Options of the detector.

    Returns:
        Index and level of each map of the source, fine to coarse.

    Raises:
        InputError: If the source has no map of a stride in `levels`, or more than one.
    """
    levels = list(core.levels)
    if config.source == "pyramid":
        levels = [Level(core.channels, stride, stride / 2) for stride in pyramid_strides(core, "ssd")]
    strides = [level.stride for level in levels]
    for stride in config.levels or ():
        if (count := strides.count(stride)) != 1:
            where = "model.backbone.options.levels" if config.source == "backbone" else "model.pyramid"
            raise InputError(
                f"detector 'ssd': levels name stride {stride}, of which the {config.source} has {count} maps, among "
                f"strides {strides}; set model.detector_options.levels, or {where}"
            )
    chosen = strides if config.levels is None else config.levels
    return [(index, level) for index, level in enumerate(levels) if level.stride in chosen]


class SSDDetector(DenseDetector):
    """The stage that gives OBJECTS, with the losses `classification` and `box`.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector.
        boxes: Default boxes.
    """

    def __init__(self, core: Core, config: SSDConfig, boxes: DefaultBoxes) -> None:
        super().__init__(core, config, columns=len(core.vocabulary.things) + config.background)
        self.config, self.boxes = config, boxes
        self.coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.matcher = BestBoxMatcher(Matcher(config.foreground, config.foreground))

    def references(self, maps: FeaturePyramid, images: ImageBatch) -> Sequence[Float[Tensor, "_ 4"]]:
        """Return the default boxes of each level."""
        return self.boxes(maps, images.padded_size)

    def class_scores(self, logits: Float[Tensor, "*M K"]) -> Float[Tensor, "*M C"]:
        """Compute the probabilities of the classes beside background."""
        scores = logits.sigmoid() if self.config.scores == "sigmoid" else logits.softmax(dim=-1)
        return scores[..., : self.classes]

    def class_logits(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M _"]:
        """Return the logits as they are; beside sigmoids that of background is 0."""
        logits = predictions.logits[image, rows]
        return logits if self.config.scores == "softmax" else F.pad(logits[:, : self.classes], (0, 1))

    def decode(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M 4"]:
        """Decode the offsets from default boxes."""
        return self.coder.decode(predictions.offsets[image, rows], predictions.references[rows])

    def candidates(
        self, scores: Float[Tensor, "N C"], counts: Sequence[int]
    ) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
        """Choose the predictions of one image that enter NMS: the best ones of each class."""
        best, rows = scores.topk(min(self.options.candidates, len(scores)), dim=0)
        places, labels = (best > self.options.score_threshold).nonzero(as_tuple=True)
        return rows[places, labels], labels

    def loss_sums(self, predictions: Predictions, ground_truth: StreamTruth, image: int) -> LossSums:
        """Sum cross-entropy of positives and hard negatives, and smooth L1 of offsets.

        Negatives are those of the greatest loss, `negatives` for each positive of the image and at least
        `min_negatives`.
        """
        matches = assign(self.matcher, predictions.references, ground_truth, image)
        rows = (matches.matched >= 0).nonzero()[:, 0]
        targets = ground_truth.regions.boxes[matches.matched[rows]]
        encoded = self.coder.encode(targets, predictions.references[rows])
        sums = {
            "classification": self._class_loss(predictions.logits[image], matches, ground_truth, image),
            "box": F.smooth_l1_loss(predictions.offsets[image, rows], encoded, reduction="sum"),
        }
        return LossSums(sums, len(rows))

    def _class_loss(
        self, logits: Float[Tensor, "N K"], matches: Matches, ground_truth: StreamTruth, image: int
    ) -> Float[Tensor, ""]:
        """Return the loss of the positives of one image, and of the negatives of the greatest loss."""
        assert ground_truth.regions.labels is not None
        positive = matches.matched >= 0
        labels = ground_truth.regions.labels.new_full((len(logits),), -1)
        labels[positive] = ground_truth.regions.labels[matches.matched[positive]]
        entropy = sigmoid_cross_entropy if self.config.scores == "sigmoid" else covered_cross_entropy
        losses = entropy(logits, labels, ground_truth.covered[image].expand(len(logits), -1))
        negative = losses[matches.negative]
        count = max(int(self.config.negatives * int(positive.sum())), self.config.min_negatives)
        hardest = negative.topk(min(count, len(negative))).values
        return losses[positive].sum() + hardest.sum()


def sigmoid_cross_entropy(
    logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"], covered: Bool[Tensor, "N C"]
) -> Float[Tensor, " N"]:
    """Compute the sum of the cross-entropies of each row's sigmoids when only some classes are annotated.

    The logits of other classes get no gradient, except that of a row's own class, nor does that of background, where
    there is one, in a row without a class: such a row may show a class that is not annotated.

    Args:
        logits: Logits of the classes, then of background, if there is such a column.
        labels: Class of each row, -1 for background.
        covered: Which classes are annotated in the image of each row.

    Returns:
        The loss of each row.
    """
    classes = covered.shape[1]
    own = F.one_hot(labels.where(labels >= 0, classes), classes + 1)
    targets = own[:, : logits.shape[1]].to(logits)
    known = F.pad(covered, (0, 1)) | own.bool()
    known[:, classes] = covered.all(dim=1) | (labels >= 0)
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * known[:, : logits.shape[1]]).sum(dim=1)


def build_ssd(core: Core, config: SSDConfig) -> Sequence[Provider]:
    """Build the stages of SSD.

    Args:
        core: Channels, levels and vocabulary of the model.
        config: Options of the detector.

    Returns:
        The network, and the stage that gives OBJECTS.
    """
    head = SSDHead(core, config)
    return head, SSDDetector(core, config, head.boxes)
