"""Images in a folder per class, as torchvision's ImageFolder reads them.

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
    splits: Literal["folders", "hash"] | None = None,
    classes: Sequence[str] | None = None,
    faulty: Literal["refuse", "skip"] = "refuse",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open a folder with one sub-folder of images per class; images may lie in folders below it.

    Args:
        root: The folder, or one with such a folder per split: train/CLASS/image.jpg, val/CLASS/image.jpg.
        split: Name of the split; "all" is every image of a root without splits.
        splits: "folders" for a folder per split; "hash" for a division of a single root 80 : 10 : 10 by a checksum of
            the image's path; if None, "folders" where the root has a folder train, val or test, else no division: then
            train and all are everything, and there is neither val nor test.
        classes: Names of the folders, in the order of their labels; all that there are, sorted, if None.
        faulty: "refuse" class folders without an image and damaged images, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them.

    Returns:
        The data set.

    Raises:
        InputError: If folders are missing or empty.
    """
    from scenekit_datasets.image_folder.dataset import ImageFolder
    from scenekit_datasets.image_folder.listing import list_images

    listing = list_images(path_named(root), split, splits, classes, faulty)
    return ImageFolder(listing, faulty=faulty, exif=exif)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `image_folder`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "image_folder",
        summary="a folder of images per class, as torchvision's ImageFolder",
        build=build,
        splits=("train", "val", "test", "all"),
    )
