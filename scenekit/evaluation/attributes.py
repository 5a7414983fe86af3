"""Attributes of objects measured as VAW does (Pham et al., Learning to Predict Visual Attributes in the Wild, 2021).

Letters: N objects, D detections, A attributes.

Every attribute is a retrieval problem of its own over the objects that say whether it holds; entries that are unknown
(NaN) count nowhere. mAP is the mean over attributes of the area under the steps of precision against recall, as
scikit-learn's `average_precision_score` has it (objects of one score count together). mR@k is the mean over attributes
of the share of their objects among whose k most probable attributes they are; F1@k the harmonic mean of precision and
recall of all those k at once. Attributes that hold nowhere are left out of the means.

VAW reads predictions at the ground-truth boxes (mode `given`; objects are named to its models, not to ours). Where they
are read at detections (`found`), each detection takes, best score first, the ground-truth box of the greatest IoU that
is still free, from 0.5 on, whatever the labels (as COCO's protocol matches one class). An object that no detection
takes has none of its attributes found: they are missed, and count in no precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.evaluation.evaluator import ModalEvaluator
from scenekit.keys import ATTRIBUTES, OBJECTS
from scenekit.metrics.common import ratio, to_numpy
from scenekit.model.external_regions import Given
from scenekit.scene import Objects, Scene
from scenekit.structures.vocabulary import Vocabulary

FEW = (5, 15)
"""k of mR@k and F1@k; 15 is VAW's."""

UNKNOWN = -1
"""What stands for NaN among the whole numbers that ground truth is kept as."""


class AttributeRecognition:
    """Accumulates objects; `result` gives mAP, mR@k and F1@k as fractions.

    Left out are those k that take in every attribute there is.
    """

    def __init__(self, attributes: Sequence[str], few: Sequence[int] = FEW) -> None:
        self.attributes = tuple(attributes)
        self.few = tuple(k for k in few if k < len(self.attributes))
        self._truth: list[Int[np.ndarray, "N A"]] = []
        self._scores: list[Float[np.ndarray, "N A"]] = []

    def update(self, truth: Any, scores: Any) -> None:
        """Add objects: [N A] of 0, 1 and NaN (unknown), and [N A] probabilities, rows of NaN for what was missed.

        Truth in between is rounded. Raises InputError for other shapes, and for truth beyond 0 to 1.
        """
        truth, scores = to_numpy(truth).astype(np.float32), to_numpy(scores).astype(np.float32)
        if truth.shape != scores.shape or truth.shape[1:] != (len(self.attributes),):
            wanted = f"two arrays of {len(self.attributes)} columns and as many rows"
            raise InputError(f"{wanted} are expected, got truth {list(truth.shape)} and scores {list(scores.shape)}")
        known = np.isfinite(truth)
        if ((truth[known] < 0) | (truth[known] > 1)).any():
            raise InputError("an attribute holds (1), does not (0) or is unknown (NaN); got a number outside of 0 to 1")
        rows = known.any(axis=1)
        self._truth.append(np.where(known, np.nan_to_num(truth) >= 0.5, UNKNOWN).astype(np.int8)[rows])
        self._scores.append(scores[rows])

    def merge(self, other: AttributeRecognition) -> None:
        """Add what another process accumulated over other objects."""
        if other.attributes != self.attributes:
            raise InputError("cannot merge scores of different attributes")
        self._truth += other._truth
        self._scores += other._scores

    def result(self) -> dict[str, Any]:
        """mAP, mR@k, F1@k, and under `per_attribute` AP, R@k and the number of `positives` by name."""
        nothing = np.zeros((0, len(self.attributes)))
        truth, scores = np.concatenate([nothing, *self._truth]), np.concatenate([nothing, *self._scores])
        positives = (truth == 1).sum(axis=0)
        per_attribute: dict[str, dict[str, float]] = {
            name: {"AP": average_precision(truth[:, place], scores[:, place])}
            for place, name in enumerate(self.attributes)
        }
        means: dict[str, float] = {}
        order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")
        for k in self.few:
            chosen = _among_first(order, k) & np.isfinite(scores)
            hits = (chosen & (truth == 1)).sum(axis=0)
            for name, hit, count in zip(self.attributes, hits, positives, strict=True):
                per_attribute[name][f"R@{k}"] = ratio(float(hit), int(count))
            means[f"mR@{k}"] = _mean([numbers[f"R@{k}"] for numbers in per_attribute.values()])
            told = int((chosen & (truth != UNKNOWN)).sum())
            means[f"F1@{k}"] = ratio(2.0 * float(hits.sum()), told + int(positives.sum()))
        for name, count in zip(self.attributes, positives, strict=True):
            per_attribute[name]["positives"] = int(count)
        average = _mean([numbers["AP"] for numbers in per_attribute.values()])
        return {"mAP": average, **means, "per_attribute": per_attribute}


