"""Losses that stay finite and connected when there is nothing to learn from.

Letters: N rows, C foreground classes, K = C + 1 columns: the classes, then background.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def safe_mean(values: Float[Tensor, "..."], count: int | None = None) -> Float[Tensor, ""]:
    """sum / max(count, 1), where count is the number of values unless told: zero, not NaN, for no values.

    The result of no values still hangs on the graph, so that distributed training waits for nobody.
    """
    return values.sum() / max(values.numel() if count is None else count, 1)


def covered_cross_entropy(
    logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"], covered: Bool[Tensor, "N C"]
) -> Float[Tensor, " N"]:
    """Softmax cross-entropy of each row when only some classes are labelled; background is the last column.

    A foreground row takes softmax over background and the covered classes alone, so that the logits of the others get
    no gradient. A background row (label -1) may well show a class that is not covered: its loss is
    -log(p_background + sum of p over uncovered classes). With all classes covered both are plain cross-entropy.
    """
    background = labels < 0
    own = F.one_hot(labels.where(~background, logits.shape[1] - 1), logits.shape[1]).bool()
    open_ = F.pad(~covered, (0, 1), value=True)
    right = torch.where(background[:, None], open_, own)
    shown = background[:, None] | own | F.pad(covered, (0, 1), value=True)
    return _logsumexp(logits, shown) - _logsumexp(logits, right)


def _logsumexp(logits: Float[Tensor, "N K"], columns: Bool[Tensor, "N K"]) -> Float[Tensor, " N"]:
    return logits.masked_fill(~columns, -torch.inf).logsumexp(dim=1)


def effective_number(count: Float[Tensor, "*S"], beta: float) -> Float[Tensor, "*S"]:
    """(1 - beta^n) / (1 - beta): what n samples are worth that overlap in what they show (Cui et al. 2019, eq. 2)."""
    return (1 - beta**count) / (1 - beta)
