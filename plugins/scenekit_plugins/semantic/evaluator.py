"""Mean IoU of label maps, read from scenes."""

from __future__ import annotations

from typing import Any

from scenekit.data.sample import Sample
from scenekit.fields.semantic import IGNORE
from scenekit.keys import SEMANTIC
from scenekit.metrics.semantic import SemanticSegmentation
from scenekit.scene import Scene
from scenekit.structures import Vocabulary


class SemanticEvaluator:
    """Mean IoU over things and stuff; images without a label map are skipped.

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.metric = SemanticSegmentation(vocabulary.labels, ignore_label=IGNORE)

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if SEMANTIC in sample.supervision.keys:
            self.metric.update(sample.scene[SEMANTIC], prediction[SEMANTIC])

    def merge(self, other: SemanticEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            mIoU, fwIoU, mACC, pACC as fractions, and `per_class`; see `SemanticSegmentation.result`.
        """
        return self.metric.result()
