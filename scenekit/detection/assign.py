"""Candidates of a batch against a stream's ground truth, with respect for what each image labels.

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


def truth_of(targets: Targets, stream: Stream, images: ImageBatch, classes: int) -> StreamTruth:
    """The stream's ground truth; where the batch says nothing about it, one that supervises no image."""
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


def assign(matcher: Matcher, boxes: Float[Tensor, "N 4"], truth: StreamTruth, image: int) -> Matches:
    """Match candidates of one image; `Matches.matched` are rows of `truth.regions`.

    An image that is not supervised has neither positives nor negatives, one that is not exhaustive no negatives.
    """
    rows = ((truth.regions.image_index == image) & truth.supervised[image]).nonzero()[:, 0]
    local = matcher(boxes, truth.regions.boxes[rows], truth.crowd[rows])
    matched = local.matched >= 0
    packed = torch.full_like(local.matched, -1)
    packed[matched] = rows[local.matched[matched]]
    return Matches(packed, local.negative & truth.supervised[image] & truth.exhaustive[image])


@runtime_checkable
class Sampling(Protocol):
    """How many candidates of an image a stage learns from, and which share of them at most is positive."""

    @property
    def samples(self) -> int:
        """The most candidates of one image."""

    @property
    def positive_fraction(self) -> float:
        """The largest share of positives among them."""


def sample(
    matches: Matches, config: Sampling, images: ImageBatch, image: int, purpose: str
) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"]]:
    """(candidates of one image to learn from, the row of ground truth of each, -1 for background).

    They are drawn by the image's own seed and the stage's `purpose`, so that nothing else in the batch matters.
    """
    source = generator(0 if images.seeds is None else images.seeds[image], purpose)
    rows = sample_balanced(matches.matched >= 0, matches.negative, config.samples, config.positive_fraction, source)
    return rows, matches.matched[rows]
