"""Folders, lists and files of Pascal VOC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scenekit.errors import InputError, listed
from scenekit.io.files import read_text
from scenekit_datasets.roots import Faulty, names_in, report

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The classes, in the order of the values of label maps, from 1."""

IMAGES, ANNOTATIONS, CLASS_MAPS, OBJECT_MAPS, LISTS = (
    "JPEGImages",
    "Annotations",
    "SegmentationClass",
    "SegmentationObject",
    "ImageSets",
)

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
"""Endings of images; VOC's are .jpg."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image."""

    name: str
    """Its name, such as 2007_000027."""
    image: Path
    """The image."""
    annotation: Path | None
    """Its objects; None for images of a test set without them."""
    classes: Path | None
    """The class of each pixel."""
    objects: Path | None
    """The object of each pixel."""


def folders_of(root: Path, years: Sequence[int] | None, split: str, image_set: str) -> list[Path]:
    """Return the folders of years that have a split.

    Args:
        root: VOCdevkit, or the folder of a year.
        years: The years; all that have the split, if None.
        split: Name of the split.
        image_set: Folder of the lists.

    Returns:
        The folders.

    Raises:
        InputError: If there is none, or a named year is missing.
    """
    if (root / IMAGES).is_dir() and years is None:
        return [root]
    there = sorted(path for path in root.glob("VOC*") if (path / IMAGES).is_dir())
    if not there and (root / IMAGES).is_dir():
        raise InputError(f"years are folders of VOCdevkit, but {root} is one of them; leave out the option years")
    if not there:
        raise InputError(f"expected VOC2007 or VOC2012 with {IMAGES}, or {IMAGES} itself, but {root} has neither")
    by_name = {path.name: path for path in there}
    missing = [year for year in years or () if f"VOC{year}" not in by_name]
    if missing or (years is not None and not years):
        raise InputError(f"{root} has no VOC{missing[0] if missing else ''}; it has {listed(list(by_name), 5)}")
    folders = there if years is None else [by_name[f"VOC{year}"] for year in years]
    with_split = [folder for folder in folders if _list_of(folder, split, image_set).is_file()]
    if not with_split:
        raise InputError(
            f"no such file: {_list_of(folders[-1], split, image_set)}, the list of the images of {split!r}"
        )
    return with_split


def find_images(folders: Sequence[Path], split: str, image_set: str, faulty: Faulty) -> list[ImageFiles]:
    """Find the files of the images of a split.

    Args:
        folders: Folders of years.
        split: Name of the split.
        image_set: Folder of the lists.
        faulty: Whether to refuse missing files or to skip their images.

    Returns:
        The files, in the order of the lists.

    Raises:
        InputError: If a list is missing or empty, or files are missing and refused.
    """
    issues: list[str] = []
    found = [image for folder in folders for image in _of_folder(folder, split, image_set, issues)]
    report(issues, faulty)
    if not found:
        raise InputError(f"no image of the split {split!r} is left of those that {folders[0] / LISTS} lists")
    return found


def _of_folder(folder: Path, split: str, image_set: str, issues: list[str]) -> list[ImageFiles]:
    source = _list_of(folder, split, image_set)
    there = {kind: names_in(folder / kind) for kind in (IMAGES, ANNOTATIONS, CLASS_MAPS, OBJECT_MAPS)}
    names = [line.split()[0] for line in read_text(source).splitlines() if line.strip()]
    if not names:
        raise InputError(f"{source} names no image; expected one per line, such as 2007_000027")
    annotated = any(f"{name}.xml" in there[ANNOTATIONS] for name in names)
    found = []
    for name in dict.fromkeys(names):
        image = next((name + ending for ending in ENDINGS if name + ending in there[IMAGES]), None)
        if image is None or (annotated and f"{name}.xml" not in there[ANNOTATIONS]):
            lacking = folder / (f"{IMAGES}/{name}.jpg" if image is None else f"{ANNOTATIONS}/{name}.xml")
            issues.append(f"{source}: image {name} has no {lacking}")
            continue
        annotation, classes, objects = (
            folder / kind / f"{name}{ending}" if f"{name}{ending}" in there[kind] else None
            for kind, ending in ((ANNOTATIONS, ".xml"), (CLASS_MAPS, ".png"), (OBJECT_MAPS, ".png"))
        )
        found.append(ImageFiles(name, folder / IMAGES / image, annotation, classes, objects))
    return found


def _list_of(folder: Path, split: str, image_set: str) -> Path:
    return folder / LISTS / image_set / f"{split}.txt"