def average_precision(truth: npt.NDArray[Any], scores: npt.NDArray[Any]) -> float:
    """Of one attribute: the sum over the distinct scores of precision there times the recall that is gained there.

    `truth` is 1, 0 or UNKNOWN; objects whose score is NaN are never retrieved. NaN where nothing holds.
    """
    positives = int((truth == 1).sum())
    retrieved = (truth != UNKNOWN) & np.isfinite(scores)
    order = np.argsort(-scores[retrieved], kind="stable")
    ranked, hits = scores[retrieved][order], np.cumsum(truth[retrieved][order] == 1)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=np.int64)
    precision, gained = hits[last] / (last + 1), np.diff(hits[last], prepend=0)
    return ratio(float((precision * gained).sum()), positives)


def _among_first(order: Int[np.ndarray, "N A"], k: int) -> Bool[np.ndarray, "N A"]:
    """Which columns are among the first k of their row's order."""
    chosen = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(chosen, order[:, :k], True, axis=1)
    return chosen


def _mean(values: Sequence[float]) -> float:
    """Over those that are numbers."""
    known = [value for value in values if value == value]
    return ratio(sum(known, 0.0), len(known))


class _ObjectAttributes:
    """Reads what was predicted for each ground-truth object by `_read`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = AttributeRecognition(vocabulary.attributes)

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image; crowds and objects that evaluation shall pass over are left out."""
        if ATTRIBUTES in truth.supervision.keys:
            objects = truth.scene.objects
            asked = truth.scene.rows_with(ATTRIBUTES) & ~objects.crowd & ~objects.ignore
            self.metric.update(truth.scene[ATTRIBUTES][asked], self._read(objects, prediction)[asked])

    def merge(self, other: _ObjectAttributes) -> None:
        """Take in everything that another evaluator saw."""
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """mAP, mR@k, F1@k."""
        return self.metric.result()

    def _read(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        raise NotImplementedError


class GivenAttributes(_ObjectAttributes):
    """Attributes of the ground-truth boxes, row by row."""

    def _read(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        return blanked(prediction)


class FoundAttributes(_ObjectAttributes):
    """Attributes of the detections that stand for the ground-truth objects."""

    def _read(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        return read_at(objects, prediction)


class AttributeEvaluator(ModalEvaluator):
    """Attributes at the ground-truth boxes (`given`: no labels) and at the detections (`found`)."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        modes = {"given": GivenAttributes(vocabulary), "found": FoundAttributes(vocabulary)}
        super().__init__(modes, {"given": boxes_of})


def boxes_of(truth: Sample) -> Given | None:
    """The boxes of all objects, where there are any that say something of attributes."""
    if ATTRIBUTES not in truth.supervision.keys or not truth.scene.rows_with(ATTRIBUTES).any():
        return None
    return {OBJECTS: truth.scene.objects.boxes}


def blanked(prediction: Scene) -> Float[Tensor, "N A"]:
    """The predicted attributes; NaN in rows that have none."""
    values: Tensor = prediction[ATTRIBUTES].detach().cpu().float()
    return values.where(prediction.rows_with(ATTRIBUTES)[:, None], torch.nan)


def read_at(objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
    """The attributes predicted for each ground-truth object; NaN where no detection takes it."""
    values = blanked(prediction)
    taken = matched(prediction.objects, objects)
    scores = values.new_full((len(objects), values.shape[1]), torch.nan)
    scores[taken[taken >= 0]] = values[taken >= 0]
    return scores


def matched(detections: Objects, objects: Objects, least: float = 0.5) -> Int[Tensor, " D"]:
    """The ground-truth object that each detection takes, -1 for none; best scores choose first."""
    taken = torch.full((len(detections),), -1, dtype=torch.int64)
    if len(objects) == 0:
        return taken
    iou: Tensor = box_iou(detections.boxes.double(), objects.boxes.double())
    scores = torch.ones(len(detections)) if detections.scores is None else detections.scores
    for row in scores.argsort(descending=True, stable=True).tolist():
        quality, best = iou[row].max(dim=0)
        if quality >= least:
            taken[row] = best
            iou[:, best] = 0.0
    return taken
