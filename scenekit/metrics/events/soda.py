"""SODA_c: whether the captions of a video tell its story in order (Fujita et al., SODA, ECCV 2020, section 3).

Letters: P predictions and R references of one video, both in the order of their starts.

The best matching in which matched pairs keep the order of both sides has the largest sum s of IoU times language score.
Precision is s / P, recall s / R; the score of a video is their harmonic mean. The authors use METEOR; with another
language score SODA_c is another metric and must be named so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Soda(NamedTuple):
    """Scores of one video, fractions."""

    precision: float
    """Of the predictions."""
    recall: float
    """Of the references."""
    f: float
    """Their harmonic mean; 0 where both are 0."""


def soda(iou: Float[np.ndarray, "P R"], language: Float[np.ndarray, "P R"]) -> Soda:
    """Compute SODA_c of one video.

    Args:
        iou: Temporal IoU of each pair; rows and columns in the order of their starts.
        language: Language score of each pair.

    Returns:
        The scores; 0 without predictions or references.
    """
    if not iou.size:
        return Soda(0.0, 0.0, 0.0)
    total = ordered_matching(iou * language)
    precision, recall = total / iou.shape[0], total / iou.shape[1]
    return Soda(precision, recall, 2 * precision * recall / (precision + recall) if total > 0 else 0.0)


def ordered_matching(gains: Float[np.ndarray, "P R"]) -> float:
    """Compute the largest sum of a matching in which a later row has a later column.

    Args:
        gains: What each pair adds; none is negative.

    Returns:
        The sum.
    """
    best = np.zeros(gains.shape[1] + 1)  # best[j]: of the rows so far and the first j columns
    for row in gains:
        best[1:] = np.maximum(best[1:], best[:-1] + row)
        best = np.maximum.accumulate(best)
    return float(best[-1])
