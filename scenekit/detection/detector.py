"""Second stage: regions of a stream from its proposals.

Letters: B images, N regions of the batch, C foreground classes, K = C + 1 with background, P proposals, M candidate
detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms, nms

from scenekit.detection.assign import ground_truth_of, independent, match_detections, sample_regions
from scenekit.detection.box_head import BoxHead, BoxPredictor
from scenekit.detection.config import DetectorConfig
from scenekit.detection.pooler import build_pooler
from scenekit.keys import FEATURES, OBJECTS, PROPOSALS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import BACKGROUND, AxisNames, Core, Provider, rows_by_name, stage_name
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import BoxCoder, clip_to_images, large_enough
from scenekit.ops.losses import covered_cross_entropy, safe_mean
from scenekit.ops.matching import Matcher
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


class TwoStageDetector(Provider):
    """A stage that classifies proposals and refines their boxes; losses `classification` and `box`.

    It puts the stream on the board: with targets the sampled regions (labels and `matched` are -1 for background), with
    their boxes as proposed or `corrected`; without targets the detections. External regions reach this stage without
    labels, and are classified without moving them. The board pools with `pooler`.

    The core has the one of OBJECTS, whose classes are the vocabulary's things; a task adds one of its own, with its own
    `classes`, by `region_stream`. All regions of a stream with a single class belong to it, whatever their labels in
    the ground truth.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector.
        stream: The stream that the stage provides.
        proposals: Key of the stream's proposals.
        classes: Class names of the stream; the vocabulary's things if None.

    Attributes:
        max_detections: Replaces the option `detections`, the limit per image, where it is not None.
    """

    def __init__(
        self,
        core: Core,
        config: DetectorConfig,
        stream: Stream = OBJECTS,
        proposals: Key[Regions, Any] = PROPOSALS,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        names = tuple(core.vocabulary.things if classes is None else classes)
        self.name = "detection" if stream == OBJECTS else stage_name(stream)
        self.requires, self.provides = (FEATURES, proposals), (stream,)
        self.stream, self.proposals = stream, proposals
        self.config = config.box_head
        self.max_detections: int | None = None
        self.proposals_at_test = config.rpn.post_nms_test
        self.classes = len(names)
        self.pooler = build_pooler(config)
        self.coder = BoxCoder(config.box_head.coder_weights)
        self.matcher = Matcher(config.box_head.foreground, config.box_head.background)
        self.head = BoxHead(core.channels, config.box_head)
        self.predictor = BoxPredictor(self.head.dim, self.classes)
        self.axis_names = rows_by_name(
            {
                "predictor.classification": AxisNames((*names, BACKGROUND)),
                "predictor.deltas": AxisNames(names, each=4),
            }
        )

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the stream on the board.

        Args:
            board: The board with pyramid and proposals.
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
        regions = self.sample(board[self.proposals], ground_truth, board.images)
        logits, deltas = self.predict(board, regions)
        corrected = self.corrected(regions, deltas, board.images) if self.config.train_on_pred_boxes else regions
        board.put(self.stream, corrected)
        return self.loss(logits, deltas, regions, ground_truth)

    def _ground_truth(self, targets: Targets, images: ImageBatch) -> StreamTruth:
        """Return the stream's ground truth, in this stage's classes."""
        ground_truth = ground_truth_of(targets, self.stream, images, self.classes)
        if self.classes != 1:
            return ground_truth
        return replace(
            ground_truth,
            regions=replace(ground_truth.regions, labels=torch.zeros_like(ground_truth.regions.image_index)),
        )

    def predict(self, board: Board, regions: Regions) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute class logits and offsets of regions.

        Args:
            board: The board to pool features from.
            regions: The regions.

        Returns:
            Logits and offsets.
        """
        logits, deltas = self.predictor(self.head(board.pool(regions, self.config.size)))
        return logits, deltas

    def loss(
        self,
        logits: Float[Tensor, "N K"],
        deltas: Float[Tensor, "N C 4"],
        regions: Regions,
        ground_truth: StreamTruth,
    ) -> dict[str, Tensor]:
        """Compute means of cross-entropy by coverage and of (smooth) L1 of the offsets for each region's class.

        Args:
            logits: Class logits of the sampled regions.
            deltas: Offsets of the sampled regions per class.
            regions: Sampled regions with `labels` and `matched`.
            ground_truth: Ground truth of the stream.

        Returns:
            The losses `classification` and `box`.
        """
        assert regions.labels is not None and regions.matched is not None
        covered = ground_truth.covered[regions.image_index].expand(-1, self.classes)
        classification = covered_cross_entropy(logits, regions.labels, covered)
        rows = (regions.labels >= 0).nonzero()[:, 0]
        encoded = self.coder.encode(ground_truth.regions.boxes[regions.matched[rows]], regions.boxes[rows])
        offsets = F.smooth_l1_loss(
            deltas[rows, regions.labels[rows]], encoded, beta=self.config.smooth_l1_beta, reduction="none"
        )
        return {"classification": safe_mean(classification), "box": safe_mean(offsets, count=len(regions))}

    @torch.no_grad()
    def corrected(self, regions: Regions, deltas: Float[Tensor, "N C 4"], images: ImageBatch) -> Regions:
        """Refine sampled regions as at inference, given their ground-truth classes.

        Background, and regions that would be empty, keep their boxes.

        Args:
            regions: Sampled regions.
            deltas: Offsets of the regions per class.
            images: Images of the batch.

        Returns:
            The regions with refined boxes.
        """
        assert regions.labels is not None
        rows = (regions.labels >= 0).nonzero()[:, 0]
        boxes = self.coder.decode(deltas[rows, regions.labels[rows]], regions.boxes[rows])
        boxes = clip_to_images(boxes, regions.image_index[rows], images.sizes)
        kept = large_enough(boxes, 0.0)
        return replace(regions, boxes=regions.boxes.index_put((rows[kept],), boxes[kept]), parent=None, rows=None)

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
        """Detect objects among the proposals.

        Args:
            board: The board to pool features from.
            proposals: Proposals of the batch.

        Returns:
            Detections, best first within each image, images in order.
        """
        logits, deltas = self.predict(board, proposals)
        return self.decode(logits, deltas, proposals, board.images)

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
        scores = logits.softmax(dim=1)[:, :-1]
        rows, labels = (scores > self.config.score_threshold).nonzero(as_tuple=True)
        image_index = proposals.image_index[rows]
        boxes = self.coder.decode(deltas[rows, labels], proposals.boxes[rows])
        boxes = clip_to_images(boxes, image_index, images.sizes)
        usable = ((boxes[:, 2:] - boxes[:, :2]) >= self.config.min_box_size).all(dim=1)
        candidates = Regions(boxes, image_index, labels=labels, scores=scores[rows, labels])
        kept = torch.cat([self._suppress(candidates, usable & (image_index == i)) for i in range(len(images))])
        rows = rows[kept]
        every_class = self.coder.decode(deltas[rows], proposals.boxes[rows][:, None])
        every_class = clip_to_images(every_class, image_index[kept], images.sizes)
        return replace(independent(candidates, kept), class_logits=logits[rows], class_boxes=every_class)

    def _suppress(self, candidates: Regions, usable: Bool[Tensor, " M"]) -> Int[Tensor, " N"]:
        """Return the rows of one image that survive NMS, best first, and are not empty."""
        assert candidates.scores is not None and candidates.labels is not None
        rows = usable.nonzero()[:, 0]
        kept = batched_nms(
            candidates.boxes[rows], candidates.scores[rows], candidates.labels[rows], self.config.nms_threshold
        )
        rows = rows[kept]
        if self.config.across_classes is not None:
            rows = rows[nms(candidates.boxes[rows], candidates.scores[rows], self.config.across_classes)]
        rows = rows[: self.max_detections or self.config.detections]
        return rows[large_enough(candidates.boxes[rows], 0.0)]

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
            board: The board to pool features from.
            given: External regions.

        Returns:
            The regions with labels and scores.
        """
        logits, deltas = self.predict(board, given)
        scores, labels = logits.softmax(dim=1)[:, :-1].max(dim=1)
        boxes = clip_to_images(self.coder.decode(deltas, given.boxes[:, None]), given.image_index, board.images.sizes)
        # A subset of the external regions, so that their features are pooled once.
        classified = replace(given, labels=labels, scores=scores, class_logits=logits, class_boxes=boxes)
        return replace(classified, parent=given.root, rows=given.root_rows)
