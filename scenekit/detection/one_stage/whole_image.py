"""From the predictions on a whole image to objects: what all detectors without proposals share.

Letters: C foreground classes, M candidates, N regions, K columns of class logits.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import nms

from scenekit.detection.assign import ground_truth_of, independent, match_detections, sample_regions
from scenekit.detection.one_stage.config import WholeImageConfig
from scenekit.detection.pooler import RoIPooler
from scenekit.keys import OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import clip_to_images, large_enough
from scenekit.ops.matching import Matcher
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

P = TypeVar("P")


class Classified(NamedTuple):
    """What a detector predicts for external regions."""

    scores: Float[Tensor, "N C"]
    """Score of each class, 0..1."""
    logits: Float[Tensor, "N K"]
    """Logits of the classes, then background."""
    boxes: Float[Tensor, "N 4"]
    """The boxes that the network itself predicts there, xyxy in network pixels."""


class WholeImageDetector(Provider, Generic[P]):
    """A stage that turns predictions into OBJECTS; a subclass gives the predictions and what is detected in them.

    Without targets OBJECTS are the detections. With targets they are what other tasks are trained on: detections that
    match ground truth, with the boxes as predicted, and the ground-truth boxes. An external region keeps its box and
    is classified. `class_boxes` are the same box for each class, as these detectors predict one.

    Args:
        core: Vocabulary of the model.
        config: Options of the detector.

    Attributes:
        max_detections: Replaces the option `detections`, the limit per image, where it is not None.
    """

    name = "detection"
    provides = (OBJECTS,)

    def __init__(self, core: Core, config: WholeImageConfig) -> None:
        super().__init__()
        self.options = config
        self.classes = len(core.vocabulary.things)
        self.max_detections: int | None = None
        self.pooler = RoIPooler(config.pooler)

    @abstractmethod
    def predictions(self, board: Board) -> P:
        """Read or compute the predictions of the batch.

        Args:
            board: The board with what the stage requires.

        Returns:
            The predictions.
        """

    @abstractmethod
    def detect(self, predictions: P, images: ImageBatch) -> Regions:
        """Return the objects among the predictions.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """

    @abstractmethod
    def classify(self, predictions: P, given: Regions) -> Classified:
        """Return what is predicted for external regions.

        Args:
            predictions: Predictions of the batch.
            given: External regions.

        Returns:
            Scores, logits and boxes of each region.
        """

    def loss(self, predictions: P, images: ImageBatch, ground_truth: StreamTruth) -> dict[str, Tensor]:
        """Compute the losses; none by default, as for a detector that is trained elsewhere.

        Args:
            predictions: Predictions of the batch.
            images: Images of the batch.
            ground_truth: Ground truth of the objects.

        Returns:
            Losses by name.
        """
        return {}

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put OBJECTS on the board.

        Args:
            board: The board with what the stage requires.
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

    def best(
        self, ranked: Int[Tensor, " _"], boxes: Float[Tensor, "M 4"], scores: Float[Tensor, " M"]
    ) -> Int[Tensor, " _"]:
        """Return the candidates of one image that become detections: at most `detections`, none of them empty.

        Args:
            ranked: Candidates, best first.
            boxes: Boxes of all candidates, clipped to the image.
            scores: Their scores.

        Returns:
            The chosen candidates, best first.
        """
        if self.options.across_classes is not None:
            ranked = ranked[nms(boxes[ranked], scores[ranked], self.options.across_classes)]
        ranked = ranked[: self.max_detections or self.options.detections]
        return ranked[large_enough(boxes[ranked], 0.0)]

    @torch.no_grad()
    def training_regions(self, predictions: P, images: ImageBatch, ground_truth: StreamTruth) -> Regions:
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
            board: The board with what the stage requires.
            targets: Targets of the batch.

        Returns:
            Detections; `matched` is the row of the ground truth of the same label with the greatest IoU, -1 without a
            match.
        """
        detections = self.detect(self.predictions(board), board.images)
        ground_truth = ground_truth_of(targets, OBJECTS, board.images, self.classes)
        matched = match_detections(detections, ground_truth, len(board.images), self.options.regions.foreground)
        return replace(detections, matched=matched)

    def labelled(self, predictions: P, given: Regions, images: ImageBatch) -> Regions:
        """Classify external regions without moving them.

        Args:
            predictions: Predictions of the batch.
            given: External regions.
            images: Images of the batch.

        Returns:
            The regions with labels and scores.
        """
        found = self.classify(predictions, given)
        boxes = clip_to_images(found.boxes, given.image_index, images.sizes)
        scores, labels = found.scores.max(dim=1)
        classified = replace(
            given,
            labels=labels,
            scores=scores,
            class_logits=found.logits,
            class_boxes=boxes[:, None].expand(-1, self.classes, -1),
        )
        # A subset of the external regions, so that their features are pooled once.
        return replace(classified, parent=given.root, rows=given.root_rows)
