"""A grid detector from the papers (Redmon et al., YOLO, 2016; Redmon & Farhadi, YOLO9000, 2017 and YOLOv3, 2018).

Each cell predicts, for each of its priors, an objectness, a correction of the prior, and classes; on one level of the
pyramid as YOLO9000, or on several as YOLOv3.

Letters: B images, N priors at all cells, C classes, F channels, P positive priors, G ground-truth boxes of an image,
M boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou

from scenekit.detection.layers import init_normal
from scenekit.detection.one_stage.config import OneStageConfig
from scenekit.detection.one_stage.dense import DenseDetector, LossSums
from scenekit.detection.one_stage.predictions import DENSE_PREDICTIONS, Predictions, pyramid_strides
from scenekit.detection.one_stage.priors import check_priors, kmeans_priors, shape_iou
from scenekit.detection.one_stage.retinanet import TowerConfig, tower
from scenekit.errors import InputError
from scenekit.keys import FEATURES
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Provider, rows_by_name
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import MAX_LOG_SCALE, intersection_over_area
from scenekit.scene import Scene
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch

FIRST_OBJECTNESS = 0.01
"""Objectness before training, as nearly all priors are background."""


class YoloConfig(OneStageConfig):
    """A grid of cells with base boxes (priors)."""

    levels: tuple[int, ...] = Field(default=(8, 16, 32), min_length=1)
    """Strides of the levels of the pyramid that predict, fine to coarse."""
    priors: tuple[tuple[float, float], ...] | None = None
    """Widths and heights in pixels of the network's input; by area, the smallest belong to the finest level, as many to
    each. If null, they are fitted to the training data before the model is built, by k-means with 1 - IoU.
    """
    fitted: int = Field(default=9, ge=1)
    """Number of priors that are fitted; a multiple of the number of levels."""
    tower: TowerConfig = TowerConfig(convs=1, norm="group")
    """Network of each level."""
    ignored: float = Field(default=0.6, ge=0, le=1)
    """IoU of a predicted box with ground truth above which it is no negative of the objectness."""
    no_object: float = Field(default=0.5, ge=0)
    """Weight of the objectness of negatives."""

    @model_validator(mode="after")
    def _priors_for_each_level(self) -> YoloConfig:
        count = self.fitted if self.priors is None else len(self.priors)
        if count == 0 or count % len(self.levels):
            raise ValueError(f"{count} priors for {len(self.levels)} levels; expected as many for each level")
        if self.priors is not None and min(chain(*self.priors)) <= 0:
            raise ValueError("priors: expected widths and heights above 0")
        return self

    @property
    def by_level(self) -> list[list[tuple[float, float]]]:
        """The priors of each level.

        Raises:
            InputError: If they are not known yet.
        """
        if self.priors is None:
            raise InputError(
                "detector 'yolo' has no priors yet: they are fitted to the training data when a run starts; to build a "
                "model without one, set model.detector_options.priors"
            )
        ordered, each = sorted(self.priors, key=math.prod), len(self.priors) // len(self.levels)
        return [ordered[start : start + each] for start in range(0, len(ordered), each)]


def prepared(config: YoloConfig, scenes: Iterable[Scene]) -> YoloConfig:
    """Return the options with fitted priors, or check those that are given.

    Args:
        config: Options of the detector.
        scenes: Ground truth of the training data, in pixels of the network's input.

    Returns:
        The completed options.

    Raises:
        InputError: If there are too few boxes, or the given priors fit none of them.
    """
    parts = [scene.objects.boxes[~scene.objects.crowd] for scene in scenes]
    boxes = torch.cat([torch.zeros(0, 4), *parts])
    sizes = boxes[:, 2:] - boxes[:, :2]
    if config.priors is not None:
        check_priors(torch.tensor(config.priors), sizes)
        return config
    priors = kmeans_priors(sizes, config.fitted).tolist()
    return config.model_copy(update={"priors": tuple((round(w, 2), round(h, 2)) for w, h in priors)})


class YoloLevel(nn.Module):
    """The network of one level.

    Args:
        channels: Channels F of the pyramid.
        classes: Number of classes C.
        priors: Priors per cell.
        config: Options of the tower.
    """

    def __init__(self, channels: int, classes: int, priors: int, config: TowerConfig) -> None:
        super().__init__()
        self.tower = tower(channels, config)
        self.classification, self.box, self.objectness = (
            nn.Conv2d(channels, each * priors, kernel_size=1).apply(init_normal) for each in (classes, 4, 1)
        )
        assert self.objectness.bias is not None
        nn.init.constant_(self.objectness.bias, math.log(FIRST_OBJECTNESS / (1 - FIRST_OBJECTNESS)))

    def forward(self, features: Float[Tensor, "B F _ _"]) -> Float[Tensor, "B _ _ _"]:
        """Compute classes, corrections and objectness of all priors.

        Args:
            features: The level of the pyramid.

        Returns:
            The predictions, in this order.
        """
        hidden = self.tower(features)
        return torch.cat((self.classification(hidden), self.box(hidden), self.objectness(hidden)), dim=1)


class YoloHead(Provider):
    """The network: one for each level.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.
    """

    name = "yolo"
    requires = (FEATURES,)
    provides = (DENSE_PREDICTIONS,)
    static = True

    def __init__(self, core: Core, config: YoloConfig) -> None:
        super().__init__()
        self.strides = config.levels
        things, priors = tuple(core.vocabulary.things), len(config.by_level[0])
        self.levels = nn.ModuleList(YoloLevel(core.channels, len(things), priors, config.tower) for _ in config.levels)
        layers = [f"levels.{level}.classification" for level in range(len(config.levels))]
        self.axis_names = rows_by_name(dict.fromkeys(layers, AxisNames(things, each=priors)))

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the dense predictions on the board.

        Args:
            board: The board with the pyramid.
            targets: Targets of the batch; not used.

        Returns:
            No losses.
        """
        features: FeaturePyramid = board[FEATURES]
        chosen = [features.maps[features.strides.index(stride)] for stride in self.strides]
        maps = tuple(level(own) for level, own in zip(self.levels, chosen, strict=True))
        board.put(DENSE_PREDICTIONS, FeaturePyramid(maps, self.strides))
        return {}


