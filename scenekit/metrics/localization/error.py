"""Localization error as ILSVRC counts it (Russakovsky et al., ImageNet Large Scale Visual Recognition, 2015).

A prediction is right if its class is one of the image's and its box has an IoU of at least 0.5 with a box of that
class. An image is wrong if none of its first k predictions is right; k is 1 here, and 5 in ILSVRC.
Letters: G ground-truth objects of an image, P predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError
from scenekit.metrics.common import ratio, to_numpy

MIN_IOU = 0.5
"""The least IoU of a box that counts as right."""


class ObjectLocalization:
    """Accumulates images; `result` gives fractions.

    Args:
        cutoff: How many of the predictions of an image count.
        min_iou: The least IoU of a box that counts as right.
    """

    def __init__(self, cutoff: int = 1, min_iou: float = MIN_IOU) -> None:
        self.cutoff, self.min_iou = cutoff, min_iou
        self.images = self.classified = self.located = 0
        self.iou = 0.0

    def update(self, labels: Sequence[Any], boxes: Any, predicted_labels: Sequence[Any], predicted_boxes: Any) -> None:
        """Add one image.

        Args:
            labels: Class of each object, at least one.
            boxes: [G 4] xyxy, an array or a tensor.
            predicted_labels: Predicted classes, best first.
            predicted_boxes: [P 4] xyxy.

        Raises:
            InputError: There is no object, a box is empty, or labels and boxes differ in number.
        """
        targets, found = (_boxes(values) for values in (boxes, predicted_boxes))
        if not labels or len(labels) != len(targets) or len(predicted_labels) != len(found):
            raise InputError(
                f"expected as many boxes as labels, and at least one object; got {len(labels)} labels and "
                f"{len(targets)} boxes, predicted {len(predicted_labels)} and {len(found)}"
            )
        iou = pairwise_iou(found[: self.cutoff], targets)
        same = np.array([[a == b for b in labels] for a in predicted_labels[: self.cutoff]], dtype=bool)
        same = same.reshape(iou.shape)
        self.images += 1
        self.classified += bool(same.any())
        self.located += bool((same & (iou >= self.min_iou)).any())
        self.iou += float(iou.max()) if iou.size else 0.0

    def merge(self, other: ObjectLocalization) -> None:
        """Add the images of another instance.

        Args:
            other: One of the same cutoff and IoU.

        Raises:
            InputError: They differ.
        """
        if (other.cutoff, other.min_iou) != (self.cutoff, self.min_iou):
            raise InputError("cannot merge localization errors of different cutoffs or IoU")
        self.images += other.images
        self.classified += other.classified
        self.located += other.located
        self.iou += other.iou

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            accuracy, the share of images with the right class; localization_error, that of images whose class is wrong
            or whose box overlaps too little; mean_IoU of the boxes, whatever their classes; the number of images.
        """
        return {
            "accuracy": ratio(float(self.classified), self.images),
            "localization_error": ratio(float(self.images - self.located), self.images),
            "mean_IoU": ratio(self.iou, self.images),
            "images": self.images,
        }


def pairwise_iou(first: Float[np.ndarray, "P 4"], second: Float[np.ndarray, "G 4"]) -> Float[np.ndarray, "P G"]:
    """Compute the IoU of each pair of boxes.

    Args:
        first: xyxy.
        second: xyxy.

    Returns:
        Fractions.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    overlap: Float[np.ndarray, "P G"] = shared / (areas[0][:, None] + areas[1][None] - shared)
    return overlap


def _boxes(values: Any) -> Float[np.ndarray, "N 4"]:
    boxes = to_numpy(values).astype(np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise InputError("boxes must be finite and x1 > x0, y1 > y0; one is not")
    return boxes
