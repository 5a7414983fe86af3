"""Top-1 and top-5 accuracy, as ILSVRC counts (Russakovsky et al., ImageNet Large Scale Visual Recognition, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenekit.errors import InputError
from scenekit.metrics.common import ratio

CUTOFFS = (1, 5)
"""k of the top-k accuracies."""


class ImageClassification:
    """Accumulates images; `result` gives accuracies as fractions.

    Args:
        classes: Names of the classes, by label.
        cutoffs: How many of the best classes of an image count.
    """

    def __init__(self, classes: Sequence[str], cutoffs: Sequence[int] = CUTOFFS) -> None:
        self.classes, self.cutoffs = tuple(classes), tuple(cutoffs)
        self.images = [0] * len(self.classes)
        self.hits = {k: [0] * len(self.classes) for k in self.cutoffs}

    def update(self, target: int, predicted: Sequence[int]) -> None:
        """Add one image.

        Args:
            target: Label of its class.
            predicted: Different labels, best first.

        Raises:
            InputError: A label belongs to no class, or one is predicted twice.
        """
        for label in (target, *predicted):
            if not 0 <= label < len(self.classes):
                raise InputError(f"an image has the label {label}; expected 0 to {len(self.classes) - 1}")
        if len(set(predicted)) < len(predicted):
            raise InputError(f"the predicted classes of an image must differ, got {list(predicted)}")
        self.images[target] += 1
        for k, hits in self.hits.items():
            hits[target] += target in predicted[:k]

    def merge(self, other: ImageClassification) -> None:
        """Add the images of another instance.

        Args:
            other: One of the same classes and cutoffs.

        Raises:
            InputError: They differ.
        """
        if (other.classes, other.cutoffs) != (self.classes, self.cutoffs):
            raise InputError("cannot merge accuracies of different classes or cutoffs")
        self.images = [a + b for a, b in zip(self.images, other.images, strict=True)]
        for k, hits in self.hits.items():
            self.hits[k] = [a + b for a, b in zip(hits, other.hits[k], strict=True)]

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            top1 and top5, the share of images whose class is the best, or among the best five; mean_class, the mean of
            the top-1 accuracies of the classes that occur; `per_class` by name. NaN without an image.
        """
        total = sum(self.images)
        tops = {f"top{k}": ratio(float(sum(hits)), total) for k, hits in self.hits.items()}
        per_class = {
            name: {f"top{k}": ratio(float(hits[label]), self.images[label]) for k, hits in self.hits.items()}
            | {"images": self.images[label]}
            for label, name in enumerate(self.classes)
            if self.images[label]
        }
        first = f"top{self.cutoffs[0]}"
        mean = ratio(sum((float(scores[first]) for scores in per_class.values()), 0.0), len(per_class))
        return {**tops, "mean_class": mean, "images": total, "per_class": per_class}
