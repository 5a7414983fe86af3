"""What the second stages of all region-based detectors share: sampling, decoding, and regions for heads.

Letters: B images, N regions of the batch, C foreground classes, K = C + 1 with background, P proposals, M candidate
detections.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import batched_nms, nms

from scenekit.detection.assign import ground_truth_of, independent, match_detections, sample_regions
from scenekit.detection.config import DetectionConfig
from scenekit.detection.padding import best_rows, blanked
from scenekit.errors import InputError
from scenekit.keys import OBJECTS, PROPOSALS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider, stage_name
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import BoxCoder, clip_to_images, large_enough
from scenekit.ops.matching import Matcher
from scenekit.ops.suppression import nms_mask, soft_nms
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions

CANDIDATES = 20
"""How many candidates enter NMS for each detection, in passes with fixed shapes."""


class RegionStage(Provider):
    """A stage that classifies proposals, whatever features it has of them.

    It puts its stream on the board: with targets the sampled regions (labels and `matched` are -1 for background),
    without targets the detections. External regions reach this stage without labels, and are classified without moving
    them. A subclass gives `predict`, the logits and offsets of regions, and `learn`.

    Args:
        core: Vocabulary of the model.
        config: Options of sampling and decoding.
        stream: The stream that the stage provides.
        proposals: Key of the stream's proposals.
        classes: Class names of the stream; the vocabulary's things if None.

    Attributes:
        max_detections: Replaces the option `detections`, the limit per image, where it is not None.
        proposals_at_test: How many proposals per image inference has, where training has more; None for all.
    """

    proposals_at_test: int | None = None

    def __init__(
        self,
        core: Core,
        config: DetectionConfig,
        stream: Stream = OBJECTS,
        proposals: Key[Regions, Any] = PROPOSALS,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.names = tuple(core.vocabulary.things if classes is None else classes)
        self.name = "detection" if stream == OBJECTS else stage_name(stream)
        self.stream, self.proposals = stream, proposals
        self.requires, self.provides = (proposals,), (stream,)
        self.config = config
        self.max_detections: int | None = None
        self.classes = len(self.names)
        self.coder = BoxCoder(config.coder_weights)
        self.matcher = Matcher(config.foreground, config.background)

    @abstractmethod
    def predict(self, board: Board, regions: Regions) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute class logits and offsets of regions.

        Args:
            board: The board with what the stage requires.
            regions: The regions.

        Returns:
            Logits and offsets.
        """

    @abstractmethod
    def learn(self, board: Board, regions: Regions, ground_truth: StreamTruth) -> tuple[Regions, dict[str, Tensor]]:
        """Compute the losses of sampled regions.

        Args:
            board: The board with what the stage requires.
            regions: Sampled regions with `labels` and `matched`.
            ground_truth: Ground truth of the stream.

        Returns:
            The regions for the heads, and the losses.
        """

    def scores(self, logits: Float[Tensor, "N K"]) -> Float[Tensor, "N C"]:
        """Return the score of each class, 0 to 1: by default its probability.

        Args:
            logits: Class logits.

        Returns:
            Scores without that of background.
        """
        return logits.softmax(dim=1)[:, :-1]

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the stream on the board.

        Args:
            board: The board with what the stage requires.
            targets: Targets of the batch, if there are any.

        Returns:
            The losses, if there are targets.
        """
        if self.stream in board.given:
            board.put(self.stream, self.labelled(board, board.given[self.stream]))
            return {}
        if targets is None:
            board.put(self.stream, self.detect(board, board[self.proposals]))
            return {}
        ground_truth = self._ground_truth(targets, board.images)
        sampled = self.sample(board[self.proposals], ground_truth, board.images)
        regions, losses = self.learn(board, sampled, ground_truth)
        board.put(self.stream, regions)
        return losses

    def _ground_truth(self, targets: Targets, images: ImageBatch) -> StreamTruth:
        """Return the stream's ground truth, in this stage's classes."""
        ground_truth = ground_truth_of(targets, self.stream, images, self.classes)
        if self.classes != 1:
            return ground_truth
        return replace(
            ground_truth,
            regions=replace(ground_truth.regions, labels=torch.zeros_like(ground_truth.regions.image_index)),
        )

    @torch.no_grad()
    def sample(self, proposals: Regions, ground_truth: StreamTruth, images: ImageBatch) -> Regions:
        """Sample regions for training from proposals and ground-truth boxes, matched and balanced per image.

        Args:
            proposals: Proposals of the batch.
            ground_truth: Ground truth of the stream.
            images: Images of the batch.

        Returns:
            Sampled regions with `labels` and `matched`.
        """
        return sample_regions(self.matcher, proposals, ground_truth, self.config, images, self.name)

    def detect(self, board: Board, proposals: Regions) -> Regions:
        """Detect objects among the proposals, whose pooled features the board forgets.

        Another stage that reads the same proposals pools them again.

        Args:
            board: The board with what the stage requires.
            proposals: Proposals of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """
        logits, deltas = self.predict(board, proposals)
        board.release(proposals)  # heads read features of the detections, whose boxes differ
        return self.decode(logits, deltas, proposals, board.images)

    def padded(self, board: Board, rows: int) -> None:
        """Put detections of one image on the board: at most `rows`, which are exactly as many, padded.

        Of all classes together, the `CANDIDATES` times as many best ones enter NMS.

        Args:
            board: The board with what the stage requires.
            rows: Number of rows.

        Raises:
            InputError: The stage suppresses otherwise than by NMS.
        """
        if self.config.suppression != "nms":
            raise InputError(f"{self.name!r}: {self.config.suppression} has no form with fixed shapes; set nms")
        proposals: Regions = board[self.proposals]
        logits, deltas = self.predict(board, proposals)
        count = min(rows, self.max_detections or self.config.detections)
        board.put(self.stream, self.decode_padded(logits, deltas, proposals, board.images, count))

    def decode_padded(
        self,
        logits: Float[Tensor, "P K"],
        deltas: Float[Tensor, "P C 4"],
        proposals: Regions,
        images: ImageBatch,
        count: int,
    ) -> Regions:
        """Refine, clip, threshold, suppress within classes, and keep the best of one image, as `decode` does.

        Args:
            logits: Class logits of the proposals.
            deltas: Offsets of the proposals per class.
            proposals: Proposals of one image.
            images: The image.
            count: Number of detections.

        Returns:
            Detections, best first, then padding.
        """
        assert proposals.valid is not None
        config, scores = self.config, self.scores(logits)
        every = clip_to_images(self.coder.decode(deltas, proposals.boxes[:, None]), proposals.image_index, images.sizes)
        usable = (scores > config.score_threshold) & ((every[..., 2:] - every[..., :2]) >= config.min_box_size).all(-1)
        usable = usable & proposals.valid[:, None]
        best, keep = best_rows(scores.flatten(), usable.flatten(), CANDIDATES * count)
        rows, labels = best // self.classes, best % self.classes
        boxes, scores = every.flatten(0, 1)[best], scores.flatten()[best].where(keep, -1.0)
        apart = boxes + (labels * (max(images.padded_size) + 1))[:, None]  # boxes of different classes do not overlap
        keep = keep & nms_mask(apart, scores, config.nms_threshold)
        if config.across_classes is not None:
            keep = keep & nms_mask(boxes, scores.where(keep, -1.0), config.across_classes)
        kept, valid = best_rows(scores, keep, count)
        found = Regions(
            boxes[kept],
            torch.zeros_like(kept),
            labels=labels[kept],
            scores=scores[kept],
            class_logits=logits[rows[kept]],
            class_boxes=every[rows[kept]],
            valid=valid & large_enough(boxes[kept], 0.0),
        )
        return blanked(found, images)

    def decode(
        self,
        logits: Float[Tensor, "P K"],
        deltas: Float[Tensor, "P C 4"],
        proposals: Regions,
        images: ImageBatch,
    ) -> Regions:
        """Refine, clip, threshold, suppress within classes, and keep the best of each image.

        Args:
            logits: Class logits of the proposals.
            deltas: Offsets of the proposals per class.
            proposals: Proposals of the batch.
            images: Images of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """
        scores = self.scores(logits)
        rows, labels = (scores > self.config.score_threshold).nonzero(as_tuple=True)
        image_index = proposals.image_index[rows]
        boxes = self.coder.decode(deltas[rows, labels], proposals.boxes[rows])
        boxes = clip_to_images(boxes, image_index, images.sizes)
        usable = ((boxes[:, 2:] - boxes[:, :2]) >= self.config.min_box_size).all(dim=1)
        candidates = Regions(boxes, image_index, labels=labels, scores=scores[rows, labels])
        parts = [self._suppress(candidates, usable & (image_index == i)) for i in range(len(images))]
        kept, lowered = torch.cat([rows for rows, _ in parts]), torch.cat([scores for _, scores in parts])
        rows = rows[kept]
        every_class = self.coder.decode(deltas[rows], proposals.boxes[rows][:, None])
        every_class = clip_to_images(every_class, image_index[kept], images.sizes)
        found = independent(candidates, kept)
        return replace(found, scores=lowered, class_logits=logits[rows], class_boxes=every_class)

    def _suppress(
        self, candidates: Regions, usable: Bool[Tensor, " M"]
    ) -> tuple[Int[Tensor, " N"], Float[Tensor, " N"]]:
        """Return the rows of one image that survive NMS, best first, and are not empty, and their scores."""
        assert candidates.scores is not None and candidates.labels is not None
        rows = usable.nonzero()[:, 0]
        boxes, scores, labels = candidates.boxes[rows], candidates.scores[rows], candidates.labels[rows]
        kept, scores = self._survivors(boxes, scores, labels)
        rows = rows[kept]
        if self.config.across_classes is not None:
            kept = nms(candidates.boxes[rows], scores, self.config.across_classes)
            rows, scores = rows[kept], scores[kept]
        limit = self.max_detections or self.config.detections
        rows, scores = rows[:limit], scores[:limit]
        present = large_enough(candidates.boxes[rows], 0.0)
        return rows[present], scores[present]

    def _survivors(
        self, boxes: Float[Tensor, "M 4"], scores: Float[Tensor, " M"], labels: Int[Tensor, " M"]
    ) -> tuple[Int[Tensor, " N"], Float[Tensor, " N"]]:
        """Return the rows that suppression within classes leaves, best first, and their scores."""
        config = self.config
        if config.suppression == "nms":
            kept: Tensor = batched_nms(boxes, scores, labels, config.nms_threshold)
            return kept, scores[kept]
        limit = None if config.across_classes is not None else self.max_detections or config.detections
        return soft_nms(
            boxes,
            scores,
            labels,
            decay=config.soft_nms.decay,
            iou_threshold=config.nms_threshold,
            sigma=config.soft_nms.sigma,
            score_threshold=config.score_threshold,
            limit=limit,
        )

    @torch.no_grad()
    def detections(self, board: Board, targets: Targets) -> Regions:
        """Detect objects while there are targets: the regions on which a head with Policy.DETECTIONS is trained.

        Proposals are those that inference would use, without the ground-truth boxes. No gradient flows back.

        Args:
            board: The board with the proposals.
            targets: Targets of the batch.

        Returns:
            Detections; `matched` is the row of the ground truth of the same label with the greatest IoU, -1 without a
            match.
        """
        proposals: Regions = board[self.proposals]
        per_image = [(proposals.image_index == image).nonzero()[:, 0] for image in range(len(board.images))]
        detections = self.detect(
            board, independent(proposals, torch.cat([r[: self.proposals_at_test] for r in per_image]))
        )
        ground_truth = self._ground_truth(targets, board.images)
        matched = match_detections(detections, ground_truth, len(board.images), self.config.foreground)
        return replace(detections, matched=matched)

    def labelled(self, board: Board, given: Regions) -> Regions:
        """Classify external regions without moving them.

        Args:
            board: The board with what the stage requires.
            given: External regions.

        Returns:
            The regions with labels and scores.
        """
        logits, deltas = self.predict(board, given)
        scores, labels = self.scores(logits).max(dim=1)
        boxes = clip_to_images(self.coder.decode(deltas, given.boxes[:, None]), given.image_index, board.images.sizes)
        # A subset of the external regions, so that their features are pooled once.
        classified = replace(given, labels=labels, scores=scores, class_logits=logits, class_boxes=boxes)
        return replace(classified, parent=given.root, rows=given.root_rows)
