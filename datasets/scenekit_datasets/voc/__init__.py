"""Pascal VOC (Everingham et al. 2010): boxes in XML files, classes and objects of pixels in PNG files.

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
    years: Sequence[int] | None = None,
    image_set: str = "Main",
    classes: Sequence[str] | None = None,
    first_pixel: Literal[0, 1] = 1,
    keys: Sequence[str] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "skip",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open the official folders, or data in their layout.

    Args:
        root: VOCdevkit, with VOC2007 and VOC2012, or one such folder with Annotations, ImageSets and JPEGImages.
        split: Name of the split, which a file in ImageSets has.
        years: Years to join, such as [2007, 2012]; all that are below the root and have the split, if None.
        image_set: Folder of ImageSets whose lists define the splits: "Main" (with boxes) or "Segmentation".
        classes: Names of the classes, in the order of the values of label maps; VOC's twenty, if None.
        first_pixel: Coordinate of the first pixel in boxes: 1 in VOC, 0 in files of some programs.
        keys: Names of the labels to load beside objects: semantic, masks, attributes; all that exist, if None.
        drop_empty: Whether to skip images without an object.
        faulty: "skip" faulty objects and missing files with a warning, or "refuse" them.
        exif: Whether to "apply" EXIF orientations, or to "ignore" them, for labels of the images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If folders or lists are missing, or entries faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.voc.annotation import Rules
    from scenekit_datasets.voc.dataset import KEYS, VOC
    from scenekit_datasets.voc.layout import CLASSES, find_images, folders_of

    names = tuple(roots.class_names(CLASSES if classes is None else classes))
    images = find_images(folders_of(path_named(root), years, split, image_set), split, image_set, faulty)
    return VOC(
        images,
        Rules(names, first_pixel),
        keys=roots.keys_named(keys, KEYS, "VOC has"),
        drop_empty=drop_empty,
        faulty=faulty,
        exif=exif,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `voc`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "voc",
        summary="Pascal VOC's folders: boxes of twenty classes, label maps and masks",
        build=build,
        splits=("train", "val", "trainval", "test"),
        url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        license="no license is stated; images of Flickr under its terms of use",
    )
