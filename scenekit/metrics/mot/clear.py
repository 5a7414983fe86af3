"""CLEAR MOT: MOTA, MOTP, identity switches, and how long targets are tracked.

Bernardin and Stiefelhagen, Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics, 2008; mostly tracked
and mostly lost targets: Wu and Nevatia, 2006. Letters: I target identities.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from scenekit.metrics.mot.matching import matched
from scenekit.metrics.mot.sequence import Sequence

KEPT = 1000.0
"""How much more a match counts that continues one of the frame before: more than the similarities of all others."""

MOSTLY, PARTLY = 0.8, 0.2
"""Shares of its frames in which a target must be matched: above the first it is mostly tracked, below the second
mostly lost."""


@dataclass(frozen=True)
class Clear:
    """What CLEAR counts over frames and sequences."""

    matched: int = 0
    """Matched targets (true positives)."""
    missed: int = 0
    """Targets without a match (FN)."""
    extra: int = 0
    """Predictions without a match (FP)."""
    switches: int = 0
    """Matches of a target with another identity than at its match before (IDS)."""
    mostly_tracked: int = 0
    """Targets that are matched in more than 80 % of their frames (MT)."""
    partly_tracked: int = 0
    """The other targets that are matched in 20 % or more (PT)."""
    mostly_lost: int = 0
    """The remaining targets (ML)."""
    fragments: int = 0
    """How often the track of a target goes on after a gap (Frag)."""
    similarity: float = 0.0
    """Sum of the similarities of the matches."""

    @classmethod
    def of(cls, sequence: Sequence) -> Clear:
        """Measure a sequence.

        Args:
            sequence: The sequence.

        Returns:
            Its counts.
        """
        targets, predictions = sequence.target_counts, sequence.prediction_counts
        if not targets.sum() or not predictions.sum():
            lost = int(targets.sum())
            return cls(missed=lost, extra=int(predictions.sum()), mostly_lost=len(targets))
        progress = _Progress(len(targets))
        similarity = sum(progress.step(*frame) for frame in sequence)
        matched = int(progress.matched.sum())
        share = progress.matched / targets
        mostly, partly = int((share > MOSTLY).sum()), int((share >= PARTLY).sum())
        return cls(
            matched=matched,
            missed=int(targets.sum()) - matched,
            extra=int(predictions.sum()) - matched,
            switches=progress.switches,
            mostly_tracked=mostly,
            partly_tracked=partly - mostly,
            mostly_lost=len(targets) - partly,
            fragments=int(np.maximum(progress.starts - 1, 0).sum()),
            similarity=float(similarity),
        )

    def __add__(self, other: Clear) -> Clear:
        return Clear(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def result(self) -> dict[str, float]:
        """Compute the metrics.

        Returns:
            MOTA (at most 1; 0 without targets), MOTP (mean similarity of the matches), recall and precision as
            fractions, and the counts IDS, FP, FN, MT, PT, ML and Frag.
        """
        targets = max(1, self.matched + self.missed)
        wrong = self.missed + self.extra + self.switches
        return {
            "MOTA": 1 - wrong / targets if self.matched + self.missed else 0.0,
            "MOTP": self.similarity / max(1, self.matched),
            "recall": self.matched / targets,
            "precision": self.matched / max(1, self.matched + self.extra),
            "IDS": self.switches,
            "FP": self.extra,
            "FN": self.missed,
            "MT": self.mostly_tracked,
            "PT": self.partly_tracked,
            "ML": self.mostly_lost,
            "Frag": self.fragments,
        }


class _Progress:
    """The matches of each target so far; -1 stands for none."""

    def __init__(self, count: int) -> None:
        self.last: Int[np.ndarray, " I"] = np.full(count, -1)
        self.before: Int[np.ndarray, " I"] = np.full(count, -1)
        self.matched: Int[np.ndarray, " I"] = np.zeros(count, dtype=np.int64)
        self.starts: Int[np.ndarray, " I"] = np.zeros(count, dtype=np.int64)
        self.switches = 0

    def step(
        self, targets: Int[np.ndarray, " G"], predictions: Int[np.ndarray, " P"], similarity: Float[np.ndarray, "G P"]
    ) -> float:
        """Match the objects of a frame; return the sum of the similarities of the matches.

        A frame without targets or without predictions leaves open what the frame before was, as in the official code.
        """
        if not len(targets) or not len(predictions):
            return 0.0
        goes_on = predictions == self.before[targets][:, None]
        rows, columns = matched(similarity, KEPT * goes_on)
        owner, match = targets[rows], predictions[columns]
        self.switches += int(((self.last[owner] >= 0) & (self.last[owner] != match)).sum())
        self.starts[owner] += self.before[owner] < 0
        self.matched[owner] += 1
        self.last[owner] = match
        self.before[:] = -1
        self.before[owner] = match
        return float(similarity[rows, columns].sum())
