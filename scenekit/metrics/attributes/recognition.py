"""Attributes of objects measured as VAW does (Pham et al., Learning to Predict Visual Attributes in the Wild, 2021).

Letters: N objects, A attributes.

Each attribute is a retrieval problem over the objects that are annotated with it; entries that are unknown (NaN) count
nowhere. mAP is the mean over attributes of the area under the steps of precision against recall, as scikit-learn's
`average_precision_score` has it (objects of one score count together). mR@k is the mean over attributes of the share
of their objects among whose k most probable attributes they are; F1@k the harmonic mean of precision and recall of all
those k at once. Attributes without a positive are left out of the means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.metrics.common import ratio, to_numpy

CUTOFFS = (5, 15)
"""k of mR@k and F1@k; 15 is VAW's."""

UNKNOWN = -1
"""What replaces NaN in targets, which are kept as integers."""


class AttributeRecognition:
    """Accumulates objects; `result` gives mAP, mR@k and F1@k as fractions.

    Args:
        attributes: Their names, by column.
        cutoffs: The k of mR@k and F1@k; those that cover all attributes are left out.
    """

    def __init__(self, attributes: Sequence[str], cutoffs: Sequence[int] = CUTOFFS) -> None:
        self.attributes = tuple(attributes)
        self.cutoffs = tuple(k for k in cutoffs if k < len(self.attributes))
        self._targets: list[Int[np.ndarray, "N A"]] = []
        self._scores: list[Float[np.ndarray, "N A"]] = []

    def update(self, targets: Any, scores: Any) -> None:
        """Add objects.

        Args:
            targets: [N A] of 0, 1 and NaN (unknown), an array or a tensor; values in between are rounded.
            scores: [N A] probabilities; rows of NaN for objects without a prediction.

        Raises:
            InputError: Shapes differ, or targets are outside of 0 to 1.
        """
        targets, scores = to_numpy(targets).astype(np.float32), to_numpy(scores).astype(np.float32)
        if targets.shape != scores.shape or targets.shape[1:] != (len(self.attributes),):
            expected = f"expected two arrays of {len(self.attributes)} columns and as many rows"
            raise InputError(f"{expected}, got targets {list(targets.shape)} and scores {list(scores.shape)}")
        annotated = np.isfinite(targets)
        if ((targets[annotated] < 0) | (targets[annotated] > 1)).any():
            raise InputError("targets must be 1 (holds), 0 (does not) or NaN (unknown); got a number outside of 0 to 1")
        rows = annotated.any(axis=1)
        self._targets.append(np.where(annotated, np.nan_to_num(targets) >= 0.5, UNKNOWN).astype(np.int8)[rows])
        self._scores.append(scores[rows])

    def merge(self, other: AttributeRecognition) -> None:
        """Add the objects of another instance.

        Args:
            other: One of the same attributes.

        Raises:
            InputError: The attributes differ.
        """
        if other.attributes != self.attributes:
            raise InputError("cannot merge scores of different attributes")
        self._targets += other._targets
        self._scores += other._scores

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            mAP, mR@k, F1@k as fractions, and under `per_attribute` AP, R@k and the number of `positives` by name.
        """
        empty = np.zeros((0, len(self.attributes)))
        targets, scores = np.concatenate([empty, *self._targets]), np.concatenate([empty, *self._scores])
        positives = (targets == 1).sum(axis=0)
        per_attribute: dict[str, dict[str, float]] = {
            name: {"AP": average_precision(targets[:, column], scores[:, column])}
            for column, name in enumerate(self.attributes)
        }
        means: dict[str, float] = {}
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")
        for k in self.cutoffs:
            chosen = np.zeros(order.shape, dtype=bool)
            np.put_along_axis(chosen, order[:, :k], True, axis=1)
            chosen &= np.isfinite(scores)
            hits = (chosen & (targets == 1)).sum(axis=0)
            for name, hit, count in zip(self.attributes, hits, positives, strict=True):
                per_attribute[name][f"R@{k}"] = ratio(float(hit), int(count))
            means[f"mR@{k}"] = _mean([numbers[f"R@{k}"] for numbers in per_attribute.values()])
            annotated = int((chosen & (targets != UNKNOWN)).sum())
            means[f"F1@{k}"] = ratio(2.0 * float(hits.sum()), annotated + int(positives.sum()))
        for name, count in zip(self.attributes, positives, strict=True):
            per_attribute[name]["positives"] = int(count)
        average = _mean([numbers["AP"] for numbers in per_attribute.values()])
        return {"mAP": average, **means, "per_attribute": per_attribute}


def average_precision(targets: npt.NDArray[Any], scores: npt.NDArray[Any]) -> float:
    """Compute AP of one attribute: the sum over the distinct scores of precision times the recall gained there.

    Args:
        targets: 1, 0 or UNKNOWN by object.
        scores: Probabilities; objects whose score is NaN are never retrieved.

    Returns:
        A fraction; NaN where there is no positive.
    """
    positives = int((targets == 1).sum())
    retrieved = (targets != UNKNOWN) & np.isfinite(scores)
    order = np.argsort(-scores[retrieved], kind="stable")
    ranked, hits = scores[retrieved][order], np.cumsum(targets[retrieved][order] == 1)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=np.int64)
    precision, gained = hits[last] / (last + 1), np.diff(hits[last], prepend=0)
    return ratio(float((precision * gained).sum()), positives)


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN."""
    known = [value for value in values if value == value]
    return ratio(sum(known, 0.0), len(known))
