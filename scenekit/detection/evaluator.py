"""COCO's average precision of scenes: of boxes, and what the evaluators of masks and keypoints share with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from scenekit.data.sample import Sample
from scenekit.keys import OBJECTS, Key
from scenekit.metrics.coco import CocoAP, CocoObjects, Kind
from scenekit.scene import Scene
from scenekit.structures.vocabulary import Vocabulary


class CocoEvaluator:
    """COCO AP of one kind of value.

    Skipped are images without these labels, and images that do not annotate every instance, since a prediction that
    matches nothing may be right there. In each image the classes that its labels do not cover are ignored.

    Args:
        vocabulary: That of the model; AP is the mean over its things.

    Attributes:
        kind: What COCO's protocol compares: "bbox", "segm" or "keypoints".
        key: The key of the values; None for boxes.
    """

    kind: Kind
    key: Key[Any, Any] | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ap = CocoAP(self.kind, vocabulary.things)

    @property
    def max_detections(self) -> int | None:
        """How many detections of each image and class count; None for COCO's own limit."""
        return self.ap.max_detections

    @max_detections.setter
    def max_detections(self, limit: int | None) -> None:
        """Set the limit.

        Args:
            limit: How many detections of each image and class count; None for COCO's own limit.
        """
        self.ap.max_detections = limit

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        supervision = sample.supervision
        complete = OBJECTS in supervision.streams & supervision.exhaustive
        if complete and (self.key is None or self.key in supervision.keys):
            labels = [label for label, name in self.ap.categories.items() if supervision.covers(name)]
            targets, predictions = (self.objects(_only(scene, labels)) for scene in (sample.scene, prediction))
            self.ap.update(sample.id, sample.scene.size, targets, predictions)

    def merge(self, other: CocoEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same class and vocabulary.
        """
        self.ap.merge(other.ap)

    def result(self) -> dict[str, Any]:
        """Compute the metrics of COCO's protocol.

        Returns:
            AP, AP50, AP75, APs, APm, APl and recalls as fractions; AP and AP50 by class under `per_class`.
        """
        return self.ap.result()

    def objects(self, scene: Scene) -> CocoObjects:
        """Return what COCO's protocol reads of a scene; subclasses add the values of their key.

        Args:
            scene: Ground truth or a prediction. Objects without a value of the key are ignored.

        Returns:
            Boxes, labels and scores; areas (pixels) of ground truth only.
        """
        objects = scene.objects
        ignore = objects.ignore if self.key is None else objects.ignore | ~scene.rows_with(self.key)
        values = {name: getattr(objects, name) for name in ("labels", "boxes", "scores", "crowd")}
        return CocoObjects(**values, ignore=ignore, area=None if objects.scores is not None else objects.area)


class DetectionEvaluator(CocoEvaluator):
    """AP of boxes."""

    kind = "bbox"


def _only(scene: Scene, labels: Sequence[int]) -> Scene:
    """Return the scene with the objects of these labels."""
    kept = torch.isin(scene.objects.labels, torch.tensor(labels, dtype=torch.int64))
    return scene.select(OBJECTS, kept.nonzero()[:, 0])
