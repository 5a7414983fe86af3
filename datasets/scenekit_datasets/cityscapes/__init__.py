"""Cityscapes (Cordts et al. 2016) and Cityscapes 3D (Gählert et al. 2020): streets, with every pixel labelled.

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
    annotations: Literal["fine", "coarse"] = "fine",
    keys: Sequence[str] | None = None,
    faulty: Literal["refuse", "skip"] = "refuse",
) -> Dataset[Sample]:
    """Open folders in Cityscapes' official layout.

    It supervises objects, masks, semantic and panoptic segmentation of the benchmark's 19 classes, and 3D boxes of
    vehicles. Groups such as cargroup are crowds; void, the ego vehicle and classes that are not evaluated are ignored.

    Args:
        root: Folder of leftImg8bit/ and of gtFine/, gtCoarse/, gtBbox3d/ or camera/, those that exist.
        split: Name of the split; the images of test have no labels. "train_extra" has coarse annotations only.
        annotations: "fine" ones, or "coarse" ones, which label a part of the objects and pixels.
        keys: Names of the labels to load beside objects: masks, semantic, panoptic, boxes3d, truncation, visibility;
            all that exist, if None.
        faulty: "refuse" faulty entries and damaged files, or "skip" them with a warning.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.cityscapes.dataset import KEYS, Cityscapes
    from scenekit_datasets.cityscapes.layout import find_images

    wanted = roots.keys_named(keys, KEYS, "Cityscapes has")
    images = find_images(path_named(root), split, annotations, faulty)
    return Cityscapes(images, keys=wanted, exhaustive=annotations == "fine", faulty=faulty)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `cityscapes`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "cityscapes",
        summary="Cityscapes' folders: instances, semantic and panoptic maps, 3D boxes of vehicles",
        build=build,
        splits=("train", "val", "test", "train_extra"),
        url="https://www.cityscapes-dataset.com/downloads/",
        license="Cityscapes' terms: free for non-commercial purposes, after registration; no redistribution",
    )
