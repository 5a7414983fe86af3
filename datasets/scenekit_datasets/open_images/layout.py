"""Files, tables and images of Open Images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenekit.errors import InputError
from scenekit.keys import ATTRIBUTES, MASKS, RELATIONS, Key
from scenekit_datasets.csv_index import CsvIndex, open_csv
from scenekit_datasets.roots import Faulty, names_in, report

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Names of the splits in those of files."""

FOLDERS = ("", "annotations", "labels", "metadata")
"""Where the files may be below the root, besides a folder named like the split."""

BOXES = ("LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")
LABELS = ("LabelName", "Confidence")
MASK = ("MaskPath", "LabelName", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax")
RELATION = ("LabelName1", "LabelName2", *(f"{side}{end}" for end in "12" for side in ("XMin", "XMax", "YMin", "YMax")))
"""Columns that are read."""

HEX = "0123456789abcdef"
"""First characters of the ids of images, by which archives are divided."""


@dataclass(frozen=True)
class Files:
    """The files of a split."""

    split: str
    """Its name in those of files."""
    classes: Path
    """Names of the classes."""
    boxes: Path
    """Boxes."""
    labels: Path | None
    """Verified labels of images."""
    masks: Path | None
    """Which mask each box has."""
    relations: Path | None
    """Relations and attributes."""
    attributes: Path | None
    """Names of the attributes."""
    hierarchy: Path | None
    """The classes that each class belongs to."""


@dataclass(frozen=True)
class Tables:
    """The rows of each image."""

    boxes: CsvIndex
    """Boxes."""
    labels: CsvIndex | None
    """Verified labels of images."""
    masks: CsvIndex | None
    """Which mask each box has."""
    relations: CsvIndex | None
    """Relations and attributes."""


@dataclass(frozen=True)
class Listing:
    """The images of a data set."""

    numbers: tuple[int, ...]
    """Place of each image among all that the files of the split list."""
    ids: tuple[str, ...]
    """Id of each."""
    paths: tuple[Path, ...]
    """File of each."""


def find_files(root: Path, split: str) -> Files:
    """Find the files of a split below the root; of several versions of a file the latest.

    Args:
        root: The root.
        split: Name of the split.

    Returns:
        The files.

    Raises:
        InputError: If there are no boxes or no names of classes.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; root= names the one with Open Images' CSV files")
    name = SPLITS[split]
    places = [root / folder for folder in (*FOLDERS, name)]

    def find(ending: str) -> Path | None:
        found = [path for place in places for path in place.glob(f"*{ending}")]
        return max(found, key=lambda path: (path.name.startswith("oid"), path.name), default=None)

    def require(ending: str) -> Path:
        path = find(ending)
        if path is None:
            raise InputError(
                f"{root} has no {ending}, nor with a prefix such as oidv6-; looked in it and in its folders "
                f"{', '.join((*FOLDERS[1:], name))}"
            )
        return path

    labels = f"{name}-annotations-human-imagelabels"
    return Files(
        name,
        require("class-descriptions-boxable.csv"),
        require(f"{name}-annotations-bbox.csv"),
        find(f"{labels}-boxable.csv") or find(f"{labels}.csv"),
        find(f"{name}-annotations-object-segmentation.csv"),
        find(f"{name}-annotations-vrd.csv"),
        find("attributes-description.csv"),
        find("bbox_labels_600_hierarchy.json"),
    )


def open_tables(files: Files, keys: Collection[Key[Any, Any]], cache: Path | None) -> Tables:
    """Index the files of a split.

    Args:
        files: The files.
        keys: Labels to load.
        cache: Folder of stored indices, None for none.

    Returns:
        Their rows by image.

    Raises:
        InputError: If a file is damaged or lacks a column.
    """

    def table(path: Path | None, columns: Sequence[str], names: str | None = None) -> CsvIndex | None:
        return None if path is None else open_csv(path, "ImageID", columns, cache, names)

    return Tables(
        open_csv(files.boxes, "ImageID", BOXES, cache),
        table(files.labels, LABELS),
        table(files.masks, MASK) if MASKS in keys else None,
        table(files.relations, RELATION, "RelationshipLabel") if {ATTRIBUTES, RELATIONS} & {*keys} else None,
    )


def locate_images(tables: Tables, folder: Path, files: Files, *, faulty: Faulty, drop_empty: bool) -> Listing:
    """Find the images that the files list.

    Args:
        tables: Rows of the images.
        folder: Folder of the images, or of folders with them.
        files: The files.
        faulty: Whether to refuse missing images or to leave them out.
        drop_empty: Whether to leave out those without boxes.

    Returns:
        The images.

    Raises:
        InputError: If there is none, or some are missing and refused.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one with the images with images=")
    boxed = frozenset(tables.boxes.keys)
    known = sorted(boxed.union(() if tables.labels is None else tables.labels.keys))
    parts = (files.split, *(f"{files.split}_{part}" for part in HEX))
    places = [folder / part for part in (*parts, *(f"images/{part}" for part in parts), "images", "data", "")]
    there = {name: place / name for place in reversed(places) for name in names_in(place) if name.endswith(".jpg")}
    rows = [(number, id, there.get(f"{id}.jpg")) for number, id in enumerate(known) if id in boxed or not drop_empty]
    missing = [id for _, id, path in rows if path is None]
    found = [(number, id, path) for number, id, path in rows if path is not None]
    if missing and (faulty == "refuse" or not found):
        report([f"{folder}: no image {missing[0]}.jpg; {len(missing)} of {len(rows)} listed are missing"], faulty)
    if not found:
        raise InputError(
            f"no image is left of {len(rows)} that {files.boxes} and others list; see images= and drop_empty"
        )
    numbers, ids, paths = zip(*found, strict=True)
    return Listing(numbers, ids, paths)


def mask_folders(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the folders that may have masks; that of an image's first character is `{}`.

    Args:
        folder: Folder of the masks, or of folders with them.
        split: Name of the split in those of files.

    Returns:
        The folders, those that archives make when they are extracted among them.
    """
    names = (
        f"{split}-masks",
        f"{split}-masks/{split}-masks-{{}}",
        f"{split}-masks-{{}}",
        "masks",
        "masks/{}",
        "{}",
        "",
    )
    return tuple(folder / name for name in names)
