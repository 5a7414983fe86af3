"""Folders of ADE20K's releases: images and the files that belong to each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scenekit.errors import InputError
from scenekit_datasets.roots import Faulty, names_in, report

SPLITS = {"train": "training", "val": "validation", "test": "testing"}
"""Folders of the splits."""

MAPS, INSTANCES = "annotations", "annotations_instance"
"""Folders of the challenges' annotations."""

FULL = Path("images", "ADE")
"""Folder of the images and annotations of the full release."""


@dataclass(frozen=True)
class Image:
    """Files of one image; None for what it lacks."""

    image: Path
    """The image."""
    maps: Path | None = None
    """Its map of the scene parsing challenge."""
    instances: Path | None = None
    """Its map of the instance challenge."""
    full: Path | None = None
    """Its map of the full release."""

    @property
    def id(self) -> int:
        """The number in its name: 17 for ADE_val_00000017.jpg; 0 without one."""
        digits = self.image.stem.rpartition("_")[2]
        return int(digits) if digits.isdecimal() else 0


def find_images(root: Path, split: str, faulty: Faulty) -> list[Image]:
    """Find the images of a split.

    Args:
        root: Folder of images/ and annotations/ or annotations_instance/; or that of the full release.
        split: Name of the split.
        faulty: Whether to refuse images without labels or to skip them.

    Returns:
        Files of the images, sorted by name.

    Raises:
        InputError: If folders are missing, or no image is left.
    """
    folder, full = root / "images" / SPLITS[split], root / FULL / SPLITS[split]
    images = list(_of_full_release(full) if (root / FULL).is_dir() else _of_challenges(root, split))
    if not images:
        raise InputError(f"neither {folder} nor {full} has an image of ADE20K; name the folder above with root=")
    bare = [image for image in images if not any((image.maps, image.instances, image.full))]
    if split == "test":
        return images
    where = f"{root / MAPS / SPLITS[split]}, {INSTANCES} or *_seg.png beside the images"
    if len(bare) == len(images):
        raise InputError(f"no image of {images[0].image.parent} has labels; expected {where}")
    report([f"{image.image} has no label map; expected it in {where}" for image in bare], faulty)
    return [image for image in images if image not in set(bare)]


def _of_challenges(root: Path, split: str) -> Iterator[Image]:
    part = SPLITS[split]
    maps, instances = (names_in(root / kind / part) if split != "test" else frozenset() for kind in (MAPS, INSTANCES))
    for name in sorted(names_in(root / "images" / part)):
        stem, ending = os.path.splitext(name)
        if ending == ".jpg":
            png = f"{stem}.png"
            yield Image(
                root / "images" / part / name,
                root / MAPS / part / png if png in maps else None,
                root / INSTANCES / part / png if png in instances else None,
            )


def _of_full_release(folder: Path) -> Iterator[Image]:
    """Yield the images in the folders of scenes, sorted by name."""
    found: dict[str, tuple[str, bool]] = {}
    for parent, _, names in os.walk(folder):
        there = frozenset(names)
        found.update({n: (parent, f"{n[:-4]}_seg.png" in there) for n in names if n.endswith(".jpg")})
    for name in sorted(found):
        parent, labelled = found[name]
        path = Path(parent, name)
        yield Image(path, full=path.with_name(f"{path.stem}_seg.png") if labelled else None)