class YoloDetector(DenseDetector):
    """The stage that gives OBJECTS, with the losses `classification`, `box` and `objectness`.

    Args:
        core: Strides and vocabulary of the model.
        config: Options of the detector.

    Raises:
        InputError: If the pyramid has no level of a stride in `levels`.
    """

    def __init__(self, core: Core, config: YoloConfig) -> None:
        super().__init__(core, config, further=1)
        strides = pyramid_strides(core, "yolo")
        if missing := [stride for stride in config.levels if stride not in strides]:
            raise InputError(
                f"detector 'yolo': levels name stride {missing[0]}, the pyramid has {list(strides)}; set "
                "model.detector_options.levels, or model.pyramid"
            )
        self.config = config
        self.priors = config.by_level

    def references(self, maps: FeaturePyramid, images: ImageBatch) -> Sequence[Float[Tensor, "_ 4"]]:
        """Return the priors at the center of every cell of each level."""
        return [
            self._at_cells(level, stride, priors)
            for level, stride, priors in zip(maps.maps, maps.strides, self.priors, strict=True)
        ]

    @staticmethod
    def _at_cells(
        level: Float[Tensor, "B _ _ _"], stride: int, priors: Sequence[tuple[float, float]]
    ) -> Float[Tensor, "_ 4"]:
        y, x = (stride * (torch.arange(side, device=level.device) + 0.5) for side in level.shape[2:])
        centers = torch.cartesian_prod(y, x).flip(1)[:, None]
        half = torch.tensor(priors, device=level.device) / 2
        return torch.cat((centers - half, centers + half), dim=2).flatten(0, 1)

    def class_scores(self, logits: Float[Tensor, "*M C"]) -> Float[Tensor, "*M C"]:
        """Compute the probability of each class of an object."""
        return logits.softmax(dim=-1)

    def scores(self, predictions: Predictions) -> Float[Tensor, "B N C"]:
        """Compute the probabilities of an object of each class."""
        return predictions.logits.softmax(dim=2) * predictions.further.sigmoid()

    def class_logits(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M _"]:
        """Return the logarithms of the probabilities of an object of each class, and of no object."""
        objectness = predictions.further[image, rows]
        classes = F.logsigmoid(objectness) + predictions.logits[image, rows].log_softmax(dim=1)
        return torch.cat((classes, F.logsigmoid(-objectness)), dim=1)

    def decode(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M 4"]:
        """Decode corrections: a center within the cell, and factors on the sizes of the prior (YOLO9000, section 2)."""
        offsets, references = predictions.offsets[image, rows], predictions.references[rows]
        within = offsets[:, :2].sigmoid() - 0.5
        center = (references[:, :2] + references[:, 2:]) / 2 + within * self._strides(predictions)[rows, None]
        half = offsets[:, 2:].clamp(max=MAX_LOG_SCALE).exp() * (references[:, 2:] - references[:, :2]) / 2
        return torch.cat((center - half, center + half), dim=1)

    def _strides(self, predictions: Predictions) -> Float[Tensor, " N"]:
        """Return the stride of each row."""
        strides = predictions.references.new_tensor(self.config.levels)
        return strides.repeat_interleave(torch.tensor(predictions.counts, device=strides.device))

    def responsible(self, boxes: Float[Tensor, "M 4"], predictions: Predictions) -> Int[Tensor, " M"]:
        """Return the prior of the most similar shape at the cell that contains the center of each box."""
        rows = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        each = len(self.priors[0])
        best = shape_iou(boxes[:, 2:] - boxes[:, :2], boxes.new_tensor(list(chain(*self.priors)))).argmax(dim=1)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        start = 0
        for level, count in enumerate(predictions.counts):
            own = (best // each == level).nonzero()[:, 0]
            cells = predictions.references[start : start + count : each]
            distance = (centers[own][:, None] - (cells[:, :2] + cells[:, 2:]) / 2).abs().amax(dim=2)
            if len(own):
                rows[own] = start + distance.argmin(dim=1) * each + best[own] % each
            start += count
        return rows

    def loss_sums(self, predictions: Predictions, ground_truth: StreamTruth, image: int) -> LossSums:
        """Sum cross-entropy of the classes, squared errors of corrections, and cross-entropy of the objectness.

        The target of the objectness is the IoU of the predicted box. An image whose annotations do not cover
        all classes gives no negatives, as an object of another class may be anywhere.
        """
        assert ground_truth.regions.labels is not None
        annotated = (ground_truth.regions.image_index == image) & ground_truth.supervised[image]
        matched = (annotated & ~ground_truth.crowd).nonzero()[:, 0]
        targets = ground_truth.regions.boxes[matched]
        rows = self.responsible(targets, predictions)
        every = torch.arange(len(predictions.references), device=rows.device)
        with torch.no_grad():
            boxes = self.decode(predictions, image, every)
            overlaps = box_iou(boxes, targets)
            negative = self._negative(boxes, overlaps, ground_truth, image, annotated)
            wanted = torch.zeros_like(boxes[:, 0]).index_put((rows,), overlaps[rows, torch.arange(len(rows))])
        weights = (negative * self.config.no_object).index_fill(0, rows, 1.0)
        classes = covered_softmax(
            predictions.logits[image, rows], ground_truth.regions.labels[matched], ground_truth.covered[image]
        )
        sums = {
            "classification": classes.sum(),
            "box": self._box_errors(predictions, image, rows, targets).sum(),
            "objectness": F.binary_cross_entropy_with_logits(
                predictions.further[image, :, 0], wanted, weight=weights, reduction="sum"
            ),
        }
        return LossSums(sums, len(rows))

    def _negative(
        self,
        boxes: Float[Tensor, "N 4"],
        overlaps: Float[Tensor, "N G"],
        ground_truth: StreamTruth,
        image: int,
        annotated: Bool[Tensor, " _"],
    ) -> Bool[Tensor, " N"]:
        """Return the predictions of one image that show no object for certain."""
        complete = ground_truth.supervised[image] & ground_truth.exhaustive[image] & ground_truth.covered[image].all()
        negative = complete.expand(len(boxes))
        if overlaps.shape[1]:
            negative = negative & (overlaps.amax(dim=1) <= self.config.ignored)
        crowds = ground_truth.regions.boxes[annotated & ground_truth.crowd]
        if len(crowds):
            negative = negative & (intersection_over_area(boxes, crowds).amax(dim=1) <= 0.5)
        return negative

    def _box_errors(
        self, predictions: Predictions, image: int, rows: Int[Tensor, " P"], targets: Float[Tensor, "P 4"]
    ) -> Float[Tensor, "P 4"]:
        offsets, references = predictions.offsets[image, rows], predictions.references[rows]
        centers, cells = (targets[:, :2] + targets[:, 2:]) / 2, (references[:, :2] + references[:, 2:]) / 2
        within = (centers - cells) / self._strides(predictions)[rows, None] + 0.5
        factors = (targets[:, 2:] - targets[:, :2]) / (references[:, 2:] - references[:, :2])
        return torch.cat((offsets[:, :2].sigmoid() - within, offsets[:, 2:] - factors.log()), dim=1).square()


def covered_softmax(
    logits: Float[Tensor, "P C"], labels: Int[Tensor, " P"], covered: Bool[Tensor, " C"]
) -> Float[Tensor, " P"]:
    """Compute the cross-entropy of objects over the annotated classes; the logits of the others get no gradient.

    Args:
        logits: Class logits.
        labels: Class of each object.
        covered: Which classes are annotated.

    Returns:
        The loss of each.
    """
    shown = covered | F.one_hot(labels, logits.shape[1]).bool()
    return F.cross_entropy(logits.masked_fill(~shown, -torch.inf), labels, reduction="none")


def build_yolo(core: Core, config: YoloConfig) -> Sequence[Provider]:
    """Build the stages of the grid detector.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        The network, and the stage that gives OBJECTS.
    """
    return YoloHead(core, config), YoloDetector(core, config)
