"""HOTA: detection and association in balance, averaged over thresholds of localization.

Luiten et al., HOTA: A Higher Order Metric for Evaluating Multi-object Tracking, IJCV 2020.

Letters: A thresholds alpha, G targets and P predictions of a frame, I target identities, J predicted identities.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from scenekit.metrics.mot.sequence import LEAST, Sequence

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Least similarities of a match."""


@dataclass(frozen=True, eq=False)
class Hota:
    """What HOTA sums over frames and sequences, at each threshold."""

    matched: Float[np.ndarray, " A"]
    """Matched targets (true positives)."""
    missed: Float[np.ndarray, " A"]
    """Targets without a match (false negatives)."""
    extra: Float[np.ndarray, " A"]
    """Predictions without a match (false positives)."""
    association: Float[np.ndarray, " A"]
    """Sum over the matches of the Jaccard index of their two tracks."""
    recall: Float[np.ndarray, " A"]
    """Sum over the matches of the share of the target's track that has this predicted identity."""
    precision: Float[np.ndarray, " A"]
    """Sum over the matches of the share of the predicted track that is this target."""
    similarity: Float[np.ndarray, " A"]
    """Sum of the similarities of the matches."""

    @classmethod
    def of(cls, sequence: Sequence) -> Hota:
        """Measure a sequence.

        Args:
            sequence: The sequence.

        Returns:
            Its sums.
        """
        owner, found, similarity = _matches(sequence)
        counts = sequence.target_counts, sequence.prediction_counts
        rows = []
        for alpha in ALPHAS:
            kept = similarity >= alpha - LEAST
            rows.append(_sums(owner[kept], found[kept], similarity[kept], *counts))
        return cls(*np.array(rows).T)

    def __add__(self, other: Hota) -> Hota:
        return Hota(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def result(self) -> dict[str, float]:
        """Compute the metrics, averaged over the thresholds.

        Returns:
            Fractions: HOTA, DetA, AssA, LocA, the recalls DetRe and AssRe, and the precisions DetPr and AssPr.
        """
        at_least_one = np.maximum(1, self.matched)
        detection = self.matched / np.maximum(1, self.matched + self.missed + self.extra)
        association = self.association / at_least_one
        without = self.matched == 0
        by_alpha = {
            "HOTA": np.sqrt(detection * association),
            "DetA": detection,
            "AssA": association,
            "LocA": np.where(without, 1.0, self.similarity / at_least_one),
            "DetRe": self.matched / np.maximum(1, self.matched + self.missed),
            "DetPr": self.matched / np.maximum(1, self.matched + self.extra),
            "AssRe": self.recall / at_least_one,
            "AssPr": self.precision / at_least_one,
        }
        return {name: float(values.mean()) for name, values in by_alpha.items()}


def _matches(
    sequence: Sequence,
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"], Float[np.ndarray, " _"]]:
    """Match the objects of each frame so that tracks which go together overall are preferred.

    Returns:
        The target, the predicted identity and the similarity of all matches; those that are too dissimilar included.
    """
    alignment = _alignment(sequence)
    owners, found, similarities = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for targets, predictions, similarity in sequence:
        rows, columns = linear_sum_assignment(alignment[np.ix_(targets, predictions)] * similarity, maximize=True)
        owners.append(targets[rows])
        found.append(predictions[columns])
        similarities.append(similarity[rows, columns])
    return np.concatenate(owners), np.concatenate(found), np.concatenate(similarities)


def _alignment(sequence: Sequence) -> Float[np.ndarray, "I J"]:
    """Return the Jaccard index of each target's track with each predicted track, before objects are matched."""
    targets, predictions = sequence.target_counts, sequence.prediction_counts
    together = np.zeros((len(targets), len(predictions)))
    for owners, found, similarity in sequence:
        either = similarity.sum(axis=0) + similarity.sum(axis=1, keepdims=True) - similarity
        share = np.divide(similarity, either, out=np.zeros_like(similarity), where=either > LEAST)
        together[np.ix_(owners, found)] += share
    either = targets[:, None] + predictions - together
    alignment: Float[np.ndarray, "I J"] = np.divide(together, either, out=np.zeros_like(together), where=either > 0)
    return alignment


def _sums(
    owner: Int[np.ndarray, " _"],
    found: Int[np.ndarray, " _"],
    similarity: Float[np.ndarray, " _"],
    targets: Int[np.ndarray, " I"],
    predictions: Int[np.ndarray, " J"],
) -> tuple[float, ...]:
    """Return the sums of a threshold, in the order of the fields of `Hota`."""
    count = len(owner)
    code, together = np.unique(owner * max(len(predictions), 1) + found, return_counts=True)
    first, second = targets[code // max(len(predictions), 1)], predictions[code % max(len(predictions), 1)]
    shares = (together**2 / size for size in (first + second - together, first, second))
    association = (float(share.sum()) for share in shares)
    missed, extra = (float(ids.sum() - count) for ids in (targets, predictions))
    return (float(count), missed, extra, *association, float(similarity.sum()))
