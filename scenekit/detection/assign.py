"""Matching of a batch's candidates to a stream's ground truth, with respect to what each image is annotated with.

Letters: B images, N candidates of one image, S of them sampled, C classes.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.keys import Stream
from scenekit.model.targets import StreamTruth, Targets
from scenekit.ops.matching import Matcher, Matches
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


def assign(matcher: Matcher, boxes: Float[Tensor, "N 4"], ground_truth: StreamTruth, image: int) -> Matches:
    """Match the candidates of one image to ground truth.

    An image that is not supervised has neither positives nor negatives, one that is not exhaustive has no negatives.

    Args:
        matcher: Matches boxes by their IoU.
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
