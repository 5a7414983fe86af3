"""LVIS (Gupta et al. 2019): masks of some 1,200 classes on COCO's images, of which each image covers some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from scenekit.errors import InputError
from scenekit.io.files import path_named

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample


def build_lvis(
    root: str | None = None,
    split: str = "train",
    annotations: str | None = None,
    images: str | None = None,
    keys: Sequence[str] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "refuse",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open LVIS's files.

    Either `root` or `annotations` is required. In all paths `{split}` stands for the split.

    Args:
        root: Folder with lvis_v1_train.json, lvis_v1_val.json and COCO's train2017/ and val2017/; the JSON files may
            also be in annotations/.
        split: Name of the split.
        annotations: The JSON file, if it is elsewhere.
        images: Folder with COCO's train2017/ and val2017/; the root or the folder of the JSON file, if None.
        keys: Names of the labels to load; all that the file has, if None.
        drop_empty: Whether to skip images without annotations.
        faulty: "refuse" faulty entries, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, or to "ignore" them.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit_datasets.coco import build

    if (root is None) == (annotations is None):
        raise InputError("data set 'lvis' needs either root=FOLDER or annotations=FILE.json")
    return build(
        split,
        annotations=annotations if root is None else _annotations(root),
        images=images or root,
        keys=keys,
        drop_empty=drop_empty,
        faulty=faulty,
        exif=exif,
    )


def _annotations(root: str) -> str:
    """Return the path of the JSON files below a root."""
    folder = path_named(root)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected one with lvis_v1_train.json and COCO's train2017/")
    below = folder / "annotations"
    return str((below if any(below.glob("lvis_v1_*.json")) else folder) / "lvis_v1_{split}.json")
