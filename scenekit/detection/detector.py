"""Second stage: regions of a stream from its proposals.

Letters: N regions of the batch, C foreground classes, K = C + 1 with background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.detection.box_head import BoxHead, BoxPredictor
from scenekit.detection.config import BoxHeadConfig, DetectorConfig, RegionConfig
from scenekit.detection.pooler import build_pooler, check_pyramid
from scenekit.detection.region_stage import RegionStage
from scenekit.detection.rpn import RPNTrunk, StreamProposals
from scenekit.detection.text import TextBoxPredictor
from scenekit.keys import FEATURES, OBJECTS, PROPOSALS, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import BACKGROUND, AxisNames, Core, Provider, rows_by_name
from scenekit.model.targets import StreamTruth
from scenekit.ops.boxes import clip_to_images, large_enough
from scenekit.ops.losses import covered_cross_entropy, safe_mean
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


class TwoStageDetector(RegionStage):
    """A stage that classifies proposals and refines their boxes; losses `classification` and `box`.

    It puts the stream on the board: with targets the sampled regions (labels and `matched` are -1 for background), with
    their boxes as proposed or `corrected`; without targets the detections. External regions reach this stage without
    labels, and are classified without moving them. The board pools with `pooler`.

    The core has the one of OBJECTS, whose classes are the vocabulary's things; a task adds one of its own, with its own
    `classes`, by `region_stream`. All regions of a stream with a single class belong to it, whatever their labels in
    the ground truth.

    Args:
        core: Channels and vocabulary of the model.
        config: Options of the detector; of one with a region proposal network, or of the second stage alone.
        stream: The stream that the stage provides.
        proposals: Key of the stream's proposals.
        classes: Class names of the stream; the vocabulary's things if None.
    """

    config: BoxHeadConfig

    def __init__(
        self,
        core: Core,
        config: RegionConfig,
        stream: Stream = OBJECTS,
        proposals: Key[Regions, Any] = PROPOSALS,
        classes: Sequence[str] | None = None,
    ) -> None:
        check_pyramid(core)
        super().__init__(core, config.box_head, stream, proposals, classes)
        self.requires = (FEATURES, proposals)
        self.proposals_at_test = config.rpn.post_nms_test if isinstance(config, DetectorConfig) else None
        self.pooler = build_pooler(config)
        self.head = BoxHead(core.channels, config.box_head)
        text = config.box_head.text if stream == OBJECTS else None
        self.predictor: BoxPredictor | TextBoxPredictor
        if text is not None:
            self.predictor = TextBoxPredictor(self.head.dim, self.names, text)
            self.axis_names = {"predictor.text": (AxisNames(self.names),)}
            return
        self.predictor = BoxPredictor(self.head.dim, self.classes)
        self.axis_names = rows_by_name(
            {
                "predictor.classification": AxisNames((*self.names, BACKGROUND)),
                "predictor.deltas": AxisNames(self.names, each=4),
            }
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

    def learn(self, board: Board, regions: Regions, ground_truth: StreamTruth) -> tuple[Regions, dict[str, Tensor]]:
        """Compute the losses of sampled regions.

        Args:
            board: The board to pool features from.
            regions: Sampled regions with `labels` and `matched`.
            ground_truth: Ground truth of the stream.

        Returns:
            The regions for the heads, with refined boxes where `train_on_pred_boxes` is set, and the losses.
        """
        if isinstance(self.predictor, TextBoxPredictor):
            self.predictor.check_ready()
        logits, deltas = self.predict(board, regions)
        losses = self.loss(logits, deltas, regions, ground_truth)
        refined = self.corrected(regions, deltas, board.images) if self.config.train_on_pred_boxes else regions
        return refined, losses

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


def build_faster_rcnn(core: Core, config: DetectorConfig) -> Sequence[Provider]:
    """Build the stages of Faster R-CNN.

    Args:
        core: Channels, strides and vocabulary of the model.
        config: Options of the detector.

    Returns:
        Trunk, proposals and second stage.
    """
    return RPNTrunk(core, config), StreamProposals(core, config), TwoStageDetector(core, config)
