"""Semantic segmentation measured by one confusion matrix over all images, as detectron2's `SemSegEvaluator` does.

Letters: C classes, H W image.

Pixels whose ground truth is `ignore_label` count nowhere, not even in a union. A class without ground-truth
pixels is left out of the means even where it is predicted (those pixels still count against the classes that they
belong to). A pixel may be predicted as `ignore_label`, that is as undecided: it is a miss of its class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from scenekit.errors import InputError
from scenekit.metrics.common import ratio, to_numpy, unique_names


class SemanticSegmentation:
    """Accumulates label maps; `result` gives mIoU and its relatives as fractions.

    `confusion` counts pixels, rows prediction, columns ground truth; the last column holds the ignored pixels, the last
    row the undecided ones.

    Args:
        classes: Names of the labels 0..C-1.
        ignore_label: The label of ignored (ground truth) or undecided (prediction) pixels.

    Raises:
        InputError: `ignore_label` is the label of a class.
    """

    def __init__(self, classes: Sequence[str], ignore_label: int = 255) -> None:
        if 0 <= ignore_label < len(classes):
            raise InputError(f"ignore_label {ignore_label} is the label of {classes[ignore_label]!r}; choose another")
        self.classes = tuple(classes)
        self.ignore_label = ignore_label
        self.confusion: Int[np.ndarray, "C+1 C+1"] = np.zeros((len(classes) + 1,) * 2, dtype=np.int64)

    def update(self, targets: Any, prediction: Any) -> None:
        """Add one image, or a stack of them.

        Args:
            targets: Integer array or tensor [..., H, W] of labels.
            prediction: The same.

        Raises:
            InputError: Shapes differ, a label belongs to no class, or a map does not hold integers.
        """
        targets, prediction = to_numpy(targets), to_numpy(prediction)
        if targets.shape != prediction.shape:
            raise InputError(f"a label map of shape {prediction.shape} was predicted for one of shape {targets.shape}")
        C = len(self.classes)
        self._check("ground-truth", targets)
        self._check("predicted", prediction)
        rows, columns = (np.where(m == self.ignore_label, C, m).astype(np.int64) for m in (prediction, targets))
        pairs = (C + 1) * rows + columns
        self.confusion += np.bincount(pairs.ravel(), minlength=(C + 1) ** 2).reshape(C + 1, C + 1)

    def merge(self, other: "SemanticSegmentation") -> None:
        """Add the images of another instance.

        Args:
            other: One of the same classes.

        Raises:
            InputError: The classes differ.
        """
        if other.classes != self.classes:
            raise InputError(f"cannot merge scores of classes {other.classes} into those of {self.classes}")
        self.confusion += other.confusion

    def result(self) -> dict[str, Any]:
        """Compute the metrics.

        Returns:
            mIoU, fwIoU (weighted by class frequency), mACC (mean of class accuracies), pACC (of pixels), and
            `per_class`: names to IoU and ACC. NaN for a class without ground truth, and for everything where there is
            no ground truth at all.
        """
        hits: Float[np.ndarray, " C"] = self.confusion.diagonal()[:-1].astype(np.float64)
        targets = self.confusion[:, :-1].sum(axis=0)
        predicted = self.confusion[:-1, :-1].sum(axis=1)
        present = targets > 0
        iou = _divide(hits, targets + predicted - hits, present)
        accuracy = _divide(hits, targets, present)
        classes, pixels = int(present.sum()), int(targets.sum())
        names = unique_names(dict(enumerate(self.classes))).values()
        per_class = zip(names, iou, accuracy, strict=True)
        return {
            "mIoU": ratio(float(iou[present].sum()), classes),
            "fwIoU": ratio(float((iou[present] * targets[present]).sum()), pixels),
            "mACC": ratio(float(accuracy[present].sum()), classes),
            "pACC": ratio(float(hits.sum()), pixels),
            "per_class": {name: {"IoU": float(i), "ACC": float(a)} for name, i, a in per_class},
        }

    def left_out(self) -> list[str]:
        """Return the classes that were predicted, but have no ground truth.

        Returns:
            Names of the classes; the means leave them out.
        """
        targets, predicted = self.confusion[:, :-1].sum(axis=0), self.confusion[:-1, :-1].sum(axis=1)
        return [self.classes[i] for i in np.flatnonzero((targets == 0) & (predicted > 0))]

    def _check(self, whose: str, labels: npt.NDArray[Any]) -> None:
        if labels.dtype.kind not in "iub":
            raise InputError(f"a {whose} label map must hold integers, not {labels.dtype}")
        labels = labels[labels != self.ignore_label]
        if labels.size and not (labels.min() >= 0 and labels.max() < len(self.classes)):
            wrong = int(labels.max() if labels.max() >= len(self.classes) else labels.min())
            raise InputError(
                f"a {whose} label map holds {wrong}; expected 0 to {len(self.classes) - 1} or {self.ignore_label} "
                f"({'ignored' if whose == 'ground-truth' else 'undecided'})"
            )


def _divide(
    numerator: Float[np.ndarray, " C"], denominator: npt.NDArray[Any], where: npt.NDArray[np.bool_]
) -> Float[np.ndarray, " C"]:
    """Return the quotient where allowed, NaN elsewhere."""
    quotient = np.full(len(numerator), np.nan)
    quotient[where] = numerator[where] / denominator[where]
    return quotient
