"""ADE20K (Zhou et al. 2017): scenes with every pixel labelled, as its challenges or its full release have them.

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
    split: Literal["train", "val", "test"] = "train",
    keys: Sequence[str] | None = None,
    faulty: Literal["refuse", "skip"] = "refuse",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open the folders of the scene parsing and instance challenges, or of the full release.

    It supervises the 150 classes of the benchmark: semantic maps, and, with instances, objects, masks and panoptic maps
    of the 100 classes of the instance challenge.

    Args:
        root: ADEChallengeData2016, with images/, annotations/ and optionally annotations_instance/; or
            ADE20K_2021_17_01, with images/ADE/.
        split: Name of the split; the images of test have no labels.
        keys: Names of the labels to load beside objects: masks, semantic, panoptic; all that exist, if None.
        faulty: "refuse" images without labels and damaged files, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or damaged and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.ade20k.classes import classes
    from scenekit_datasets.ade20k.dataset import ADE20K, KEYS
    from scenekit_datasets.ade20k.layout import find_images

    wanted = roots.keys_named(keys, KEYS, "ADE20K has")
    images = find_images(path_named(root), split, faulty)
    return ADE20K(images, classes(), keys=wanted, faulty=faulty, exif=exif)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `ade20k`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "ade20k",
        summary="ADE20K's challenges and full release: semantic maps of 150 classes, instances of 100",
        build=build,
        url="http://sceneparsing.csail.mit.edu",
        license="annotations BSD-3-Clause; images for non-commercial research and education only",
    )
