"""The best one-to-one matches of a frame. Letters: G targets and P predictions of a frame, K matches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from scenekit.metrics.mot.sequence import LEAST

THRESHOLD = 0.5
"""Least similarity of a match."""


def matched(
    similarity: Float[np.ndarray, "G P"], advantage: Float[np.ndarray, "G P"] | float = 0.0
) -> tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Match targets with predictions so that the sum over all matches is the largest.

    Args:
        similarity: Of each target with each prediction; below the threshold there is no match.
        advantage: What is added to the similarity of each pair that may match.

    Returns:
        The rows of the targets and of the predictions that match.
    """
    score = np.where(similarity < THRESHOLD - LEAST, 0.0, advantage + similarity)
    rows, columns = linear_sum_assignment(score, maximize=True)
    kept = score[rows, columns] > LEAST
    return rows[kept], columns[kept]
