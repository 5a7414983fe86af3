"""Attributes of objects, at the ground-truth boxes and at the detections.

Letters: N objects, D detections, A attributes.

VAW reads predictions at the ground-truth boxes (mode `given`; it also gives its models the names of the objects, which
ours predict). At detections (mode `found`) each detection is matched, best score first, to the free ground-truth box of
the greatest IoU, from 0.5 on, whatever the labels (as COCO's protocol matches one class). An object that no detection
matches has no prediction: its attributes are missed, and count in no precision.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import box_iou

from scenekit.data.sample import Sample
from scenekit.evaluation.evaluator import ModalEvaluator
from scenekit.keys import ATTRIBUTES, OBJECTS
from scenekit.metrics.attributes import AttributeRecognition
from scenekit.model.external_regions import Given
from scenekit.scene import Objects, Scene
from scenekit.structures.vocabulary import Vocabulary


class AttributeEvaluator(ModalEvaluator):
    """Attributes at the ground-truth boxes (`given`: without labels) and at the detections (`found`).

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        modes = {"given": AttributesAtTargets(vocabulary), "found": AttributesAtDetections(vocabulary)}
        super().__init__(modes, {"given": target_boxes})


class AttributesOfObjects:
    """Measures what `predicted` reads of a prediction for each ground-truth object.

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = AttributeRecognition(vocabulary.attributes)

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image; crowds and ignored objects are left out.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if ATTRIBUTES in sample.supervision.keys:
            objects = sample.scene.objects
            counted = sample.scene.rows_with(ATTRIBUTES) & ~objects.crowd & ~objects.ignore
            self.metric.update(sample.scene[ATTRIBUTES][counted], self.predicted(objects, prediction)[counted])

    def merge(self, other: AttributesOfObjects) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            mAP, mR@k, F1@k as fractions, and `per_attribute`; see `AttributeRecognition.result`.
        """
        return self.metric.result()

    def predicted(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        """Return the probabilities predicted for each ground-truth object, NaN where there are none.

        Args:
            objects: Those of the ground truth.
            prediction: What the model predicts for the image.

        Returns:
            A row for each of the objects.
        """
        raise NotImplementedError


class AttributesAtTargets(AttributesOfObjects):
    """Attributes of the ground-truth boxes, row by row."""

    def predicted(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        """Return the rows of the prediction as they are: its objects are those of the ground truth.

        Args:
            objects: Those of the ground truth.
            prediction: What the model predicts for their boxes.

        Returns:
            A row for each of the objects.
        """
        return _with_nan(prediction)


class AttributesAtDetections(AttributesOfObjects):
    """Attributes of the detections that match the ground-truth objects."""

    def predicted(self, objects: Objects, prediction: Scene) -> Float[Tensor, "N A"]:
        """Return the rows of the matched detections; NaN where none matches.

        Args:
            objects: Those of the ground truth.
            prediction: The detections, with their attributes.

        Returns:
            A row for each of the objects.
        """
        values = _with_nan(prediction)
        rows = matched_objects(prediction.objects, objects)
        scores = values.new_full((len(objects), values.shape[1]), torch.nan)
        scores[rows[rows >= 0]] = values[rows >= 0]
        return scores


def target_boxes(sample: Sample) -> Given | None:
    """Return the ground-truth boxes as external regions.

    Args:
        sample: The ground truth of one image.

    Returns:
        The boxes of all objects (pixels); None where no object is annotated with attributes.
    """
    if ATTRIBUTES not in sample.supervision.keys or not sample.scene.rows_with(ATTRIBUTES).any():
        return None
    return {OBJECTS: sample.scene.objects.boxes}


def matched_objects(detections: Objects, objects: Objects, min_iou: float = 0.5) -> Int[Tensor, " D"]:
    """Match detections to ground-truth objects, best scores first, whatever the labels.

    Args:
        detections: Without scores all count as certain.
        objects: Those of the ground truth; each is matched once.
        min_iou: The least IoU of a match.

    Returns:
        The row of the object that each detection matches, -1 for none.
    """
    rows = torch.full((len(detections),), -1, dtype=torch.int64)
    if len(objects) == 0:
        return rows
    iou: Tensor = box_iou(detections.boxes.double(), objects.boxes.double())
    scores = torch.ones(len(detections)) if detections.scores is None else detections.scores
    for row in scores.argsort(descending=True, stable=True).tolist():
        quality, best = iou[row].max(dim=0)
        if quality >= min_iou:
            rows[row] = best
            iou[:, best] = 0.0
    return rows


def _with_nan(prediction: Scene) -> Float[Tensor, "N A"]:
    """Return the predicted attributes; NaN in rows that have none."""
    values: Tensor = prediction[ATTRIBUTES].detach().cpu().float()
    return values.where(prediction.rows_with(ATTRIBUTES)[:, None], torch.nan)
