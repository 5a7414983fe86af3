"""Base boxes of a grid detector from the ground truth (Redmon & Farhadi, YOLO9000, 2017, section 2).

Letters: N boxes, K priors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.errors import InputError

ROUNDS = 300
"""Upper limit of the rounds of k-means."""

LEAST_IOU = 0.25
"""Priors of which none reaches this IoU with any box fit none."""


def shape_iou(sizes: Float[Tensor, "N 2"], priors: Float[Tensor, "K 2"]) -> Float[Tensor, "N K"]:
    """Compute the IoU of boxes and priors that share their center.

    Args:
        sizes: Widths and heights of boxes.
        priors: Widths and heights of priors.

    Returns:
        IoU of each pair.
    """
    shared = torch.minimum(sizes[:, None], priors).prod(dim=2)
    return shared / (sizes.prod(dim=1)[:, None] + priors.prod(dim=1) - shared)


def kmeans_priors(sizes: Float[Tensor, "N 2"], count: int) -> Float[Tensor, "count 2"]:
    """Fit priors to boxes by k-means with the distance 1 - IoU, which does not prefer large boxes.

    The first centers are boxes spread evenly over the areas, so that the result is always the same.

    Args:
        sizes: Widths and heights of ground-truth boxes in pixels.
        count: Number of priors.

    Returns:
        Widths and heights of the priors, by ascending area.

    Raises:
        InputError: If there are fewer boxes than priors.
    """
    sizes = sizes[(sizes > 0).all(dim=1)]
    if len(sizes) < count:
        raise InputError(f"priors: {len(sizes)} ground-truth boxes for {count} priors; add data, or fit fewer priors")
    by_area = sizes[sizes.prod(dim=1).argsort(stable=True)]
    priors = by_area[((torch.arange(count) + 0.5) * len(sizes) / count).long()]
    nearest = torch.full((len(sizes),), -1)
    for _ in range(ROUNDS):
        before, nearest = nearest, shape_iou(sizes, priors).argmax(dim=1)
        if torch.equal(before, nearest):
            break
        priors = _means(sizes, nearest, priors)
    return priors[priors.prod(dim=1).argsort(stable=True)]


def _means(sizes: Float[Tensor, "N 2"], nearest: Int[Tensor, " N"], priors: Float[Tensor, "K 2"]) -> Tensor:
    """Return the mean of the boxes that are nearest to each prior; one without boxes stays."""
    counts = nearest.bincount(minlength=len(priors))[:, None]
    sums = torch.zeros_like(priors).index_add(0, nearest, sizes)
    return torch.where(counts > 0, sums / counts.clamp(min=1), priors)


def check_priors(priors: Float[Tensor, "K 2"], sizes: Float[Tensor, "N 2"]) -> None:
    """Check that priors fit ground-truth boxes; without boxes there is nothing to check.

    Args:
        priors: Widths and heights of the priors in pixels.
        sizes: Widths and heights of the boxes in pixels.

    Raises:
        InputError: If no prior has an IoU of at least LEAST_IOU with any box.
    """
    if not len(sizes):
        return
    best = float(shape_iou(sizes, priors).max())
    if best < LEAST_IOU:
        low, high = (torch.quantile(sizes, share, dim=0).round().long().tolist() for share in (0.1, 0.9))
        listed = ", ".join(f"{width:g} x {height:g}" for width, height in priors.tolist())
        raise InputError(
            f"priors fit no ground-truth box: the best IoU of {listed} is {best:.2f}, expected {LEAST_IOU} or more; "
            f"boxes are mostly between {low[0]} x {low[1]} and {high[0]} x {high[1]} pixels of the network's input; "
            "set model.detector_options.priors to such sizes, or to null to fit them"
        )
