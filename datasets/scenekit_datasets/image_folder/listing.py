"""The images of a folder per class, and their division into splits."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scenekit.errors import InputError, listed, nearest, repr_of
from scenekit_datasets.roots import Faulty, names_in, report

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Endings of image files, those of torchvision's ImageFolder."""

SPLITS = ("train", "val", "test")
"""Names of splits that a root may have as folders."""


@dataclass(frozen=True)
class Listing:
    """Images with their classes."""

    folder: Path
    """The folder that holds the folders of classes."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    images: tuple[tuple[str, int], ...]
    """Path of each image, relative to the folder, and its label."""


def list_images(root: Path, split: str, splits: str | None, classes: Sequence[str] | None, faulty: Faulty) -> Listing:
    """List the images of a split, sorted by class and path.

    Args:
        root: The folder.
        split: Name of the split.
        splits: "folders", "hash" or None, see `build`.
        classes: Names of classes; all, if None.
        faulty: What to do with folders without an image.

    Returns:
        The listing.

    Raises:
        InputError: If a folder is missing or empty, or the split does not exist.
    """
    if splits not in (None, "folders", "hash"):
        raise InputError(f"splits must be 'folders', 'hash' or null, got {splits!r}")
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; root= names one with a folder of images per class")
    known = sorted(name for name in names_in(root) if name in SPLITS and (root / name).is_dir())
    by_folders = splits == "folders" or (splits is None and bool(known))
    folder = _split_folder(root, split, known) if by_folders else root
    listing = _listing(folder, _classes(folder, classes), faulty)
    if by_folders or split == "all":
        return listing
    if splits is None:
        if split == "train":
            return listing
        raise InputError(
            f"{root} has no folder {split!r}, and without splits all its images are 'train': give splits=hash for a "
            "division by checksum, or split=all"
        )
    return _divided(listing, split)


def _split_folder(root: Path, split: str, known: Sequence[str]) -> Path:
    folder = root / split
    if split not in (*SPLITS, *known) or not folder.is_dir():
        there = f"it has {listed(known, len(SPLITS))}" if known else "it has none of train, val and test"
        raise InputError(f"{root} has no folder of the split {split!r}; {there}")
    return folder


def _classes(folder: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the folders of classes: sorted, as torchvision does, or as they are named."""
    known = sorted(name for name in names_in(folder) if not name.startswith(".") and (folder / name).is_dir())
    if not known:
        raise InputError(f"{folder} has no folder; expected one of images per class, such as {folder / 'cat'}")
    if isinstance(wanted, str) or (wanted is not None and not wanted):
        raise InputError(f"classes must be names such as [cat, dog], got {wanted!r}")
    for name in wanted or ():
        if name not in known:
            raise InputError(f"{folder} has no folder of the class {name!r}{nearest(name, known)}")
    return tuple(dict.fromkeys(known if wanted is None else wanted))


def _listing(folder: Path, classes: Sequence[str], faulty: Faulty) -> Listing:
    found = {name: _images_below(folder, name) for name in classes}
    empty = [name for name, paths in found.items() if not paths]
    endings = ", ".join(EXTENSIONS)
    report([f"{folder / name} has no image; expected files that end in {endings}" for name in empty], faulty)
    kept = [name for name in classes if found[name]]
    if not kept:
        raise InputError(f"{folder}: no folder of a class has an image; expected files that end in {endings}")
    images = tuple((path, label) for label, name in enumerate(kept) for path in found[name])
    return Listing(folder, tuple(kept), images)


def _images_below(folder: Path, name: str) -> list[str]:
    """Return the images of a class, also in folders below its own."""
    paths = []
    for parent, folders, files in os.walk(folder / name, onerror=_refuse):
        folders.sort()
        relative = Path(parent).relative_to(folder)
        paths += [(relative / file).as_posix() for file in sorted(files) if file.lower().endswith(EXTENSIONS)]
    return paths


def _refuse(error: OSError) -> None:
    raise InputError(f"cannot read the folder {repr_of(str(error.filename))}: {error.strerror}") from None


def _divided(listing: Listing, split: str) -> Listing:
    images = tuple(image for image in listing.images if _tenth(image[0]) == split)
    if not images:
        raise InputError(
            f"{listing.folder}: none of {len(listing.images)} images is in the split {split!r} of train, val and test"
        )
    return Listing(listing.folder, listing.classes, images)


def _tenth(path: str) -> str:
    return {0: "test", 1: "val"}.get(zlib.crc32(path.encode("utf-8", "surrogateescape")) % 10, "train")
