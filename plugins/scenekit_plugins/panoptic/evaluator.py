"""Panoptic quality of scenes."""

from __future__ import annotations

from typing import Any

from scenekit.data.sample import Sample
from scenekit.keys import PANOPTIC
from scenekit.metrics.panoptic import PanopticCategory, PanopticQuality, SegmentInfo
from scenekit.scene import Scene
from scenekit.structures import Panoptic, Vocabulary


class PanopticEvaluator:
    """Panoptic, segmentation and recognition quality; images without panoptic segments are skipped.

    Args:
        vocabulary: That of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        things = len(vocabulary.things)
        labels = enumerate(vocabulary.labels)
        self.metric = PanopticQuality({i: PanopticCategory(name, is_thing=i < things) for i, name in labels})

    def update(self, sample: Sample, prediction: Scene) -> None:
        """Add one image.

        Args:
            sample: The ground truth, in original pixels.
            prediction: What the model predicts for the image, in original pixels.
        """
        if PANOPTIC in sample.supervision.keys:
            target, predicted = sample.scene[PANOPTIC], prediction[PANOPTIC]
            self.metric.update(target.ids, _segments(target), predicted.ids, _segments(predicted))

    def merge(self, other: PanopticEvaluator) -> None:
        """Add the images of another evaluator.

        Args:
            other: One of the same vocabulary.
        """
        self.metric.merge(other.metric)

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            PQ, SQ, RQ as fractions; with `_th` those of things, with `_st` of stuff; and `per_class`.
        """
        return self.metric.result()


def _segments(panoptic: Panoptic) -> list[SegmentInfo]:
    return [SegmentInfo(s.id, s.label, crowd=s.crowd) for s in panoptic.segments]
