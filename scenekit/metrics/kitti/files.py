"""KITTI's average precision of folders of text files in the official layout (one file an image, one line an object).

A line holds: class, truncated, occluded, alpha, the box (left, top, right, bottom, pixels), height, width, length, x, y
and z (metres), rotation_y; of detections also a score. Empty files are images without objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from scenekit.errors import InputError
from scenekit.metrics.kitti.average_precision import KittiAP, KittiObjects

NUMBERS = 14
"""Columns of a line after the class, without the score."""

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def score_kitti_files(truth: Path, prediction: Path, progress: Progress = iter) -> dict[str, float]:
    """`KittiAP.result` of all images for which the folder `truth`, or label_2/ in it, has a file.

    Every one of them needs a file of the same name in `prediction`, or data/ in it, and no other image may have one.
    `progress` may wrap the loop over the files. Raises InputError naming the file and the line for anything that is not
    in order.
    """
    wanted, found = _files(truth, "label_2"), _files(prediction, "data")
    if missing := sorted(wanted.keys() - found.keys()):
        raise InputError(
            f"{prediction} has no {missing[0]} ({len(missing)} of {len(wanted)} files are missing); an image without"
            " detections has an empty file"
        )
    if unknown := sorted(found.keys() - wanted.keys()):
        raise InputError(f"{prediction} has {unknown[0]}, but {truth} has not")
    scores = KittiAP()
    for path in progress([wanted[name] for name in sorted(wanted)]):
        scores.update(read_objects(path), read_objects(found[path.name], scored=True))
    return scores.result()


def read_objects(path: Path, scored: bool = False) -> KittiObjects:
    """The objects of a text file; `scored` where each line must end with a score. InputError names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
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
    """(Class, numbers) of a line; ground truth may carry a score, which is left out."""
    allowed = {1 + NUMBERS + 1} if scored else {1 + NUMBERS, 1 + NUMBERS + 1}
    if len(words) not in allowed:
        needed = f"{NUMBERS + 1} numbers, the last a score" if scored else f"{NUMBERS} numbers"
        raise InputError(f"{where}: expected a class and {needed}, got {len(words)} columns")
    try:
        numbers = [float(word) for word in words[1 : 1 + NUMBERS + scored]]
    except ValueError as error:
        raise InputError(f"{where}: expected numbers after the class, but {error}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}: expected finite numbers, got {' '.join(words)}")
    if numbers[5] < numbers[3] or numbers[6] < numbers[4]:
        raise InputError(f"{where}: the box {numbers[3:7]} is reversed; expected left, top, right, bottom")
    return words[0], numbers


def _files(folder: Path, inner: str) -> dict[str, Path]:
    """The text files of a folder by name, or where it has none, of the folder `inner` in it."""
    if not folder.is_dir():
        raise InputError(f"expected a folder of text files, one an image, but {folder} is none")
    found = [*folder.glob("*.txt")] or [*(folder / inner).glob("*.txt")]
    files = {path.name: path for path in found}
    if not files:
        raise InputError(
            f"{folder} holds no .txt file; expected one an image, such as 000000.txt or {inner}/000000.txt"
        )
    return files
