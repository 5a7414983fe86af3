"""The images of a split: from published lists, or by checksum."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit.io.records import brief, read_json
from scenekit_datasets.pix3d.index import Entry, Index
from scenekit_datasets.roots import Faulty, report, with_split

HASH = "hash"
"""Our own division, by a checksum of the model's name: 80 % train, 10 % val, 10 % test."""


def in_split(index: Index, split: str, splits: str | None, faulty: Faulty) -> Index:
    """Select the entries of a split.

    Args:
        index: All entries.
        split: Name of the split.
        splits: File with lists of images, or "hash".
        faulty: Whether to refuse unknown names in the file or to skip them.

    Returns:
        The index with the selected entries.

    Raises:
        InputError: If the split does not exist or has no image.
    """
    if split == "all":
        return index
    if splits is None:
        if split == "train":
            return index
        raise InputError(
            f"Pix3D has no official split {split!r}: give splits=FILE (lists of img names, or Mesh R-CNN's"
            " pix3d_s1_{split}.json), splits=hash for a division by checksum, or split=all"
        )
    if splits == HASH:
        entries = [entry for entry in index.entries if _tenth(entry) == split]
    else:
        path = with_split(splits, split)
        names = _names(path, split, bare="{split}" in splits)
        known = {entry.name for entry in index.entries}
        report([f"{path}: {name} is not in {index.path}" for name in sorted(names - known)], faulty)
        entries = [entry for entry in index.entries if entry.name in names]
    if not entries:
        raise InputError(f"no image of {index.path} is in the split {split!r}; check the options split and splits")
    return replace(index, entries=entries)


def _tenth(entry: Entry) -> str:
    return {0: "test", 1: "val"}.get(zlib.crc32(entry.model.as_posix().partition("/model/")[2].encode()) % 10, "train")


def _names(path: Path, split: str, bare: bool) -> set[str]:
    value = _content(path)
    if isinstance(value, Mapping) and "images" in value:
        value = [image.get("file_name") if isinstance(image, Mapping) else image for image in value["images"]]
    elif isinstance(value, Mapping):
        if split not in value:
            raise InputError(f"{path} has no split {split!r}; it has {', '.join(value)}")
        value = value[split]
    elif not bare:
        raise InputError(f"{path}: a file with one list of names needs {{split}} in its name; got {brief(value)}")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{path}: expected names of images such as img/bed/0001.png, got {brief(value)}")
    return set(value)


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return read_json(path)
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]
