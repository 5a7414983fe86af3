"""KITTI's official folders: images and the files that belong to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scenekit.errors import InputError
from scenekit.io.files import read_text
from scenekit_datasets.roots import Faulty, names_in, report, with_split

IMAGES, LABELS, CALIBRATIONS, SCANS = "image_2", "label_2", "calib", "velodyne"
"""Folders; the 2 is the left color camera."""

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Image:
    """Files of one image."""

    name: str
    """Their common name."""
    image: Path
    """The image."""
    calibration: Path
    """Its calibration."""
    labels: Path | None
    """Its labels, None where it has none."""
    scan: Path | None
    """Its laser scan, None where it has none."""

    @property
    def id(self) -> int | None:
        """The number that is its name, None where the name is not a number."""
        return int(self.name) if self.name.isdecimal() else None


def find_images(root: Path, split: str, splits: str | None, faulty: Faulty) -> list[Image]:
    """Find the images of a split.

    Args:
        root: The root.
        split: Name of the split.
        splits: Files with names of images, see `build`.
        faulty: Whether to refuse images with missing files or to skip them.

    Returns:
        Files of the images.

    Raises:
        InputError: If files are missing and refused, or no image is left.
    """
    folder = part_of(root, "testing" if split == "test" else "training")
    there = {kind: names_in(folder / kind) for kind in (IMAGES, LABELS, CALIBRATIONS, SCANS)}
    images = {Path(name).stem: name for name in sorted(there[IMAGES]) if Path(name).suffix.lower() in SUFFIXES}
    if not images:
        raise InputError(f"{folder / IMAGES} has no images; expected files such as 000000.png")
    if split != "test" and not there[LABELS]:
        raise InputError(f"{folder} has no {LABELS}, the folder of the labels of training images")
    names, source = names_of(root, split, splits, images)
    labelled = bool(there[LABELS])
    issues = {name: issue for name in names if (issue := _missing(name, folder, images, there, labelled))}
    report([f"{source}: {issue}" for issue in issues.values()], faulty)
    kept = [name for name in names if name not in issues]
    if not kept:
        raise InputError(f"no image of the split {split!r} is left of {len(names)} that {source} names")
    return [_image(name, folder, images[name], there, labelled) for name in kept]


def part_of(root: Path, part: str) -> Path:
    """Return the folder of training or test data.

    Args:
        root: The root.
        part: "training" or "testing".

    Returns:
        That folder below the root, or the root itself where it has the images.

    Raises:
        InputError: If neither has images.
    """
    for folder in (root / part, root):
        if (folder / IMAGES).is_dir():
            return folder
    raise InputError(f"expected a folder with {part}/{IMAGES} or {IMAGES}, but {root} has neither; name it with root=")


def names_of(root: Path, split: str, splits: str | None, images: Mapping[str, str]) -> tuple[list[str], Path]:
    """Return the names of the images of a split.

    Args:
        root: The root.
        split: Name of the split.
        splits: Files with names of images, see `build`.
        images: File names by name of the image.

    Returns:
        (names, file or folder that lists them).

    Raises:
        InputError: If the split cannot be determined.
    """
    if splits is not None:
        return _listed(with_split(splits, split))
    official = root / "ImageSets" / f"{split}.txt"
    if official.is_file():
        return _listed(official)
    if split == "val":
        raise InputError(
            f"KITTI has no val of its own, and there is no {official}; name the file with its images, one per line,"
            " with splits="
        )
    return list(images), root


def _listed(path: Path) -> tuple[list[str], Path]:
    names = read_text(path).split()
    if not names:
        raise InputError(f"{path} names no image; expected one per line, such as 000000")
    return list(dict.fromkeys(names)), path


def _missing(
    name: str, folder: Path, images: Mapping[str, str], there: Mapping[str, frozenset[str]], labelled: bool
) -> str | None:
    """Return the message for an image with a missing file."""
    for kind, file, exists in _needed(name, images, there, labelled):
        if not exists:
            return f"image {name} has no {folder / kind / file}"
    return None


def _needed(
    name: str, images: Mapping[str, str], there: Mapping[str, frozenset[str]], labelled: bool
) -> Iterator[tuple[str, str, bool]]:
    """Yield (folder, file, whether it exists) of the files that an image requires."""
    yield IMAGES, images.get(name, f"{name}.png"), name in images
    kinds = (CALIBRATIONS, LABELS) if labelled else (CALIBRATIONS,)
    yield from ((kind, f"{name}.txt", f"{name}.txt" in there[kind]) for kind in kinds)


def _image(name: str, folder: Path, image: str, there: Mapping[str, frozenset[str]], labelled: bool) -> Image:
    text, scan = f"{name}.txt", f"{name}.bin"
    return Image(
        name,
        folder / IMAGES / image,
        folder / CALIBRATIONS / text,
        folder / LABELS / text if labelled else None,
        folder / SCANS / scan if scan in there[SCANS] else None,
    )
