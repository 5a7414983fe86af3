"""KITTI's average precision of folders of text files in the official layout (one file an image, one line an object).

A line holds: class, truncated, occluded, alpha, the box (left, top, right, bottom, pixels), height, width, length, x, y
and z (metres), rotation_y; of detections also a score. Empty files are images without objects.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from scenekit.errors import InputError
from scenekit.io.records import is_number
from scenekit.metrics.kitti.average_precision import CLASSES, TYPES, KittiAP, KittiObjects
from scenekit.metrics.notes import NOTHING, Notes, collected, note_unknown

NUMBERS = 14
"""Columns of a line after the class, without the score."""

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def score_kitti_files(
    ground_truth: Path, prediction: Path, progress: Progress = iter, notes: Notes | None = None
) -> dict[str, float]:
    """Compute KITTI's AP of two folders with files of the same names.

    Only Car, Pedestrian and Cyclist are scored, in any case of letters; objects of other classes are left out. Those of
    names that KITTI does not have, and detections of its other classes, are added to `notes`.

    Args:
        ground_truth: The folder of ground-truth files, or one with label_2/ in it.
        prediction: The folder of detections, or one with data/ in it.
        progress: May wrap the loop over the files.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        See `KittiAP.result`.

    Raises:
        InputError: Names the file and the line that is wrong, the file that only one folder has, or the classes where
            a folder has objects, but none of a class that is scored.
    """
    targets, predictions = _files(ground_truth, "label_2"), _files(prediction, "data")
    if missing := sorted(targets.keys() - predictions.keys()):
        raise InputError(
            f"{prediction} has no {missing[0]} ({len(missing)} of {len(targets)} files are missing); an image without"
            " detections has an empty file"
        )
    if unknown := sorted(predictions.keys() - targets.keys()):
        raise InputError(f"{prediction} has {unknown[0]}, but {ground_truth} has not")
    pairs = {
        path: (read_objects(path), read_objects(predictions[name], scored=True))
        for name, path in sorted(targets.items())
    }
    scores = KittiAP()
    with collected(notes) as noted:
        for place, folder in enumerate((ground_truth, prediction)):
            counts = Counter(name for pair in pairs.values() for name in pair[place].names)
            note_unknown(noted, folder, counts, CLASSES, TYPES, silent=folder is ground_truth)
        for path in progress(pairs):
            scores.update(*pairs[path])
        averages = scores.result()
        if all(math.isnan(value) for value in averages.values()):
            noted.add(ground_truth, f"has no object that counts at any difficulty; {NOTHING}")
    return averages


def read_objects(path: Path, scored: bool = False) -> KittiObjects:
    """Read the objects of a text file.

    Args:
        path: A file with one object a line.
        scored: Whether each line must end with a score.

    Returns:
        The objects.

    Raises:
        InputError: Names the line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    rows = [_row(line.split(), f"{path}, line {i}", scored) for i, line in enumerate(lines, 1) if line.strip()]
    columns = np.array([numbers for _, numbers in rows], dtype=float).reshape(len(rows), NUMBERS + scored)
    return KittiObjects(
        tuple(name for name, _ in rows),
        truncated=columns[:, 0],
        occluded=columns[:, 1].astype(np.int64),
        alphas=columns[:, 2],
        boxes=columns[:, 3:7],
        sizes=columns[:, 7:10],
        locations=columns[:, 10:13],
        rotations=columns[:, 13],
        scores=columns[:, 14] if scored else None,
    )


def _row(words: list[str], where: str, scored: bool) -> tuple[str, list[float]]:
    """Return class and numbers of a line; the score of ground truth, if any, is left out."""
    allowed = {1 + NUMBERS + 1} if scored else {1 + NUMBERS, 1 + NUMBERS + 1}
    if len(words) not in allowed:
        needed = f"{NUMBERS + 1} numbers, the last a score" if scored else f"{NUMBERS} numbers"
        raise InputError(f"{where}: expected a class and {needed}, got {len(words)} columns")
    try:
        numbers = [float(word) for word in words[1 : 1 + NUMBERS + scored]]
    except ValueError as error:
        raise InputError(f"{where}: expected numbers after the class, but {error}") from None
    if not all(map(is_number, numbers)):
        raise InputError(f"{where}: expected finite numbers, got {' '.join(words)}")
    if numbers[5] < numbers[3] or numbers[6] < numbers[4]:
        raise InputError(f"{where}: the box {numbers[3:7]} is reversed; expected left, top, right, bottom")
    return words[0], numbers


def _files(folder: Path, inner: str) -> dict[str, Path]:
    """Return the text files of a folder by name, or where it has none, of the folder `inner` in it."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of text files, one an image; there is no such folder")
    paths = [*folder.glob("*.txt")] or [*(folder / inner).glob("*.txt")]
    files = {path.name: path for path in paths}
    if not files:
        raise InputError(
            f"{folder} holds no .txt file; expected one an image, such as 000000.txt or {inner}/000000.txt"
        )
    return files
