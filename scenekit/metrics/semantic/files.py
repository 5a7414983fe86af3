"""Mean IoU of folders of PNG label maps, one an image; a pixel holds its label (of palette images, the index)."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from scenekit.errors import InputError
from scenekit.metrics.notes import NOTHING, Notes, collected
from scenekit.metrics.semantic.mean_iou import SemanticSegmentation

Progress = Callable[[Iterable[str]], Iterable[str]]


def score_label_maps(
    ground_truth: Path,
    prediction: Path,
    classes: Sequence[str] | None = None,
    ignore_label: int = 255,
    progress: Progress = iter,
    notes: Notes | None = None,
) -> dict[str, Any]:
    """Compute mean IoU of two folders with files of the same names.

    Args:
        ground_truth: The folder of ground-truth maps.
        prediction: The folder of predicted maps; those without ground truth are refused.
        classes: Names of the labels 0, 1, ...; their numbers, if None.
        ignore_label: Ground-truth pixels of this label count nowhere; predicted ones are misses.
        progress: May wrap the loop over the names of the files.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        See `SemanticSegmentation.result`.

    Raises:
        InputError: Names the folder or the file that cannot be scored.
    """
    names = _paired_names(ground_truth, prediction)
    if classes is None:
        labels = [
            _highest_label(folder / name, ignore_label) for folder in (ground_truth, prediction) for name in names
        ]
        classes = [str(label) for label in range(max(labels) + 1)]
    metric = SemanticSegmentation(classes, ignore_label)
    for name in progress(names):
        target, predicted = read_label_map(ground_truth / name), read_label_map(prediction / name)
        try:
            metric.update(target, predicted)
        except InputError as error:
            raise InputError(f"{prediction / name}: {error}") from None
    scores = metric.result()
    with collected(notes) as noted:
        for name in metric.left_out():
            noted.add(prediction, f"has pixels of the class {name!r}, which has no ground truth: left out of the means")
        if math.isnan(scores["mIoU"]):
            noted.add(ground_truth, f"has no pixel that counts; {NOTHING}")
    return scores


def read_label_map(path: Path) -> Int[np.ndarray, "H W"]:
    """Read a PNG label map.

    Args:
        path: A file with one channel of 8, 16 or 32 bits, or with a palette.

    Returns:
        The label of each pixel.

    Raises:
        InputError: The file cannot be read, or has colors.
    """
    try:
        with Image.open(path) as image:
            labels = np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error})") from None
    if labels.ndim != 2:
        raise InputError(f"{path}: expected one channel that holds labels, got {labels.shape[2]} channels of color")
    return labels.astype(np.int64)


def _paired_names(ground_truth: Path, prediction: Path) -> list[str]:
    """Return the names of the PNG files of both folders."""
    expected, predicted = (_names(folder) for folder in (ground_truth, prediction))
    if missing := sorted(expected - predicted):
        raise InputError(f"{prediction} has no prediction {missing[0]} ({len(missing)} of {len(expected)} are missing)")
    if unknown := sorted(predicted - expected):
        raise InputError(f"{prediction} has a prediction {unknown[0]}, for which {ground_truth} has no ground truth")
    return sorted(expected)


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of PNG files; there is no such folder")
    names = {path.name for path in folder.iterdir() if path.suffix.lower() == ".png"}
    if not names:
        raise InputError(f"{folder}: expected PNG files, found none")
    return names


def _highest_label(path: Path, ignore_label: int) -> int:
    labels = read_label_map(path)
    return int(labels[labels != ignore_label].max(initial=0))
