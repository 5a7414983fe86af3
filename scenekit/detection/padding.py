"""Regions with a fixed number of rows, for passes whose shapes do not depend on what the image shows.

Letters: M candidates, K rows of the result.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.ops.boxes import image_limits
from scenekit.structures.images import ImageBatch
from scenekit.structures.regions import Regions


def best_rows(
    scores: Float[Tensor, " M"], keep: Bool[Tensor, " M"], count: int
) -> tuple[Int[Tensor, " K"], Bool[Tensor, " K"]]:
    """Return the rows of the best candidates, and others where there are fewer.

    Args:
        scores: Scores of the candidates, 0..1.
        keep: The candidates that count.
        count: Number of rows, at most.

    Returns:
        Rows, best first, and which of them count.
    """
    best = scores.where(keep, -1.0).topk(min(count, len(scores)))
    return best.indices, best.values >= 0


def padded_regions(
    boxes: Float[Tensor, "M 4"], scores: Float[Tensor, " M"], keep: Bool[Tensor, " M"], count: int, images: ImageBatch
) -> Regions:
    """Return the best candidates of one image.

    Args:
        boxes: Candidates, xyxy in network pixels.
        scores: Their scores, 0..1.
        keep: The candidates that count.
        count: Number of regions, at most.
        images: The image.

    Returns:
        Regions, best first, then padding.
    """
    rows, valid = best_rows(scores, keep, count)
    return blanked(Regions(boxes[rows], torch.zeros_like(rows), scores=scores[rows], valid=valid), images)


def blanked(regions: Regions, images: ImageBatch) -> Regions:
    """Make every padding row the whole image, with label and score 0: what is computed of it is finite.

    Args:
        regions: Regions of one image.
        images: The image.

    Returns:
        The regions.
    """
    assert regions.valid is not None
    valid, whole = regions.valid, image_limits(images.sizes, regions.boxes) * regions.boxes.new_tensor([0, 0, 1, 1])
    labels, scores = regions.labels, regions.scores
    return replace(
        regions,
        boxes=regions.boxes.where(valid[:, None], whole),
        labels=None if labels is None else labels.where(valid, 0),
        scores=None if scores is None else scores.where(valid, 0.0),
    )
