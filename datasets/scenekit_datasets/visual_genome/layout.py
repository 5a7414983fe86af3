"""Files and images of Visual Genome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scenekit.errors import InputError
from scenekit_datasets.roots import names_in

LISTS = ("objects", "relationships", "attributes", "region_descriptions")
"""Files with an entry per image; only the first is required, and it not for described regions alone."""

ALIASES = ("object_alias", "relationship_alias")
"""Files with synonyms."""

FOLDERS = ("", "VG_100K", "VG_100K_2", "images", "images/VG_100K", "images/VG_100K_2", "images2/VG_100K_2")
"""Folders of images that are not where their address says."""


def find_files(root: Path, lists: Sequence[str] = LISTS, required: bool = True) -> dict[str, Path]:
    """Find the files below the root: NAME.json, else the last of NAME_v*.json.

    Args:
        root: The root.
        lists: The lists to find.
        required: Whether one of the lists must exist.

    Returns:
        Files by what they hold.

    Raises:
        InputError: If image_data or all of the required lists are missing.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a Visual Genome root: expected a folder with image_data.json and others")
    named = [(name, _newest(root, name, ".json")) for name in ("image_data", *lists)]
    named += [(name, _newest(root, name, ".txt")) for name in ALIASES]
    files = {name: path for name, path in named if path is not None}
    if "image_data" not in files:
        raise InputError(f"{root} has no image_data.json, which lists the images and their sizes")
    if required and not set(lists) & set(files):
        raise InputError(f"{root} has none of {', '.join(f'{name}.json' for name in lists)}")
    return files


def _newest(root: Path, name: str, suffix: str) -> Path | None:
    plain = root / f"{name}{suffix}"
    return plain if plain.is_file() else max(root.glob(f"{name}_v*{suffix}"), default=None)


def located(names: Sequence[str], root: Path) -> list[Path | None]:
    """Find the file of each image, where its address says or in one of `FOLDERS`.

    Args:
        names: Ends of the addresses, such as `VG_100K_2/1.jpg`.
        root: Folder of the images.

    Returns:
        The files, None for missing ones.

    Raises:
        InputError: If the folder does not exist.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; name the folder of images with images=")
    there = {folder: names_in(root / folder) for folder in FOLDERS}
    return [_place(name, root, there) for name in names]


def _place(name: str, root: Path, there: Mapping[str, frozenset[str]]) -> Path | None:
    parent, _, bare = name.rpartition("/")
    folders = (parent, *FOLDERS) if parent in there else FOLDERS
    return next((root / folder / bare for folder in folders if bare in there[folder]), None)
