"""Text files of KITTI's labels and detections: one file an image, one line an object.

A line holds: class, truncated, occluded, alpha, the box (left, top, right, bottom, pixels), height, width, length, x, y
and z (metres), rotation_y; of detections also a score. Empty files are images without objects. Letters: M lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import LARGEST, is_number

NUMBERS = 14
"""Columns of a line after the class, without the score."""


@dataclass(frozen=True, eq=False)
class KittiLines:
    """The sound lines of a file."""

    names: tuple[str, ...]
    """Classes."""
    numbers: Float[np.ndarray, "M _"]
    """The columns after the class: 14, and the score where lines have one."""
    where: tuple[str, ...]
    """File and line of each object, for messages."""
    issues: tuple[str, ...]
    """Issues of the other lines."""


def read_kitti_lines(path: Path, scored: bool | None = None) -> KittiLines:
    """Read the lines of a text file.

    Args:
        path: The file.
        scored: Whether lines end with a score; where they need none, one that is there is left out. None for what the
            first line has.

    Returns:
        Its lines, and the issues of lines that cannot be used.

    Raises:
        InputError: If the file cannot be read.
    """
    lines = [(n, words) for n, line in enumerate(read_text(path).splitlines(), 1) if (words := line.split())]
    if scored is None:
        scored = bool(lines) and len(lines[0][1]) == 1 + NUMBERS + 1
    kept: list[tuple[str, list[float], str]] = []
    issues: list[str] = []
    for number, words in lines:
        try:
            kept.append((words[0], _numbers(words, f"{path}, line {number}", scored), f"{path}, line {number}"))
        except InputError as error:
            issues.append(str(error))
    names, rows, where = zip(*kept, strict=True) if kept else ((), (), ())
    return KittiLines(names, np.array(rows, dtype=float).reshape(len(rows), NUMBERS + scored), where, tuple(issues))


def _numbers(words: list[str], where: str, scored: bool) -> list[float]:
    """Return the numbers of a line."""
    allowed = {1 + NUMBERS + 1} if scored else {1 + NUMBERS, 1 + NUMBERS + 1}
    if len(words) not in allowed:
        needed = f"{NUMBERS + 1} numbers, the last a score" if scored else f"{NUMBERS} numbers"
        raise InputError(f"{where}: expected a class and {needed}, got {len(words)} columns")
    try:
        numbers = [float(word) for word in words[1 : 1 + NUMBERS + scored]]
    except ValueError as error:
        raise InputError(f"{where}: expected numbers after the class, but {str(error)[:120]}") from None
    if not all(map(is_number, numbers)):
        wrong = next(word for word, number in zip(words[1:], numbers, strict=False) if not is_number(number))
        raise InputError(f"{where}: expected finite numbers of at most {LARGEST:g}, got {wrong[:40]}")
    if numbers[5] < numbers[3] or numbers[6] < numbers[4]:
        raise InputError(f"{where}: the box {numbers[3:7]} is reversed; expected left, top, right, bottom")
    return numbers
