"""KITTI's average precision of folders of text files in the official layout, see `scenekit.io.kitti_labels`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from scenekit.errors import InputError
from scenekit.io.kitti_labels import NUMBERS, KittiLines, read_kitti_lines
from scenekit.metrics.kitti.average_precision import CLASSES, TYPES, KittiAP, KittiObjects
from scenekit.metrics.notes import NOTHING, Notes, collected, note_unknown

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
    lines = read_kitti_lines(path, scored)
    for issue in lines.issues:
        raise InputError(issue)
    return objects_of(lines)


def objects_of(lines: KittiLines) -> KittiObjects:
    """Convert the lines of a file to objects.

    Args:
        lines: The lines.

    Returns:
        The objects, with scores where the lines have them.
    """
    columns = lines.numbers
    return KittiObjects(
        lines.names,
        truncated=columns[:, 0],
        occluded=columns[:, 1].astype(np.int64),
        alphas=columns[:, 2],
        boxes=columns[:, 3:7],
        sizes=columns[:, 7:10],
        locations=columns[:, 10:13],
        rotations=columns[:, 13],
        scores=columns[:, NUMBERS] if columns.shape[1] > NUMBERS else None,
    )


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
