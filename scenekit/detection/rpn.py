"""Region proposal network: a shared trunk, and objectness and offsets for each stream.

Ren et al., Faster R-CNN, 2015, on a feature pyramid (Lin et al., 2017).

Letters: B images, C channels, A anchors per cell, K anchors of a level (or of all), T candidates kept for NMS, S
sampled anchors of the batch, G groups of classes with an objectness each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from scenekit.detection.anchors import AnchorGenerator
from scenekit.detection.assign import assign, ground_truth_of, sample
from scenekit.detection.config import DetectorConfig
from scenekit.detection.grouping import ObjectnessGroups
from scenekit.detection.layers import PyramidConv2d, init_normal
from scenekit.detection.padding import padded_regions
from scenekit.detection.pooler import check_pyramid
from scenekit.keys import FEATURES, OBJECTS, PROPOSALS, RPN_FEATURES, Key, Stream
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider, rows_by_name, stage_name
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.boxes import BoxCoder, image_limits, large_enough
from scenekit.ops.losses import safe_mean
from scenekit.ops.matching import Matcher
from scenekit.ops.suppression import nms_mask
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


def rpn_channels(core: Core, config: DetectorConfig) -> int:
    """Return the number of channels of RPN_FEATURES.

    Args:
        core: Channels of the model.
        config: Options of the detector.

    Returns:
        The number of channels.
    """
    return config.rpn.channels or core.channels


class RPNTrunk(Provider):
    """The convolutions that the proposals of all streams share.

    Args:
        core: Channels of the model.
        config: Options of the detector.
    """

    name = "rpn"
    requires = (FEATURES,)
    provides = (RPN_FEATURES,)
    static = True
    shared = True

    def __init__(self, core: Core, config: DetectorConfig) -> None:
        check_pyramid(core)
        super().__init__()
        channels = rpn_channels(core, config)
        inputs = (core.channels, *[channels] * (config.rpn.convs - 1))
        self.convs = nn.ModuleList(nn.Conv2d(before, channels, kernel_size=3, padding=1) for before in inputs)
        self.apply(init_normal)

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put RPN_FEATURES on the board.

        Args:
            board: The board with the pyramid.
            targets: Targets of the batch; not used.

        Returns:
            No losses.
        """
        features: FeaturePyramid = board[FEATURES]
        board.put(RPN_FEATURES, FeaturePyramid(tuple(map(self._level, features.maps)), features.strides))
        return {}

    def _level(self, features: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B D _ _"]:
        for conv in self.convs:
            features = F.relu(conv(features), inplace=True)
        return features


@dataclass(frozen=True, eq=False)
class AnchorPredictions:
    """Predictions for the anchors of one level, in the anchors' order."""

    logits: Float[Tensor, "B K"]
    """Objectness: the greatest of those of all groups."""
    grouped: Float[Tensor, "B K G"]
    """Objectness of each group of classes."""
    deltas: Float[Tensor, "B K 4"]
    """Offsets from the anchors."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The best anchors of all levels, decoded, before NMS."""

    boxes: Float[Tensor, "B T 4"]
    """Boxes within the images, in network pixels."""
    scores: Float[Tensor, "B T"]
    """Objectness, 0..1."""
    usable: Bool[Tensor, "B T"]
    """Which ones enter NMS."""
    counts: list[int]
    """How many are of each level, level by level."""

    @property
    def levels(self) -> Float[Tensor, " T"]:
        """Level of each candidate."""
        return torch.cat([self.scores.new_full((count,), level) for level, count in enumerate(self.counts)])


class StreamProposals(Provider):
    """Region proposals of one stream, with losses `objectness` and `rpn_box` against the stream's ground truth.

    A plugin adds a stream of its own with `StreamProposals(core, config, MY_STREAM, MY_PROPOSALS)`; the core has the
    one of OBJECTS.

    Args:
        core: Channels and strides of the model.
        config: Options of the detector.
        stream: The stream that the proposals are for.
        proposals: Key of the proposals.
    """

    requires = (RPN_FEATURES,)

    def __init__(
        self, core: Core, config: DetectorConfig, stream: Stream = OBJECTS, proposals: Key[Regions, object] = PROPOSALS
    ) -> None:
        super().__init__()
        self.name = stage_name(proposals)
        self.provides = (proposals,)
        self.stream, self.key, self.config = stream, proposals, config.rpn
        self.anchors = AnchorGenerator(config.anchors, len(core.strides))
        self.coder = BoxCoder()
        self.matcher = Matcher(config.rpn.foreground, config.rpn.background, low_quality=True)
        groups = config.rpn.groups if stream == OBJECTS else ()
        self.groups = ObjectnessGroups(core.vocabulary.things, groups)
        channels, each = rpn_channels(core, config), config.anchors.per_cell
        self.objectness = PyramidConv2d(channels, len(self.groups) * each, kernel_size=1)
        self.deltas = PyramidConv2d(channels, each * 4, kernel_size=1)
        self.axis_names = rows_by_name({"objectness": self.groups.axis_names(each)})
        self.apply(init_normal)

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        """Put the stream's proposals on the board, best first per image.

        Args:
            board: The board with RPN_FEATURES.
            targets: Targets of the batch, if there are any.

        Returns:
            The losses, if there are targets.
        """
        features: FeaturePyramid = board[RPN_FEATURES]
        levels = self.predict(features)
        anchors = self.anchors(features, board.images.padded_size)
        board.put(self.key, self.propose(levels, anchors, board.images, learning=targets is not None))
        if targets is None:
            return {}
        ground_truth = ground_truth_of(targets, self.stream, board.images, self.groups.needed.shape[1])
        return self.loss(levels, anchors, board.images, ground_truth)

    def padded(self, board: Board, rows: int) -> None:
        """Put the proposals of one image on the board: as many as inference has at most, padded.

        Args:
            board: The board with RPN_FEATURES.
            rows: Rows of the detections; not used.
        """
        features: FeaturePyramid = board[RPN_FEATURES]
        levels = self.predict(features)
        anchors = self.anchors(features, board.images.padded_size)
        found = self._candidates(levels, anchors, board.images, self.config.pre_nms_test)
        boxes, usable = found.boxes[0], found.usable[0]
        scores = found.scores[0].where(usable, -1.0)  # those that are not usable come last, and suppress none
        parts = zip(torch.split(boxes, found.counts), torch.split(scores, found.counts), strict=True)
        kept = torch.cat([nms_mask(*level, self.config.nms_threshold) for level in parts])
        board.put(self.key, padded_regions(boxes, scores, kept & usable, self.config.post_nms_test, board.images))

    def predict(self, features: FeaturePyramid) -> list[AnchorPredictions]:
        """Compute objectness and offsets.

        Args:
            features: RPN_FEATURES.

        Returns:
            Predictions for the anchors of each level.
        """
        return list(map(self._in_order, self.objectness(features.maps), self.deltas(features.maps)))

    def _in_order(self, objectness: Float[Tensor, "B _ _ _"], deltas: Float[Tensor, "B _ _ _"]) -> AnchorPredictions:
        """Return what is predicted for the anchors of one level, in their order."""
        grouped: Tensor = objectness.unflatten(1, (len(self.groups), -1))  # type: ignore[no-untyped-call]
        grouped = grouped.permute(0, 3, 4, 2, 1).flatten(1, 3).float()
        offsets = deltas.permute(0, 2, 3, 1).reshape(len(deltas), -1, 4)
        return AnchorPredictions(grouped.amax(dim=2), grouped, offsets.float())

    @torch.no_grad()
    def propose(
        self,
        levels: list[AnchorPredictions],
        anchors: list[Float[Tensor, "_ 4"]],
        images: ImageBatch,
        learning: bool,
    ) -> Regions:
        """Return the best boxes of each image after NMS within each level.

        Args:
            levels: Predictions of each level.
            anchors: Anchors of each level in network pixels.
            images: Images of the batch.
            learning: Whether the limits of training apply instead of those of inference.

        Returns:
            Proposals, best first per image; scores are objectness, 0..1.
        """
        config = self.config
        before = config.pre_nms_train if learning else config.pre_nms_test
        after = config.post_nms_train if learning else config.post_nms_test
        if learning and not config.padding_train:
            levels = [
                replace(level, logits=level.logits.masked_fill(_beside(boxes, images), -math.inf))
                for level, boxes in zip(levels, anchors, strict=True)
            ]
        found = self._candidates(levels, anchors, images, before)
        kept = []
        for image, keep in enumerate(found.usable):
            own, own_scores = found.boxes[image, keep], found.scores[image, keep]
            rows = batched_nms(own, own_scores, found.levels[keep], config.nms_threshold)[:after]
            image_index = torch.full_like(rows, image)
            kept.append(Regions(own[rows], image_index, scores=own_scores[rows]))
        return Regions.cat(kept)

    def _candidates(
        self, levels: list[AnchorPredictions], anchors: list[Float[Tensor, "_ 4"]], images: ImageBatch, count: int
    ) -> Candidates:
        """Decode and clip the best anchors of each level."""
        parts = [self._best(level, boxes, count) for level, boxes in zip(levels, anchors, strict=True)]
        boxes = torch.cat([boxes for boxes, _ in parts], dim=1)
        logits = torch.cat([logits for _, logits in parts], dim=1)
        scores = logits.sigmoid()
        limits = image_limits(images.sizes, boxes)[:, None]
        boxes = boxes.clamp(min=0).minimum(limits)
        large = large_enough(boxes, self.config.min_box_size)
        usable = large & (scores >= self.config.score_threshold) & logits.isfinite()
        return Candidates(boxes, scores, usable, [part.shape[1] for _, part in parts])

    def _best(
        self, level: AnchorPredictions, anchors: Float[Tensor, "K 4"], count: int
    ) -> tuple[Float[Tensor, "B T 4"], Float[Tensor, "B T"]]:
        """Decode the best anchors of one level; return their boxes and logits."""
        logits, rows = level.logits.topk(min(count, level.logits.shape[1]), dim=1)
        deltas = level.deltas.gather(1, rows[..., None].expand(-1, -1, 4))
        return self.coder.decode(deltas, anchors[rows]), logits

    def loss(
        self,
        levels: list[AnchorPredictions],
        anchors: list[Float[Tensor, "_ 4"]],
        images: ImageBatch,
        ground_truth: StreamTruth,
    ) -> dict[str, Tensor]:
        """Compute binary cross-entropy of sampled anchors' objectness and (smooth) L1 of positive ones' offsets.

        An anchor is a positive of the group of its class alone, and a negative of the groups that its image has
        negatives of; for the others it gives neither loss nor gradient.

        Args:
            levels: Predictions of each level.
            anchors: Anchors of each level in network pixels.
            images: Images of the batch.
            ground_truth: Ground truth of the stream.

        Returns:
            The losses `objectness` and `rpn_box`.
        """
        every, complete = torch.cat(anchors), self.groups.complete(ground_truth)
        ground_truth = replace(ground_truth, exhaustive=complete.any(dim=1))
        samples = [self._sample(every, images, ground_truth, image) for image in range(len(images))]
        image_index = torch.cat([torch.full_like(rows, image) for image, (rows, _) in enumerate(samples)])
        rows, matched = (torch.cat(column) for column in zip(*samples, strict=True))
        positive = matched >= 0
        wanted = self.groups.positives(ground_truth, matched)
        taught = wanted | (complete[image_index] & ~positive[:, None])
        logits = torch.cat([level.grouped for level in levels], dim=1)[image_index, rows][taught]
        objectness = F.binary_cross_entropy_with_logits(logits, wanted[taught].to(logits.dtype), reduction="none")
        deltas = torch.cat([level.deltas for level in levels], dim=1)[image_index[positive], rows[positive]]
        encoded = self.coder.encode(ground_truth.regions.boxes[matched[positive]], every[rows[positive]])
        offsets = F.smooth_l1_loss(deltas, encoded, beta=self.config.smooth_l1_beta, reduction="none")
        return {"objectness": safe_mean(objectness), "rpn_box": safe_mean(offsets, count=len(rows))}

    @torch.no_grad()
    def _sample(
        self, anchors: Float[Tensor, "K 4"], images: ImageBatch, ground_truth: StreamTruth, image: int
    ) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"]]:
        """Sample anchors of one image; return them and the ground truth of each (-1: background)."""
        matches = assign(self.matcher, anchors, ground_truth, image)
        return sample(matches, self.config, images, image, self.name)


def _beside(anchors: Float[Tensor, "K 4"], images: ImageBatch) -> Bool[Tensor, "B K"]:
    """Mark anchors whose center is in the padding of an image."""
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    return (centers >= image_limits(images.sizes, anchors)[:, None, :2]).any(dim=2)
