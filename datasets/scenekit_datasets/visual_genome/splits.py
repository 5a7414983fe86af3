"""The images of a split: from published files, or by checksum.

Letters: I images.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import brief, parse_json, read_json
from scenekit_datasets.roots import Faulty, report, with_split
from scenekit_datasets.visual_genome.h5_file import read_split

ALL = "all"
"""The split that is the whole data set."""

HASH = "hash"
"""Our own division, by a checksum of the id: 80 % train, 10 % val, 10 % test."""

CORRUPTED = (1592, 1722, 4616, 4617)
"""Images whose files are damaged; the published arrays of splits omit them from the order of image_data.json."""

_NUMBERS = {"train": 0, "val": 1, "test": 2}


def in_split(
    ids: Int[np.ndarray, " I"], split: str, splits: str | Path | None, validation: int, faulty: Faulty = "skip"
) -> Bool[np.ndarray, " I"]:
    """Return which images are in a split.

    The file is JSON with lists of ids by split (densecap_splits.json), a list of ids (JSON, or text with one per line)
    whose path has `{split}`, or an array of a 0 (train), 1 (val) or 2 (test) for each image (JSON, .npy, .h5).

    Args:
        ids: Ids of the images, in the order of image_data.json.
        split: Name of the split.
        splits: None (only the split "all" exists), "hash", or a file.
        validation: Number of first training images that are val where the array has no 1, as in neural-motifs and
            Scene-Graph-Benchmark.
        faulty: Whether to refuse unknown ids in the file or to skip them.

    Returns:
        True for each image in the split.

    Raises:
        InputError: If the split does not exist or the file is invalid.
    """
    if split == ALL:
        return np.ones(len(ids), dtype=bool)
    if splits is None:
        raise InputError(
            "Visual Genome has no official splits: give splits=FILE (densecap_splits.json, a list of ids in a file with"
            " {split} in its name, or VG150's VG-SGG.h5), splits=hash for a division by checksum, split=all, or h5=FILE"
            " for VG150's own objects and splits"
        )
    if splits == HASH:
        return _by_hash(ids, split)
    path = with_split(splits, split)
    value = _content(path)
    if isinstance(value, Mapping):
        return _listed(ids, _of_split(value, split, path), path, faulty)
    if isinstance(value, list) and _is_array(value, len(ids)):
        return _by_array(ids, np.array(value), split, validation)
    if "{split}" not in str(splits):
        what = f"lists of ids by split, or an array of 0, 1 and 2 for each of the {len(ids)} images"
        raise InputError(f"{path}: expected {what}, got {brief(value)}; a list of ids needs {{split}} in its name")
    return _listed(ids, value, path, faulty)


def _by_hash(ids: Int[np.ndarray, " I"], split: str) -> Bool[np.ndarray, " I"]:
    tenth = np.array([zlib.crc32(str(id).encode()) % 10 for id in ids.tolist()])
    mask: Bool[np.ndarray, " I"] = {"test": tenth == 0, "val": tenth == 1, "train": tenth > 1}[split]
    return mask


def _content(path: Path) -> Any:
    if path.suffix in (".h5", ".hdf5"):
        return read_split(path).tolist()
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False).tolist()
        if path.suffix == ".txt":
            return [parse_json(line, path) for line in read_text(path).split()]
    except FileNotFoundError:
        raise InputError(f"no such file: {path}, which splits names; splits=hash needs none") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: expected an array of numbers, or ids one per line: {error}") from None
    return read_json(path)


def _of_split(value: Mapping[str, Any], split: str, path: Path) -> Any:
    if split not in value:
        raise InputError(f"{path} has no split {split!r}; it has {', '.join(value)}")
    return value[split]


def _is_array(value: list[Any], count: int) -> bool:
    """Return whether a list is an array of splits: ids that are all 0, 1 or 2, one per image, are implausible."""
    return len(value) in (count, count - len(CORRUPTED)) and set(map(str, value)) <= {"0", "1", "2"} and count > 2


def _by_array(
    ids: Int[np.ndarray, " I"], array: Int[np.ndarray, " n"], split: str, validation: int
) -> Bool[np.ndarray, " I"]:
    numbers = np.full(len(ids), -1)
    numbers[np.ones(len(ids), dtype=bool) if len(array) == len(ids) else ~np.isin(ids, CORRUPTED)] = array
    return with_number(numbers, split, validation)


def with_number(numbers: Int[np.ndarray, " I"], split: str, validation: int) -> Bool[np.ndarray, " I"]:
    """Return which images have the number of a split.

    Args:
        numbers: 0 for train, 1 for val, 2 for test, -1 for none.
        split: Name of the split.
        validation: Number of first training images that are val where no image has a 1.

    Returns:
        True for each image in the split.
    """
    numbers = numbers.copy()
    if not (numbers == _NUMBERS["val"]).any():
        numbers[(numbers == _NUMBERS["train"]).nonzero()[0][:validation]] = _NUMBERS["val"]
    mask: Bool[np.ndarray, " I"] = numbers == _NUMBERS[split]
    return mask


def _listed(ids: Int[np.ndarray, " I"], value: Any, path: Path, faulty: Faulty) -> Bool[np.ndarray, " I"]:
    if not isinstance(value, list) or not all(isinstance(id, int) and not isinstance(id, bool) for id in value):
        raise InputError(f"{path}: expected a list of ids of images, got {brief(value)}")
    known = set(ids.tolist())
    report([f"{path}: image id {id} is not in image_data.json" for id in value if id not in known], faulty)
    return np.isin(ids, value)
