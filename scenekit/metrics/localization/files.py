"""Localization error of text files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError
from scenekit.metrics.image_rows import check_same_images, read_rows
from scenekit.metrics.localization.error import MIN_IOU, ObjectLocalization

LINE = "an image, a class and a box x y width height in pixels"


def score_localization_files(
    ground_truth: Path, prediction: Path, cutoff: int = 1, min_iou: float = MIN_IOU
) -> dict[str, Any]:
    """Compute the localization error of predicted boxes; an image without a prediction counts as wrong.

    Args:
        ground_truth: File with an image, a class and a box x y width height in each line; several an image may be.
        prediction: The same, the best of an image first.
        cutoff: How many predictions of an image count.
        min_iou: The least IoU of a box that counts as right.

    Returns:
        As `ObjectLocalization.result`.

    Raises:
        InputError: If a file is damaged, or a prediction has no ground truth.
    """
    targets, predicted = read_rows(ground_truth, 5, LINE), read_rows(prediction, 5, LINE)
    check_same_images(targets, predicted, prediction)
    metric = ObjectLocalization(cutoff, min_iou)
    for image, rows in targets.items():
        best = predicted.get(image, [])
        metric.update(
            [row[0] for row in rows],
            _boxes(rows, image, ground_truth),
            [row[0] for row in best],
            _boxes(best, image, prediction),
        )
    return metric.result()


def _boxes(rows: list[list[str]], image: str, path: Path) -> Float[np.ndarray, "N 4"]:
    """Return boxes as xyxy."""
    try:
        boxes = np.array([[float(part) for part in row[1:]] for row in rows], dtype=np.float64).reshape(-1, 4)
    except ValueError:
        raise InputError(f"{path}: image {image!r}: expected a class and the four numbers x y width height") from None
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
        raise InputError(f"{path}: image {image!r}: expected finite numbers x y width height, the last two above 0")
    boxes[:, 2:] += boxes[:, :2]
    return boxes
