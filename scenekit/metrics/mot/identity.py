"""Identity metrics: how much of the targets one identity each explains.

Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from scenekit.metrics.mot.matching import THRESHOLD
from scenekit.metrics.mot.sequence import Sequence


@dataclass(frozen=True)
class Identity:
    """What the identity metrics count over frames and sequences."""

    matched: int
    """Targets whose prediction has the identity that is assigned to their track (IDTP)."""
    missed: int
    """The other targets (IDFN)."""
    extra: int
    """The other predictions (IDFP)."""

    @classmethod
    def of(cls, sequence: Sequence) -> Identity:
        """Measure a sequence.

        Every target gets the identity, or none, with which most of all objects agree; each identity at most once.

        Args:
            sequence: The sequence.

        Returns:
            Its counts.
        """
        targets, predictions = sequence.target_counts, sequence.prediction_counts
        together = np.zeros((len(targets), len(predictions)), dtype=np.int64)
        for owners, found, similarity in sequence:
            rows, columns = np.nonzero(similarity >= THRESHOLD)
            together[owners[rows], found[columns]] += 1
        matched = int(together[linear_sum_assignment(together, maximize=True)].sum())
        return cls(matched, int(targets.sum()) - matched, int(predictions.sum()) - matched)

    def __add__(self, other: Identity) -> Identity:
        return Identity(self.matched + other.matched, self.missed + other.missed, self.extra + other.extra)

    def result(self) -> dict[str, float]:
        """Compute the metrics.

        Returns:
            IDF1, and the share of predictions (IDP) and of targets (IDR) that have the right identity.
        """
        return {
            "IDF1": self.matched / max(1.0, self.matched + 0.5 * (self.missed + self.extra)),
            "IDP": self.matched / max(1, self.matched + self.extra),
            "IDR": self.matched / max(1, self.matched + self.missed),
        }
