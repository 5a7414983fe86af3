"""Accuracy of text files with the classes of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.metrics.classification.accuracy import ImageClassification
from scenekit.metrics.image_rows import check_same_images, read_rows


def score_class_files(ground_truth: Path, prediction: Path) -> dict[str, Any]:
    """Compute the accuracies of predicted classes; an image without a prediction counts as wrong.

    Args:
        ground_truth: File with an image and its class in each line.
        prediction: File with an image and its classes, best first, in each line.

    Returns:
        As `ImageClassification.result`.

    Raises:
        InputError: If a file is damaged, an image occurs twice, or a prediction has no ground truth.
    """
    targets = read_rows(ground_truth, 1, "an image and its class")
    predicted = read_rows(prediction, 1, "an image and its classes, best first")
    check_same_images(targets, predicted, prediction)
    for path, rows in ((ground_truth, targets), (prediction, predicted)):
        if twice := [image for image, lines in rows.items() if len(lines) > 1]:
            raise InputError(f"{path}: {twice[0]!r} has {len(rows[twice[0]])} lines; expected one an image")
    names = {values[0][0] for values in targets.values()}
    names |= {name for (values,) in predicted.values() for name in values}
    classes = sorted(names)
    labels = {name: label for label, name in enumerate(classes)}
    metric = ImageClassification(classes)
    for image, ((target, *_),) in targets.items():
        (best,) = predicted.get(image, [[]])
        metric.update(labels[target], [labels[name] for name in best])
    return metric.result()
