"""Cityscapes' official folders: images and the files that belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scenekit.errors import InputError, listed
from scenekit_datasets.roots import SHOWN, Faulty, names_in, report

Annotations = Literal["fine", "coarse"]
"""The fine annotations of 5,000 images, or the coarse ones of 23,473."""

FOLDERS = {"fine": "gtFine", "coarse": "gtCoarse"}
"""Folders of the annotations, whose name is also in that of each file."""

IMAGES, BOXES, CAMERAS = "leftImg8bit", "gtBbox3d", "camera"
"""Folders, whose names are also in those of their files."""


@dataclass(frozen=True)
class Image:
    """Files of one image; None for what it lacks."""

    name: str
    """City, sequence and frame: aachen_000000_000019."""
    image: Path
    """The image."""
    instances: Path | None
    """Its map of instances."""
    classes: Path | None
    """Its map of classes, for an image without a map of instances."""
    boxes: Path | None
    """Its 3D boxes and camera."""
    camera: Path | None
    """Its camera."""


def find_images(root: Path, split: str, annotations: Annotations, faulty: Faulty) -> list[Image]:
    """Find the images of a split; those of the split test have no labels that can be used.

    Args:
        root: Folder of leftImg8bit/ and the annotations.
        split: Name of the split, a folder of leftImg8bit/.
        annotations: Which annotations to read.
        faulty: Whether to refuse images without labels or to skip them.

    Returns:
        Files of the images, sorted by name.

    Raises:
        InputError: If folders are missing, or no image is left.
    """
    folder = root / IMAGES / split
    cities = sorted(names_in(folder))
    if not cities:
        known = sorted(names_in(root / IMAGES))
        there = f"it has {listed(known, SHOWN)}" if known else "name the folder that has it with root="
        raise InputError(f"{root / IMAGES} has no images of the split {split!r}; {there}")
    images = [image for city in cities for image in _of_city(root, split, city, FOLDERS[annotations])]
    if not images:
        raise InputError(f"{folder} has no file *_{IMAGES}.png in a folder of a city; unpack the archives there")
    if split == "test":
        return images
    bare = [f"image {image.name} has no file of {FOLDERS[annotations]}/{split} or {BOXES}/{split}" for image in images]
    unlabelled = [issue for issue, image in zip(bare, images, strict=True) if not _has_labels(image)]
    if len(unlabelled) == len(images):
        raise InputError(f"{root} has neither {FOLDERS[annotations]}/{split} nor {BOXES}/{split}; unpack one of them")
    report(unlabelled, faulty)
    return [image for image in images if _has_labels(image)]


def _has_labels(image: Image) -> bool:
    return any((image.instances, image.classes, image.boxes))


def _of_city(root: Path, split: str, city: str, annotations: str) -> list[Image]:
    there = {kind: names_in(root / kind / split / city) for kind in (IMAGES, annotations, BOXES, CAMERAS)}
    ending = f"_{IMAGES}.png"
    names = sorted(name.removesuffix(ending) for name in there[IMAGES] if name.endswith(ending))

    def file(kind: str, name: str) -> Path | None:
        labelled = split != "test" or kind == CAMERAS
        return root / kind / split / city / name if labelled and name in there[kind] else None

    return [
        Image(
            name,
            root / IMAGES / split / city / f"{name}{ending}",
            instances := file(annotations, f"{name}_{annotations}_instanceIds.png"),
            None if instances else file(annotations, f"{name}_{annotations}_labelIds.png"),
            file(BOXES, f"{name}_{BOXES}.json"),
            file(CAMERAS, f"{name}_{CAMERAS}.json"),
        )
        for name in names
    ]
