"""From dense predictions to objects: what all one-stage detectors share.

Letters: B images, N reference boxes, K columns of class logits, C foreground classes, M candidates or regions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, box_iou

from scenekit.detection.one_stage.config import OneStageConfig
from scenekit.detection.one_stage.predictions import DENSE_PREDICTIONS, Predictions
from scenekit.detection.one_stage.whole_image import Classified, WholeImageDetector
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.model.targets import StreamTruth
from scenekit.ops.boxes import clip_to_images
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


class DenseDetector(WholeImageDetector[Predictions]):
    """A stage that turns dense predictions into OBJECTS; a subclass says how boxes, scores and losses are computed.

    An external region gets the class scores of the reference box that is responsible for it in training: the network
    learns its classes there.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.
        columns: Number of class logits K of each reference box; that of the classes if None.
        further: Number of further logits of each reference box.
    """

    requires = (DENSE_PREDICTIONS,)
    options: OneStageConfig

    def __init__(self, core: Core, config: OneStageConfig, columns: int | None = None, further: int = 0) -> None:
        super().__init__(core, config)
        self.columns, self.further = self.classes if columns is None else columns, further

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
        return self.best(kept, boxes, scores)

    def classify(self, predictions: Predictions, given: Regions) -> Classified:
        """Return what the reference boxes predict that are responsible for external regions.

        Args:
            predictions: Predictions of the batch.
            given: External regions.

        Returns:
            Scores, logits and boxes of each region.
        """
        rows = torch.cat([self.responsible(part, predictions) for part in torch.split(given.boxes, CHUNK)])
        return Classified(
            scores=self.class_scores(predictions.logits[given.image_index, rows]),
            logits=self.class_logits(predictions, given.image_index, rows),
            boxes=self.decode(predictions, given.image_index, rows),
        )

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
