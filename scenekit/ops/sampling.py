"""Sampling of a fixed number of candidates for the losses.

Letters: N candidates of one image, S sampled ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def sample_balanced(
    positive: Bool[Tensor, " N"],
    negative: Bool[Tensor, " N"],
    count: int,
    positive_fraction: float,
    generator: torch.Generator,
) -> Int[Tensor, " S"]:
    """Sample positives and negatives at a fixed ratio; negatives replace missing positives.

    Args:
        positive: Which candidates are positive.
        negative: Which candidates are negative.
        count: Largest number of samples.
        positive_fraction: Largest part of them that is positive.
        generator: Source of random numbers, on the CPU.

    Returns:
        Rows of the sampled candidates, ascending.
    """
    positives = _choose(positive, int(count * positive_fraction), generator)
    negatives = _choose(negative, count - len(positives), generator)
    return torch.cat((positives, negatives)).sort().values


def _choose(allowed: Bool[Tensor, " N"], count: int, generator: torch.Generator) -> Int[Tensor, " S"]:
    rows = allowed.nonzero()[:, 0]
    if len(rows) <= count:
        return rows
    # Drawn on the CPU, so that a run samples the same rows on every device.
    chosen = torch.randperm(len(rows), generator=generator)[:count]
    return rows[chosen.to(rows.device)]
