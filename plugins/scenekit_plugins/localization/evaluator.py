"""Accuracy and localization error, read from scenes."""

from __future__ import annotations

from typing import Any

from scenekit.data.sample import Sample
from scenekit.keys import LOCALIZATION
from scenekit.metrics.localization import ObjectLocalization
from scenekit.scene import Scene
from scenekit.structures import Vocabulary


class LocalizationEvaluator:
    """Accuracy of the class and localization error at IoU 0.5; images without an object are skipped.

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = ObjectLocalization()

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if LOCALIZATION in sample.supervision.keys and len(target := sample.scene[LOCALIZATION]):
            found = prediction[LOCALIZATION]
            self.metric.update(target.labels.tolist(), target.boxes, found.labels.tolist(), found.boxes)

    def merge(self, other: LocalizationEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            accuracy, localization_error and mean_IoU; see `ObjectLocalization.result`.
        """
        return self.metric.result()
