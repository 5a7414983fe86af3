"""Open Images (Kuznetsova et al. 2020): boxes, masks, relations and attributes in the official CSV files.

Everything is imported at first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl
from scenekit.io.files import path_named

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample


def build(
    root: str,
    split: str = "train",
    images: str | None = None,
    masks: str | None = None,
    keys: Sequence[str] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "skip",
    exif: Literal["apply", "ignore"] = "ignore",
    cache: str | bool | None = None,
) -> Dataset[Sample]:
    """Open the official files of versions 4 to 7.

    The data set has the images that are there; the files list many more.

    Args:
        root: Folder of class-descriptions-boxable.csv, *-annotations-bbox.csv and the other files that there are.
        split: Name of the split; that of val is "validation" in names of files.
        images: Folder of the images, or of train/, validation/, test/ with them; the root, if None.
        masks: Folder of the masks, or of folders with them; the root, if None.
        keys: Names of the labels to load beside objects: masks, attributes, relations; all that exist, if None.
        drop_empty: Whether to skip images without boxes.
        faulty: "skip" faulty rows and missing files with a warning, or "refuse" them.
        exif: Whether to "ignore" EXIF orientations, since the official labels are of the images as they are stored, or
            to "apply" them.
        cache: Folder for the indices; False for none; None for the user's cache folder.

    Returns:
        The data set.

    Raises:
        InputError: If files or columns are missing, or rows faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.open_images.dataset import KEYS, OpenImages
    from scenekit_datasets.open_images.layout import find_files, locate_images, mask_folders, open_tables
    from scenekit_datasets.open_images.names import read_names

    wanted = roots.keys_named(keys, KEYS, "Open Images has")
    files = find_files(path_named(root), split)
    store = roots.cache_folder(cache, "open_images", "the index of Open Images", "it is built again each time")
    tables = open_tables(files, wanted, store)
    return OpenImages(
        tables,
        read_names(files, tables),
        locate_images(tables, path_named(images or root), files, faulty=faulty, drop_empty=drop_empty),
        mask_folders(path_named(masks or root), files.split),
        keys=wanted,
        faulty=faulty,
        exif=exif,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `open_images`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "open_images",
        summary="Open Images' files: boxes of 600 classes, masks, relations, attributes; which classes were verified",
        build=build,
        url="https://storage.googleapis.com/openimages/web/download_v7.html",
        license="annotations CC BY 4.0; images listed as CC BY 2.0",
    )
