"""Pix3D (Sun et al. 2018), and other data in its layout: images of single objects with masks, shapes and poses.

Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

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
    annotations: str = "pix3d.json",
    faulty: Literal["refuse", "skip"] = "refuse",
) -> Dataset[Sample]:
    """The data set, of the official folder. Lengths are in units of the models, which are arbitrary: no metres.

    root: the folder of pix3d.json, img/, mask/ and model/.
    splits: a file that says which images are train, val and test, by their names in pix3d.json (img/bed/0001.png):
    JSON with lists of names by split; a list of names (JSON, or text with one a line) or a file of Mesh R-CNN's S1 and
    S2 (pix3d_s1_{split}.json), whose name has `{split}`; or "hash", our own 80 : 10 : 10 by model, so that val and
    test have shapes of their own. Without one, train and all are everything, and there is no val and no test.
    categories: those to learn (those that occur, if None). leave_out: images flagged as any of truncated, occluded,
    slightly_occluded. keys: names of the labels to carry beside objects: masks, boxes3d, meshes, voxels (all, if None).
    voxels: cells along each side of occupancy grids, made of voxel.mat where there is one, else of the model.
    annotations: the name of the JSON file. faulty: "refuse" what can't be right, or "skip" it with a warning.
    """
    from pathlib import Path

    from scenekit_datasets import roots
    from scenekit_datasets.pix3d.dataset import KEYS, Pix3D
    from scenekit_datasets.pix3d.index import read_index
    from scenekit_datasets.pix3d.splits import in_split

    roots.check_faulty(faulty)
    wanted = roots.keys_named(keys, KEYS, "Pix3D has")
    index = read_index(Path(root).expanduser(), annotations, faulty)
    chosen = in_split(index, split, splits, faulty)
    return Pix3D(chosen, categories=categories, leave_out=leave_out, keys=wanted, side=voxels, faulty=faulty)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `pix3d`."""
    yield DatasetSpec(
        "pix3d",
        summary="Pix3D's folder: images of furniture with masks, models and their poses",
        build=build,
        splits=("train", "val", "test", "all"),
    )
