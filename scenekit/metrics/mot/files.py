"""Tracking metrics of folders of text files, see `scenekit.io.track_files`.

Ground truth of MOTChallenge is in SEQUENCE/gt/gt.txt, with the number of frames in SEQUENCE/seqinfo.ini, or in
SEQUENCE.txt; KITTI's in label_02/SEQUENCE.txt or SEQUENCE.txt. Predictions are in SEQUENCE.txt or data/SEQUENCE.txt.
"""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenekit.errors import InputError, nearest
from scenekit.io.files import read_text
from scenekit.io.track_files import TrackFormat, guess_format, read_track_lines
from scenekit.metrics.mot.rules import (
    KITTI_LOOK_ALIKE,
    MOT_CLASSES,
    PEDESTRIAN,
    kitti_rules,
    mot_challenge_rules,
    paired,
)
from scenekit.metrics.mot.score import TrackingScores
from scenekit.metrics.mot.sequence import MotObjects, Sequence
from scenekit.metrics.notes import NOTHING, Notes, collected

Progress = Callable[[Iterable[str]], Iterable[str]]

FIRST_FRAME = {"motchallenge": 1, "kitti": 0}
"""The number of the first frame in files of each format."""


@dataclass(frozen=True)
class _Files:
    """The files of one sequence."""

    name: str
    targets: Path
    predictions: Path
    length: int | None
    """The number of frames; None where no file says so."""


def score_mot_files(
    ground_truth: Path,
    prediction: Path,
    format: TrackFormat | None = None,
    classes: Iterable[str] | None = None,
    progress: Progress = iter,
    notes: Notes | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Compute HOTA, CLEAR and identity metrics of two folders with files of the same sequences.

    Args:
        ground_truth: The folder of ground truth.
        prediction: The folder of predictions; a file for each sequence, also where it is empty.
        format: The format of all files; by default what the first line of ground truth looks like.
        classes: Names of the classes to score, of MOTChallenge's also numbers; by default its pedestrians, or KITTI's
            cars and pedestrians.
        progress: May wrap the loop over the names of the sequences.
        notes: Collects what is left out; without it that is logged as warnings.

    Returns:
        By class, by sequence and for `combined`: the metrics by name, see `TrackingScores.result`.

    Raises:
        InputError: Names the file and the line that is wrong, the frame out of range, or the sequence that has no file
            of predictions.
    """
    targets = _targets(ground_truth)
    format = format or _format_of(targets.values(), ground_truth)
    scored = {name: _class_of(name, format) for name in classes or _default_classes(format)}
    with collected(notes) as noted:
        files = _paired_files(targets, prediction, ground_truth, noted)
        scores = {name: TrackingScores() for name in scored}
        for sequence in progress(list(files)):
            pair = _read(files[sequence], format)
            for name, number in scored.items():
                part = _sequence(*pair, format, number, sequence, files[sequence].predictions, noted)
                scores[name].update(sequence, part)
        results = {name: {**own.sequences(), "combined": own.result()} for name, own in scores.items()}
        for name, rows in results.items():
            if not rows["combined"]["FN"] and not rows["combined"]["recall"]:
                noted.add(ground_truth, f"has no object of the class {name!r} that counts; {NOTHING}")
    return results


def _default_classes(format: TrackFormat) -> tuple[str, ...]:
    return (MOT_CLASSES[PEDESTRIAN - 1],) if format == "motchallenge" else tuple(KITTI_LOOK_ALIKE)


def _class_of(name: str, format: TrackFormat) -> str | int:
    """Return how files of the format write a class."""
    if format == "kitti":
        if name.lower() not in KITTI_LOOK_ALIKE:
            known = list(KITTI_LOOK_ALIKE)
            raise InputError(f"--class {name}: KITTI scores {' and '.join(known)}{nearest(name, known)}")
        return name.lower()
    if name.isdecimal() and int(name):
        return int(name)
    if name.lower() not in MOT_CLASSES:
        raise InputError(
            f"--class {name}: expected a number from 1, or one of MOTChallenge's classes"
            f"{nearest(name, MOT_CLASSES) or ': ' + ', '.join(MOT_CLASSES)}"
        )
    return MOT_CLASSES.index(name.lower()) + 1


def _targets(folder: Path) -> dict[str, Path]:
    """Return the ground-truth files by sequence."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of ground truth; there is no such folder")
    nested = {path.parent.parent.name: path for path in folder.glob("*/gt/gt.txt")}
    flat = [*folder.glob("*.txt")] or [*(folder / "label_02").glob("*.txt")]
    files = nested or {path.stem: path for path in flat}
    if not files:
        raise InputError(
            f"{folder} holds no ground truth; expected SEQUENCE/gt/gt.txt, label_02/SEQUENCE.txt or SEQUENCE.txt"
        )
    return dict(sorted(files.items()))


