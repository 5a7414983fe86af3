"""Files of a data set: named one by one, or below a root with COCO's own layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scenekit.errors import InputError, nearest
from scenekit_datasets.roots import with_split

PARTS = ("instances", "person_keypoints", "panoptic", "stuff", "image_info")
"""Annotation files of COCO, named PART_SPLITYEAR.json."""


def official(root: Path, split: str, year: int, parts: Sequence[str]) -> tuple[Path, list[Path]]:
    """Return the folder of images and the annotation files below a COCO root.

    Args:
        root: The root.
        split: Name of the split.
        year: Year of the files.
        parts: Kinds of annotation files.

    Returns:
        (folder of images, annotation files).

    Raises:
        InputError: If a part is unknown or the root does not exist.
    """
    for part in parts:
        if part not in PARTS:
            raise InputError(f"COCO has no annotations {part!r}{nearest(part, PARTS)}")
    if not parts:
        raise InputError(f"parts must name some of {', '.join(PARTS)}")
    if not root.is_dir():
        raise InputError(f"{root} is not a COCO root: expected a folder with {split}{year}/ and annotations/")
    folder = root / "annotations"
    return root / f"{split}{year}", [folder / f"{part}_{split}{year}.json" for part in parts]


def named(annotations: str | Sequence[str], images: str | None, split: str) -> tuple[Path, list[Path]]:
    """Return the folder of images and the named annotation files; `{split}` stands for the split.

    Args:
        annotations: One or several files.
        images: Folder of images; if None, that of the first file, or images/ beside its folder annotations/.
        split: Name of the split.

    Returns:
        (folder of images, annotation files).

    Raises:
        InputError: If no file is named.
    """
    names = [annotations] if isinstance(annotations, str | Path) else list(annotations)
    if not names:
        raise InputError("annotations must name a JSON file, or several")
    files = [with_split(name, split) for name in names]
    return (_images_of(files[0]) if images is None else with_split(images, split)), files


def _images_of(annotations: Path) -> Path:
    """Return the folder of images of a file: its own, or those of CVAT's exports."""
    if annotations.parent.name != "annotations":
        return annotations.parent
    beside = annotations.parent.with_name("images")
    subset = beside / annotations.stem.rpartition("_")[2]  # images/default of annotations/instances_default.json
    return next((folder for folder in (subset, beside) if folder.is_dir()), annotations.parent)


def maps_of(annotations: Path, maps: str | None, split: str) -> Path:
    """Return the folder of the panoptic maps of a file.

    Args:
        annotations: The annotation file.
        maps: The folder; if None, the one named like the file, or else the file's own folder.
        split: Name of the split.

    Returns:
        The folder.
    """
    if maps is not None:
        return with_split(maps, split)
    beside = annotations.with_suffix("")
    return beside if beside.is_dir() else annotations.parent
