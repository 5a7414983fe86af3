"""Annotation files of the data set, and the class names of their categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenekit.errors import InputError, nearest
from scenekit.io.files import path_named
from scenekit_datasets.omni3d.index import IGNORED_NAMES, Index
from scenekit_datasets.roots import class_names, with_split

FOLDER = "Omni3D"
"""Folder of the annotation files in the official layout."""


@dataclass(frozen=True)
class ClassNames:
    """Categories to learn."""

    things: tuple[str, ...]
    """Names in the vocabulary."""
    labels: Mapping[str, int]
    """Label by name of a category."""


def find_files(root: str | None, annotations: str | Sequence[str] | None, split: str) -> tuple[Path, list[Path]]:
    """Find the folder of the images and the annotation files.

    Args:
        root: Folder that paths of images are relative to.
        annotations: Files; `{split}` stands for the split.
        split: Name of the split.

    Returns:
        (folder of images, annotation files).

    Raises:
        InputError: If no file is named or found.
    """
    if annotations is None:
        if root is None:
            raise InputError("data set 'omni3d' needs annotations=FILE.json, or root=FOLDER with Omni3D/*.json")
        folder = path_named(root)
        files = sorted((folder / FOLDER).glob(f"*_{split}.json"))
        if not files:
            raise InputError(f"{folder / FOLDER} has no file *_{split}.json; name the files with annotations=")
        return folder, files
    names = [annotations] if isinstance(annotations, str | Path) else list(annotations)
    if not names:
        raise InputError("annotations must name a JSON file, or several")
    files = [with_split(name, split) for name in names]
    return (files[0].parent if root is None else path_named(root)), files


def class_names_of(indices: Sequence[Index], categories: Sequence[str] | Mapping[str, str] | None) -> ClassNames:
    """Create the categories to learn.

    Args:
        indices: Indices of the files.
        categories: Categories, or for each its name in the vocabulary; all that the files list, if None.

    Returns:
        The categories.

    Raises:
        InputError: If a category is not listed by any file.
    """
    listed = [name for index in indices for name in index.categories.values() if name not in IGNORED_NAMES]
    named = class_names(list(dict.fromkeys(listed)) if categories is None else categories)
    for name in named:
        if name not in listed:
            raise InputError(f"categories names {name!r}{nearest(name, sorted(set(listed)))}")
    things = tuple(dict.fromkeys(named.values()))
    return ClassNames(things, {name: things.index(thing) for name, thing in named.items()})
