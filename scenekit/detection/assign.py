"""Matching of a batch's candidates to a stream's ground truth, with respect to what each image is annotated with.

Letters: B images, N candidates of one image, S of them sampled, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.keys import Stream
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.matching import Matches, match_same_label
from scenekit.ops.rng import generator
from scenekit.ops.sampling import sample_balanced
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


def ground_truth_of(targets: Targets, stream: Stream, images: ImageBatch, classes: int) -> StreamTruth:
    """Return the ground truth of a stream; if the batch has none, one that supervises no image.

    Args:
        targets: Targets of the batch.
        stream: The stream.
        images: Images of the batch.
        classes: Number of classes of the stream.

    Returns:
        The ground truth of the stream.
    """
    if stream in targets.streams:
        return targets.streams[stream]
    device = images.pixels.device
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    no_image = torch.zeros(len(images), dtype=torch.bool, device=device)
    return StreamTruth(
        regions=Regions(torch.zeros(0, 4, device=device), nothing, labels=nothing),
        crowd=nothing.bool(),
        supervised=no_image,
        exhaustive=no_image,
        covered=no_image[:, None].expand(-1, classes),
    )


@runtime_checkable
class Matching(Protocol):
    """Matching of the candidates of one image, such as `scenekit.ops.matching.Matcher`."""

    def __call__(
        self, boxes: Float[Tensor, "N 4"], targets: Float[Tensor, "G 4"], crowd: Bool[Tensor, " G"]
    ) -> Matches:
        """Match candidates to ground-truth boxes, of which some are crowds."""


def assign(matcher: Matching, boxes: Float[Tensor, "N 4"], ground_truth: StreamTruth, image: int) -> Matches:
    """Match the candidates of one image to ground truth.

    An image that is not supervised has neither positives nor negatives, one that is not exhaustive has no negatives.

    Args:
        matcher: Matches boxes, for example by their IoU.
        boxes: Candidates in network pixels.
        ground_truth: Ground truth of the batch.
        image: Number of the image in the batch.

    Returns:
        The matches; `Matches.matched` are rows of the ground truth's regions.
    """
    rows = ((ground_truth.regions.image_index == image) & ground_truth.supervised[image]).nonzero()[:, 0]
    local = matcher(boxes, ground_truth.regions.boxes[rows], ground_truth.crowd[rows])
    matched = local.matched >= 0
    packed = torch.full_like(local.matched, -1)
    packed[matched] = rows[local.matched[matched]]
    return Matches(packed, local.negative & ground_truth.supervised[image] & ground_truth.exhaustive[image])


@runtime_checkable
class Sampling(Protocol):
    """Number of candidates of an image that a stage is trained on, and the share of positives."""

    @property
    def samples(self) -> int:
        """Upper limit of the candidates of one image."""

    @property
    def positive_fraction(self) -> float:
        """Upper limit of the share of positives among them."""


def sample(
    matches: Matches, config: Sampling, images: ImageBatch, image: int, purpose: str
) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"]]:
    """Sample candidates of one image for training.

    They are drawn with the image's own seed and the stage's `purpose`, so that they depend on nothing else in the
    batch.

    Args:
        matches: Matches of the candidates.
        config: Number of samples and share of positives.
        images: Images of the batch.
        image: Number of the image in the batch.
        purpose: Name of the stage.

    Returns:
        Sampled candidates, and the row of ground truth of each, -1 for background.
    """
    source = generator(0 if images.seeds is None else images.seeds[image], purpose)
    rows = sample_balanced(matches.matched >= 0, matches.negative, config.samples, config.positive_fraction, source)
    return rows, matches.matched[rows]


def sample_regions(
    matcher: Matching,
    candidates: Regions,
    ground_truth: StreamTruth,
    config: Sampling,
    images: ImageBatch,
    purpose: str,
) -> Regions:
    """Sample regions for training from candidates and ground-truth boxes, matched and balanced per image.

    Args:
        matcher: Matches boxes, for example by their IoU.
        candidates: Proposals or detections of the batch.
        ground_truth: Ground truth of the stream.
        config: Number of samples and share of positives.
        images: Images of the batch.
        purpose: Name of the stage.

    Returns:
        Sampled regions with `labels` and `matched`, which are -1 for background.
    """
    usable = ~ground_truth.crowd & ground_truth.supervised[ground_truth.regions.image_index]
    every = Regions(
        torch.cat((candidates.boxes, ground_truth.regions.boxes[usable])),
        torch.cat((candidates.image_index, ground_truth.regions.image_index[usable])),
    )
    assert ground_truth.regions.labels is not None
    sampled = []
    for image in range(len(images)):
        boxes = every.boxes[every.image_index == image]
        rows, matched = sample(assign(matcher, boxes, ground_truth, image), config, images, image, purpose)
        labels = torch.full_like(matched, -1)
        labels[matched >= 0] = ground_truth.regions.labels[matched[matched >= 0]]
        sampled.append(Regions(boxes[rows], torch.full_like(rows, image), labels=labels, matched=matched))
    return Regions.cat(sampled)


def match_detections(detections: Regions, ground_truth: StreamTruth, images: int, min_iou: float) -> Int[Tensor, " N"]:
    """Match each detection to the ground truth of its label with the greatest IoU.

    Args:
        detections: Detections of the batch.
        ground_truth: Ground truth of the stream.
        images: Number of images of the batch.
        min_iou: Smallest IoU of a match.

    Returns:
        Row of the ground truth for each detection, -1 without a match.
    """
    assert detections.labels is not None and ground_truth.regions.labels is not None
    matched = torch.full_like(detections.labels, -1)
    regions = ground_truth.regions
    usable = ~ground_truth.crowd & ground_truth.supervised[regions.image_index]
    for image in range(images):
        own = (detections.image_index == image).nonzero()[:, 0]
        rows = (usable & (regions.image_index == image)).nonzero()[:, 0]
        best = match_same_label(
            detections.boxes[own],
            detections.labels[own],
            regions.boxes[rows],
            ground_truth.regions.labels[rows],
            min_iou,
        )
        matched[own[best >= 0]] = rows[best[best >= 0]]
    return matched


def independent(regions: Regions, rows: Int[Tensor, " N"]) -> Regions:
    """Select rows as regions of their own, which share their features with no others.

    Args:
        regions: Regions of the batch.
        rows: Indices of rows.

    Returns:
        The selected regions.
    """
    return replace(regions.subset(rows), parent=None, rows=None)
