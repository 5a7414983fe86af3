"""Leaving out regions of a sample, so that what names rows still names the same ones.

Letters: N regions of one image.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Bool
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.keys import Stream


def keep_regions(sample: Sample, stream: Stream, kept: Bool[Tensor, " N"]) -> Sample:
    """Return the sample with the rows `kept` of a stream alone."""
    return sample if bool(kept.all()) else replace(sample, scene=sample.scene.select(stream, kept))


def without_empty(sample: Sample, stream: Stream) -> Sample:
    """Drop the regions whose box is empty."""
    boxes = sample.scene.regions(stream).boxes
    return keep_regions(sample, stream, (boxes[:, 2:] > boxes[:, :2]).all(dim=1))
