"""Losses that stay finite and connected to the graph when nothing is supervised.

Letters: N rows, C foreground classes, K = C + 1 columns: the classes, then background.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def safe_mean(values: Float[Tensor, "..."], count: int | None = None) -> Float[Tensor, ""]:
    """Compute sum / max(count, 1): the mean, and zero instead of NaN for no values.

    The result for no values stays connected to the graph, so that no process of distributed training waits for a
    gradient.

    Args:
        values: Values to average.
        count: Divisor; by default the number of values.

    Returns:
        The mean.
    """
    return values.sum() / max(values.numel() if count is None else count, 1)


def covered_cross_entropy(
    logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"], covered: Bool[Tensor, "N C"]
) -> Float[Tensor, " N"]:
    """Compute the softmax cross-entropy of each row when only some classes are annotated.

    The softmax is over background, the covered classes and the row's own class, so that the logits of the others get no
    gradient. A background row may well show a class that is not covered, and says nothing of it. With all classes
    covered this is plain cross-entropy.

    Args:
        logits: Scores of the classes, then background.
        labels: Class of each row, -1 for background.
        covered: Which classes are annotated in the image of each row.

    Returns:
        The loss of each row.
    """
    targets = labels.where(labels >= 0, covered.shape[1])
    shown = F.pad(covered, (0, 1), value=True) | F.one_hot(targets, logits.shape[1]).bool()
    return F.cross_entropy(logits.masked_fill(~shown, -torch.inf), targets, reduction="none")


def effective_number(count: Float[Tensor, "*S"], beta: float) -> Float[Tensor, "*S"]:
    """Compute the effective number of samples, (1 - beta^n) / (1 - beta) (Cui et al. 2019, eq. 2).

    Args:
        count: Numbers of samples n.
        beta: Overlap of samples, from 0 (each class counts as one sample) towards 1 (each sample counts).

    Returns:
        The effective numbers.
    """
    return (1 - beta**count) / (1 - beta)
