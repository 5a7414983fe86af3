"""Which files a data set consists of: named one by one, or found below the root of COCO's own layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scenekit.errors import InputError, nearest

PARTS = ("instances", "person_keypoints", "panoptic", "stuff", "image_info")
"""Annotation files of COCO whose names are PART_SPLITYEAR.json."""


def official(root: Path, split: str, year: int, parts: Sequence[str]) -> tuple[Path, list[Path]]:
    """The folder of images and the annotation files below the root of COCO."""
    for part in parts:
        if part not in PARTS:
            raise InputError(f"COCO has no annotations {part!r}{nearest(part, PARTS)}")
    if not parts:
        raise InputError(f"parts must name some of {', '.join(PARTS)}")
    if not root.is_dir():
        raise InputError(f"expected the folder of COCO, with {split}{year}/ and annotations/, but {root} is none")
    folder = root / "annotations"
    return root / f"{split}{year}", [folder / f"{part}_{split}{year}.json" for part in parts]


def named(annotations: str | Sequence[str], images: str | None, split: str) -> tuple[Path, list[Path]]:
    """The folder of images (that of the first file unless told) and the files; `{split}` stands for the split."""
    names = [annotations] if isinstance(annotations, str | Path) else list(annotations)
    if not names:
        raise InputError("annotations must name a JSON file, or several")
    files = [filled(name, split) for name in names]
    return (files[0].parent if images is None else filled(images, split)), files


def maps_of(annotations: Path, maps: str | None, split: str) -> Path:
    """The folder of the panoptic maps of a file: as told, or beside it by its name, or where the file is."""
    if maps is not None:
        return filled(maps, split)
    beside = annotations.with_suffix("")
    return beside if beside.is_dir() else annotations.parent


def filled(name: str | Path, split: str) -> Path:
    """The path with the split in its place."""
    return Path(str(name).replace("{split}", split)).expanduser()
