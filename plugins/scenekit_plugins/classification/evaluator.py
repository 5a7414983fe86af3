"""Accuracy of image classes, read from scenes."""

from __future__ import annotations

from typing import Any

from scenekit.data.sample import Sample
from scenekit.keys import CLASSIFICATION
from scenekit.metrics.classification import ImageClassification
from scenekit.scene import Scene
from scenekit.structures import Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES


class ClassificationEvaluator:
    """Top-1 and top-5 accuracy; images without a class are skipped.

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = ImageClassification(vocabulary.lists.get(IMAGE_CLASSES, ()))

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth.
            prediction: What the model predicts for the image.
        """
        if CLASSIFICATION in sample.supervision.keys and len(target := sample.scene[CLASSIFICATION]):
            self.metric.update(int(target.labels[0]), prediction[CLASSIFICATION].labels.tolist())

    def merge(self, other: ClassificationEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            top1, top5 and mean_class as fractions, and `per_class`; see `ImageClassification.result`.
        """
        return self.metric.result()
