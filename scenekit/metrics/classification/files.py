"""Accuracy of text files with the classes of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from scenekit.errors import SHOWN, InputError, listed
from scenekit.metrics.classification.accuracy import ImageClassification
from scenekit.metrics.image_rows import check_same_images, read_rows
from scenekit.metrics.notes import Notes, collected


def score_class_files(ground_truth: Path, prediction: Path, notes: Notes | None = None) -> dict[str, Any]:
    """Compute the accuracies of predicted classes; an image without a prediction counts as wrong.

    Args:
        ground_truth: File with an image and its class in each line.
        prediction: File with an image and its classes, best first, in each line.
        notes: Gets the predicted classes that no image has; None to log them as warnings.

    Returns:
        As `ImageClassification.result`.

    Raises:
        InputError: If a file is damaged, an image occurs twice, a prediction has no ground truth, or none of the
            predicted classes is that of an image.
    """
    targets = read_rows(ground_truth, 1, "an image and its class")
    predicted = read_rows(prediction, 1, "an image and its classes, best first")
    check_same_images(targets, predicted, prediction)
    for path, rows in ((ground_truth, targets), (prediction, predicted)):
        if twice := [image for image, lines in rows.items() if len(lines) > 1]:
            raise InputError(f"{path}: {twice[0]!r} has {len(rows[twice[0]])} lines; expected one an image")
    known = {values[0][0] for values in targets.values()}
    counts = Counter(name for (values,) in predicted.values() for name in values)
    with collected(notes) as kept:
        _note_unknown(kept, ground_truth, prediction, known, counts)
    classes = sorted(known | counts.keys())
    labels = {name: label for label, name in enumerate(classes)}
    metric = ImageClassification(classes)
    for image, ((target, *_),) in targets.items():
        (best,) = predicted.get(image, [[]])
        metric.update(labels[target], [labels[name] for name in best])
    return metric.result()


def _note_unknown(
    notes: Notes, ground_truth: Path, prediction: Path, known: Collection[str], counts: Mapping[str, int]
) -> None:
    """Report predicted classes that no image has: the ground truth is a part of a data set, or names differ."""
    unknown = [name for name in counts if name not in known]
    shown = listed(map(repr, unknown), SHOWN)
    if len(unknown) == len(counts):
        raise InputError(
            f"{prediction}: no image of {ground_truth} has any of the predicted classes ({shown}); its classes are "
            f"{listed(map(repr, sorted(known)), SHOWN)}: write them in the same way in both files"
        )
    if unknown:
        notes.add(prediction, f"has {len(unknown)} classes that no image of {ground_truth} has: {shown}")
