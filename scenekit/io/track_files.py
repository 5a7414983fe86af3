"""Text files of tracks, one file a sequence and one line an object in a frame: MOTChallenge's and KITTI's.

MOTChallenge: frame (from 1), id, left, top (pixels, the first one is 1), width, height, score (of ground truth: 0 for
what is not considered), and where there are more columns the class and the visible share, or three times -1. KITTI:
frame (from 0), id, then the columns of `scenekit.io.kitti_labels`. Letters: M lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from scenekit.errors import InputError, nearest
from scenekit.io.files import read_text
from scenekit.io.kitti_labels import NUMBERS
from scenekit.io.records import LARGEST, is_number

TrackFormat: TypeAlias = Literal["motchallenge", "kitti"]
TRACK_FORMATS: tuple[TrackFormat, ...] = ("motchallenge", "kitti")
"""Names of the formats."""

MOT_LEAST = 7
"""Columns that a line of MOTChallenge's has at least."""

FIRST_PIXEL = 1
"""Where MOTChallenge begins to count pixels, and frames."""

NO_CUBOID = "-1 -1 -1 -1000 -1000 -1000 -10"
"""KITTI's columns of the size, the place and the rotation of an object without a 3D box."""


@dataclass(frozen=True, eq=False)
class TrackLines:
    """The lines of a file."""

    frames: Int[np.ndarray, " M"]
    """Number of the frame, from 0."""
    ids: Int[np.ndarray, " M"]
    """Identities."""
    boxes: Float[np.ndarray, "M 4"]
    """Boxes, xyxy in pixels, of which the first begins at 0."""
    names: tuple[str, ...]
    """Classes: KITTI's names, or MOTChallenge's numbers; "-1" for a line without one."""
    numbers: Float[np.ndarray, "M _"]
    """MOTChallenge: the score. KITTI: truncated, occluded."""


def track_format(name: str) -> TrackFormat:
    """Return the format of that name.

    Args:
        name: The name.

    Returns:
        The same.

    Raises:
        InputError: There is no such format.
    """
    for known in TRACK_FORMATS:
        if name == known:
            return known
    raise InputError(f"unknown format of tracks {name!r}{nearest(name, TRACK_FORMATS)}")


def guess_format(path: Path) -> TrackFormat | None:
    """Return the format of a file by its first line.

    Args:
        path: The file.

    Returns:
        The format; None for a file without a line.
    """
    words = next((words for _, words in _lines(path)), None)
    if words is None:
        return None
    return "kitti" if len(words) > 2 and not _is_number(words[2]) else "motchallenge"


def read_track_lines(path: Path, format: TrackFormat) -> TrackLines:
    """Read a file.

    Args:
        path: The file.
        format: Its format.

    Returns:
        Its lines.

    Raises:
        InputError: Names the line that is wrong: too few columns, no numbers, a frame that is none, a reversed box,
            an id that its frame has already, or in MOTChallenge's format one below 0.
    """
    parse = _mot_line if format == "motchallenge" else _kitti_line
    seen: dict[tuple[int, int], int] = {}
    rows = []
    for number, words in _lines(path):
        row = parse(words, f"{path}, line {number}")
        place = row[0], row[1]
        if row[1] >= 0 and seen.setdefault(place, number) != number:
            frame = row[0] + (FIRST_PIXEL if format == "motchallenge" else 0)
            raise InputError(
                f"{path}, line {number}: frame {frame} has the id {row[1]} already, in line {seen[place]}; an id is one"
                " object of a frame"
            )
        rows.append(row)
    frames, ids, boxes, names, numbers = zip(*rows, strict=True) if rows else ((),) * 5
    columns = 1 if format == "motchallenge" else 2
    return TrackLines(
        np.array(frames, dtype=np.int64),
        np.array(ids, dtype=np.int64),
        np.array(boxes, dtype=float).reshape(-1, 4),
        names,
        np.array(numbers, dtype=float).reshape(-1, columns),
    )


