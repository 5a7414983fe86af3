"""Pix3D (Sun et al. 2018), and other data in its layout: images of single objects with masks, shapes and poses.

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
    splits: str | None = None,
    categories: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
    keys: Sequence[str] | None = None,
    voxels: int = 24,
    metric: bool = False,
    annotations: str = "pix3d.json",
    faulty: Literal["refuse", "skip"] = "refuse",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open Pix3D's official folder. Lengths are in the models' units, which are arbitrary instead of metres.

    Args:
        root: Folder of pix3d.json, img/, mask/ and model/.
        split: Name of the split; without `splits`, train and all are everything, and there is neither val nor test.
        splits: File that lists images by their names in pix3d.json (img/bed/0001.png): JSON with lists by split; a list
            (JSON, or text with one per line) or a file of Mesh R-CNN's S1 and S2 (pix3d_s1_{split}.json), whose path
            has `{split}`; or "hash", a division 80 : 10 : 10 by a checksum of the model, so that val and test have
            shapes of their own.
        categories: Categories to learn; those that occur, if None.
        leave_out: Flags of images to skip: truncated, occluded, slightly_occluded.
        keys: Names of the labels to load beside objects: masks, boxes3d, meshes, voxels; all, if None.
        voxels: Cells along each side of occupancy grids, from voxel.mat where it exists, else from the model.
        metric: Whether lengths count as metres, so that 3D boxes are learned and measured; else they only say where
            the shapes lie, since the models have no unit.
        annotations: Name of the JSON file.
        faulty: "refuse" faulty entries, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit_datasets import roots
    from scenekit_datasets.pix3d.dataset import KEYS, Pix3D
    from scenekit_datasets.pix3d.index import read_index
    from scenekit_datasets.pix3d.splits import in_split

    wanted = roots.keys_named(keys, KEYS, "Pix3D has")
    index = read_index(path_named(root), annotations, faulty)
    chosen = in_split(index, split, splits, faulty)
    return Pix3D(
        chosen,
        categories=categories,
        leave_out=leave_out,
        keys=wanted,
        side=voxels,
        metric=metric,
        faulty=faulty,
        exif=exif,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `pix3d`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "pix3d",
        summary="Pix3D's folder: images of furniture with masks, models and their poses",
        build=build,
        splits=("train", "val", "test", "all"),
        url="http://pix3d.csail.mit.edu",
        license="annotations CC BY 4.0; images and models of other sites, whose rights are not stated",
    )