def _format_of(paths: Iterable[Path], folder: Path) -> TrackFormat:
    format = next((format for path in paths if (format := guess_format(path)) is not None), None)
    if format is None:
        raise InputError(f"{folder}: all files are empty; name their format: --format motchallenge or --format kitti")
    return format


def _paired_files(targets: Mapping[str, Path], folder: Path, ground_truth: Path, notes: Notes) -> dict[str, _Files]:
    """Return the files of each sequence."""
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of predictions; there is no such folder")
    paths = [*folder.glob("*.txt")] or [*(folder / "data").glob("*.txt")]
    predictions = {path.stem: path for path in paths}
    if missing := sorted(targets.keys() - predictions.keys()):
        raise InputError(
            f"{folder} has no {missing[0]}.txt ({len(missing)} of {len(targets)} sequences are missing); a sequence"
            " without tracks has an empty file"
        )
    for name in sorted(predictions.keys() - targets.keys()):
        notes.add(predictions[name], f"is left out: {ground_truth} has no such sequence")
    return {name: _Files(name, path, predictions[name], _length_of(path)) for name, path in targets.items()}


def _length_of(targets: Path) -> int | None:
    """Return the number of frames that the file `seqinfo.ini` of a sequence says, if there is one."""
    path = targets.parent.parent / "seqinfo.ini"
    if targets.parent.name != "gt" or not path.is_file():
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path))
        length = parser.getint("Sequence", "seqLength")
    except (configparser.Error, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected [Sequence] with seqLength, a whole number ({reason})") from None
    return length


def _read(files: _Files, format: TrackFormat) -> tuple[MotObjects, MotObjects, int]:
    """Return targets, predictions and the number of frames of a sequence."""
    parts = tuple(_objects(path, format, files.length) for path in (files.targets, files.predictions))
    last = max(int(part.frames.max(initial=-1)) for part in parts)
    return parts[0], parts[1], last + 1 if files.length is None else files.length


def _objects(path: Path, format: TrackFormat, length: int | None) -> MotObjects:
    """Read a file."""
    lines, first = read_track_lines(path, format), FIRST_FRAME[format]
    if length is not None and (beyond := np.flatnonzero(lines.frames >= length)).size:
        frame = int(lines.frames[beyond[0]]) + first
        raise InputError(f"{path}: frame {frame} is out of range; seqinfo.ini says {first} to {length - 1 + first}")
    if format == "motchallenge":
        classes = np.array([int(name) for name in lines.names], dtype=np.int64)
        return MotObjects(lines.frames, lines.ids, lines.boxes, classes, considered=lines.numbers[:, 0].astype(int))
    classes = np.char.lower(np.array(lines.names, dtype=str))
    return MotObjects(lines.frames, lines.ids, lines.boxes, classes, lines.numbers[:, 0], lines.numbers[:, 1])


def _sequence(
    targets: MotObjects,
    predictions: MotObjects,
    length: int,
    format: TrackFormat,
    number: str | int,
    name: str,
    path: Path,
    notes: Notes,
) -> Sequence:
    """Return what counts of one class of a sequence."""
    if format == "kitti":
        own = (predictions.classes == number) & (predictions.ids >= 0)
        return paired(targets, predictions[own], kitti_rules(targets, str(number)), length)
    own = (predictions.classes == number) | (predictions.classes < 1)
    if others := int((~own).sum()):
        notes.add(path, f"has objects of other classes than {number}, which are left out", others)
    rules = mot_challenge_rules(targets, int(number), vehicles="MOT20" in name)
    return paired(targets, predictions[own], rules, length)