Row: TypeAlias = tuple[int, int, list[float], str, list[float]]
"""Frame, id, box, class, further numbers."""


def _mot_line(words: Sequence[str], where: str) -> Row:
    if len(words) < MOT_LEAST:
        raise InputError(
            f"{where}: expected frame, id, left, top, width, height, score, ... separated by commas, got {len(words)}"
            " columns"
        )
    frame, identity, left, top, width, height, score, *more = _numbers(words[:8], where)
    if width < 0 or height < 0:
        raise InputError(f"{where}: width and height must be at least 0, got {width:g} and {height:g}")
    left, top = left - FIRST_PIXEL, top - FIRST_PIXEL
    kind = _whole(more[0], "the class", where) if more else -1
    number = _whole(frame, "the frame", where, least=FIRST_PIXEL) - FIRST_PIXEL
    name = _whole(identity, "the id", where)
    if name < 0:
        raise InputError(f"{where}: frame {number + FIRST_PIXEL} has the id {name}; a track has an id from 0")
    return number, name, [left, top, left + width, top + height], str(kind), [score]


def _kitti_line(words: Sequence[str], where: str) -> Row:
    least = 2 + 1 + NUMBERS
    if len(words) not in (least, least + 1):
        raise InputError(
            f"{where}: expected frame, id, class and {NUMBERS} numbers, of predictions also a score, got"
            f" {len(words)} columns"
        )
    frame, identity = _numbers(words[:2], where)
    values = _numbers(words[3:], where)
    box = values[3:7]
    if box[2] < box[0] or box[3] < box[1]:
        raise InputError(f"{where}: the box {box} is reversed; expected left, top, right, bottom")
    number = _whole(frame, "the frame", where, least=0)
    return number, _whole(identity, "the id", where), box, words[2], values[:2]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return number and columns of each line that is not blank."""
    numbered = enumerate(read_text(path).splitlines(), 1)
    return [(number, re.split(r"\s*,\s*|\s+", text)) for number, line in numbered if (text := line.strip().rstrip(","))]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _numbers(words: Sequence[str], where: str) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{where}: expected numbers, but {str(error)[:120]}") from None
    if not all(map(is_number, numbers)):
        wrong = next(word for word, number in zip(words, numbers, strict=True) if not is_number(number))
        raise InputError(f"{where}: expected finite numbers of at most {LARGEST:g}, got {wrong[:40]}")
    return numbers


def _whole(value: float, name: str, where: str, least: int | None = None) -> int:
    if value != int(value) or (least is not None and value < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise InputError(f"{where}: {name} must be {wanted}, got {value:g}")
    return int(value)


def mot_line(frame: int, identity: int, box: Sequence[float], score: float, number: int) -> str:
    """Return a line of MOTChallenge's.

    Args:
        frame: Number of the frame, from 0.
        identity: The id.
        box: x1 y1 x2 y2 in pixels, of which the first begins at 0.
        score: Confidence.
        number: Number of the class, -1 for none.

    Returns:
        The line, without its end.
    """
    left, top = box[0] + FIRST_PIXEL, box[1] + FIRST_PIXEL
    values = (left, top, box[2] - box[0], box[3] - box[1], score)
    texts = (f"{value:.6g}" for value in values)
    return f"{frame + FIRST_PIXEL},{identity},{','.join(texts)},{number},-1,-1"


def kitti_line(frame: int, identity: int, name: str, box: Sequence[float], score: float) -> str:
    """Return a line of KITTI's tracks without a 3D box.

    Args:
        frame: Number of the frame, from 0.
        identity: The id.
        name: The class; spaces become underscores.
        box: x1 y1 x2 y2 in pixels.
        score: Confidence.

    Returns:
        The line, without its end.
    """
    sides = " ".join(f"{value:.6g}" for value in box)
    return f"{frame} {identity} {'_'.join(name.split())} -1 -1 -10 {sides} {NO_CUBOID} {score:.6g}"
