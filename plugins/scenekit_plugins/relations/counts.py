"""Counts of predicates between two labels, collected in training.

Letters: C things, P predicates, Q = P + 1 columns with "no relation" first, T pairs.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from scenekit.model.head import BACKGROUND, AxisNames, ParameterNames


class PredicateCounts(nn.Module):
    """Counts of predicates between two labels.

    `counts[s, o, q]` is the number of ordered pairs of ground-truth objects of labels s and o with predicate q; q = 0:
    without any.

    They are a buffer, and so part of the checkpoint. As the statistics of batch norm they change in training mode only,
    and of several processes the first one's are kept.
    """

    counts: Tensor

    def __init__(self, things: tuple[str, ...], predicates: tuple[str, ...], smoothing: float) -> None:
        super().__init__()
        shape = (len(things), len(things), len(predicates) + 1)
        self.register_buffer("counts", torch.zeros(shape, dtype=torch.int64))
        self.smoothing = smoothing
        columns = AxisNames((BACKGROUND, *predicates), axis=2)
        self.axis_names: ParameterNames = {"counts": (AxisNames(things, axis=0), AxisNames(things, axis=1), columns)}

    @torch.no_grad()
    def add(self, subject: Int[Tensor, " T"], target: Int[Tensor, " T"], predicates: Bool[Tensor, "T P"]) -> None:
        """Count pairs of objects.

        Args:
            subject: Labels of the subjects.
            target: Labels of the objects.
            predicates: Which predicates hold.
        """
        if self.training:
            columns = torch.cat((~predicates.any(dim=1, keepdim=True), predicates), dim=1)
            self.counts.index_put_((subject, target), columns.long(), accumulate=True)

    def probabilities(self) -> Float[Tensor, "C C Q"]:
        """Compute the share of each predicate, and of none, for each pair of labels; never 0.

        Rare pairs are smoothed: `smoothing` further pairs are distributed as for this subject with any object and for
        any subject with this object (half and half), these likewise as for any two labels, and these with one more of
        each predicate.

        Returns:
            The shares.
        """
        counts = self.counts.float()
        general = _shares(counts.sum(dim=(0, 1)) + 1)
        by_subject = _shares(counts.sum(dim=1) + self.smoothing * general)
        by_object = _shares(counts.sum(dim=0) + self.smoothing * general)
        return _shares(counts + self.smoothing * (by_subject[:, None] + by_object[None]) / 2)

    def frequencies(self) -> Float[Tensor, " Q"]:
        """Count each predicate, and none, between any two labels.

        Returns:
            The counts.
        """
        return self.counts.sum(dim=(0, 1)).float()


def _shares(counts: Float[Tensor, "*_ Q"]) -> Float[Tensor, "*_ Q"]:
    return counts / counts.sum(dim=-1, keepdim=True)
