"""From dense predictions to objects: what all one-stage detectors share.

Letters: B images, N reference boxes, K columns of class logits, C foreground classes, M candidates or regions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, box_iou, nms

from scenekit.detection.assign import ground_truth_of, independent, match_detections, sample_regions
from scenekit.detection.one_stage.config import OneStageConfig
from scenekit.detection.one_stage.predictions import DENSE_PREDICTIONS, Predictions
from scenekit.detection.pooler import RoIPooler
from scenekit.keys import OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import clip_to_images, large_enough
from scenekit.ops.matching import Matcher
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

CHUNK = 256
"""External boxes that are compared with all reference boxes at once."""


class LossSums(NamedTuple):
    """The losses of one image."""

    sums: Mapping[str, Tensor]
    """Sums over its reference boxes, by name."""
    positives: int
    """How many reference boxes are matched to an object."""


class DenseDetector(Provider):
    """A stage that turns dense predictions into OBJECTS; a subclass says how boxes, scores and losses are computed.

    Without targets OBJECTS are the detections. With targets they are what other tasks are trained on: detections that
    match ground truth, with the boxes as predicted, and the ground-truth boxes. An external region keeps its box and
    gets the class scores of the reference box that is responsible for it in training: the network learns its classes
    there. `class_boxes` are the same box for each class, as these detectors predict one.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.
        columns: Number of class logits K of each reference box; that of the classes if None.
        further: Number of further logits of each reference box.

    Attributes:
        max_detections: Replaces the option `detections`, the limit per image, where it is not None.
    """

    name = "detection"
    requires = (DENSE_PREDICTIONS,)
    provides = (OBJECTS,)

    def __init__(self, core: Core, config: OneStageConfig, columns: int | None = None, further: int = 0) -> None:
        super().__init__()
        self.options = config
        self.classes = len(core.vocabulary.things)
        self.columns, self.further = self.classes if columns is None else columns, further
        self.max_detections: int | None = None
        self.pooler = RoIPooler(config.pooler)

    @abstractmethod
    def references(self, maps: FeaturePyramid, images: ImageBatch) -> Sequence[Float[Tensor, "_ 4"]]:
        """Return the reference boxes of each level.

        Args:
            maps: Maps with the grid of each level.
            images: Images of the batch.

        Returns:
            Boxes, xyxy in network pixels.
        """

    @abstractmethod
    def class_scores(self, logits: Float[Tensor, "*M K"]) -> Float[Tensor, "*M C"]:
        """Compute the scores of the classes, 0..1.

        Args:
            logits: Class logits.

        Returns:
            The scores.
        """

    @abstractmethod
    def decode(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M 4"]:
        """Decode predicted boxes.

        Args:
            predictions: Predictions of the batch.
            image: The image, or that of each row.
            rows: Reference boxes.

        Returns:
            Boxes, xyxy in network pixels, not clipped.
        """

    @abstractmethod
    def loss_sums(self, predictions: Predictions, ground_truth: StreamTruth, image: int) -> LossSums:
        """Sum the losses of one image.

        Args:
            predictions: Predictions of the batch.
            ground_truth: Ground truth of the objects.
            image: Number of the image in the batch.

        Returns:
            The sums, and by how many positives they are to be divided.
        """

    def loss(self, predictions: Predictions, images: ImageBatch, ground_truth: StreamTruth) -> dict[str, Tensor]:
        """Compute the losses: by default the sums over the batch, divided by the positives of the batch.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.
            ground_truth: Ground truth of the objects.

        Returns:
            Losses by name.
        """
        parts = [self.loss_sums(predictions, ground_truth, image) for image in range(len(images))]
        positives = max(sum(part.positives for part in parts), 1)
        return {name: torch.stack([part.sums[name] for part in parts]).sum() / positives for name in parts[0].sums}

    def scores(self, predictions: Predictions) -> Float[Tensor, "B N C"]:
        """Compute the scores by which detections are ranked: those of the classes, by default.

        Args:
            predictions: Predictions of the batch.

        Returns:
            Scores, 0..1.
        """
        return self.class_scores(predictions.logits)

    def class_logits(
        self, predictions: Predictions, image: int | Int[Tensor, " M"], rows: Int[Tensor, " M"]
    ) -> Float[Tensor, "M _"]:
        """Return logits of the classes, then background; beside independent sigmoids background has the logit 0.

        Args:
            predictions: Predictions of the batch.
            image: The image, or that of each row.
            rows: Reference boxes.

        Returns:
            Logits whose softmax for a single class and background is the sigmoid.
        """
        return F.pad(predictions.logits[image, rows], (0, 1))

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put OBJECTS on the board.

        Args:
            board: The board with the dense predictions.
            targets: Targets of the batch, if there are any.

        Returns:
            The losses, if there are targets.
        """
        predictions = self.predictions(board)
        if OBJECTS in board.given:
            board.put(OBJECTS, self.labelled(predictions, board.given[OBJECTS], board.images))
            return {}
        if targets is None:
            board.put(OBJECTS, self.detect(predictions, board.images))
            return {}
        ground_truth = ground_truth_of(targets, OBJECTS, board.images, self.classes)
        board.put(OBJECTS, self.training_regions(predictions, board.images, ground_truth))
        return self.loss(predictions, board.images, ground_truth)

    def predictions(self, board: Board) -> Predictions:
        """Read the predictions from the board.

        Args:
            board: The board with the dense predictions.

        Returns:
            The predictions with their reference boxes.
        """
        maps = board[DENSE_PREDICTIONS]
        return Predictions.read(maps, self.references(maps, board.images), self.columns, self.further)

    @torch.no_grad()
    def detect(self, predictions: Predictions, images: ImageBatch) -> Regions:
        """Decode the best predictions of each image and suppress those that overlap a better one of their class.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """
        scores = self.scores(predictions)
        return Regions.cat([self._detect_in(predictions, scores[image], images, image) for image in range(len(images))])

    def _detect_in(
        self, predictions: Predictions, scores: Float[Tensor, "N C"], images: ImageBatch, image: int
    ) -> Regions:
        rows, labels = self.candidates(scores, predictions.counts)
        boxes = self.decode(predictions, image, rows)
        image_index = torch.full_like(rows, image)
        boxes = clip_to_images(boxes, image_index, images.sizes)
        kept = self._suppress(boxes, scores[rows, labels], labels)
        rows, labels, boxes = rows[kept], labels[kept], boxes[kept]
        return Regions(
            boxes,
            image_index[kept],
            labels=labels,
            scores=scores[rows, labels],
            class_logits=self.class_logits(predictions, image, rows),
            class_boxes=boxes[:, None].expand(-1, self.classes, -1),
        )

    def candidates(
        self, scores: Float[Tensor, "N C"], counts: Sequence[int]
    ) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
        """Choose the predictions of one image that enter NMS: the best ones of each level.

        Args:
            scores: Scores of the image.
            counts: Number of reference boxes of each level.

        Returns:
            Reference boxes and labels.
        """
        chosen, start = [], 0
        for level in torch.split(scores, list(counts)):
            flat = level.flatten()
            above = (flat > self.options.score_threshold).nonzero()[:, 0]
            best = flat[above].topk(min(self.options.candidates, len(above))).indices
            chosen.append(above[best] + start)
            start += len(flat)
        every = torch.cat(chosen)
        return every // self.classes, every % self.classes

    def _suppress(
        self, boxes: Float[Tensor, "M 4"], scores: Float[Tensor, " M"], labels: Int[Tensor, " M"]
    ) -> Int[Tensor, " _"]:
        """Return the candidates of one image that survive NMS, best first, and are not empty."""
        kept: Tensor = batched_nms(boxes, scores, labels, self.options.nms_threshold)
        if self.options.across_classes is not None:
            kept = kept[nms(boxes[kept], scores[kept], self.options.across_classes)]
        kept = kept[: self.max_detections or self.options.detections]
        return kept[large_enough(boxes[kept], 0.0)]

    @torch.no_grad()
    def training_regions(self, predictions: Predictions, images: ImageBatch, ground_truth: StreamTruth) -> Regions:
        """Return the regions on which other tasks are trained.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.
            ground_truth: Ground truth of the objects.

        Returns:
            Detections that match ground truth, and its boxes, with `labels` and `matched`.
        """
        matcher = Matcher(self.options.regions.foreground, 0.0)
        detections = self.detect(predictions, images)
        sampled = sample_regions(matcher, detections, ground_truth, self.options.regions, images, self.name)
        assert sampled.matched is not None
        return independent(sampled, (sampled.matched >= 0).nonzero()[:, 0])

    @torch.no_grad()
    def detections(self, board: Board, targets: Targets) -> Regions:
        """Detect objects while there are targets: the regions on which a head with Policy.DETECTIONS is trained.

        Args:
            board: The board with the dense predictions.
            targets: Targets of the batch.

        Returns:
            Detections; `matched` is the row of the ground truth of the same label with the greatest IoU, -1 without a
            match.
        """
        detections = self.detect(self.predictions(board), board.images)
        ground_truth = ground_truth_of(targets, OBJECTS, board.images, self.classes)
        matched = match_detections(detections, ground_truth, len(board.images), self.options.regions.foreground)
        return replace(detections, matched=matched)

    def labelled(self, predictions: Predictions, given: Regions, images: ImageBatch) -> Regions:
        """Classify external regions without moving them.

        Args:
            predictions: Predictions of the batch.
            given: External regions.
            images: Images of the batch.

        Returns:
            The regions with labels and scores.
        """
        rows = torch.cat([self.responsible(part, predictions) for part in torch.split(given.boxes, CHUNK)])
        boxes = self.decode(predictions, given.image_index, rows)
        boxes = clip_to_images(boxes, given.image_index, images.sizes)
        scores, labels = self.class_scores(predictions.logits[given.image_index, rows]).max(dim=1)
        classified = replace(
            given,
            labels=labels,
            scores=scores,
            class_logits=self.class_logits(predictions, given.image_index, rows),
            class_boxes=boxes[:, None].expand(-1, self.classes, -1),
        )
        # A subset of the external regions, so that their features are pooled once.
        return replace(classified, parent=given.root, rows=given.root_rows)

    def responsible(self, boxes: Float[Tensor, "M 4"], predictions: Predictions) -> Int[Tensor, " M"]:
        """Return the reference box that is responsible for each box: by default that of the greatest IoU.

        Args:
            boxes: Boxes, xyxy in network pixels.
            predictions: Predictions with their reference boxes.

        Returns:
            Rows of the reference boxes.
        """
        rows: Tensor = box_iou(boxes, predictions.references).argmax(dim=1)
        return rows


def class_weights(
    negative: Bool[Tensor, " N"], targets: Float[Tensor, "N C"], ground_truth: StreamTruth, image: int
) -> Bool[Tensor, "N C"]:
    """Return which class scores of one image are trained: of positives and negatives those of covered classes.

    The score of a positive's own class is trained in any case: of a class that is not covered, some objects may be
    labelled.

    Args:
        negative: Reference boxes that are negative.
        targets: Target of every class score, 1 for the class of a positive.
        ground_truth: Ground truth of the objects.
        image: Number of the image in the batch.

    Returns:
        True where a score has a target.
    """
    own = targets > 0
    considered = negative | own.any(dim=1)
    return own | (considered[:, None] & ground_truth.covered[image][None])
