"""COCO's annotation files, and JSON in their style with labels of every kind: the way to train on your own data.

Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scenekit.errors import InputError
from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample

_HOMES = {"CocoDataset": "dataset", "write_coco": "export"}

__all__ = ["CocoDataset", "write_coco"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def build(
    split: str = "train",
    annotations: str | Sequence[str] | None = None,
    images: str | None = None,
    root: str | None = None,
    parts: Sequence[str] = ("instances",),
    year: int = 2017,
    maps: str | None = None,
    semantic: str | None = None,
    semantic_offset: int = 0,
    keys: Sequence[str] | None = None,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "refuse",
) -> Dataset[Sample]:
    """The data set, of files that are named or of COCO's own layout.

    annotations: a JSON file, or several that are joined by their ids. images: the folder of the images (that of the
    first file, if None). In these and the other folders `{split}` stands for the split.
    root: instead of both, the folder that holds train2017/ and annotations/; then `parts` names annotation files
    (instances, person_keypoints, panoptic, stuff, image_info) and `year` is that of the files.
    maps: the folder of panoptic PNG files (that with the name of the JSON file, if None). semantic: a folder of label
    maps, PNG files by the names of the images, whose values + `semantic_offset` are ids of categories (1 for COCO's
    stuffthingmaps). keys: names of the labels to carry (all that are there, if None). drop_empty: leave out images
    without annotations. faulty: "refuse" entries that can't be right, or "skip" them with a warning.
    """
    from scenekit_datasets.coco import layout
    from scenekit_datasets.coco.dataset import CocoDataset, SemanticMaps
    from scenekit_datasets.coco.index import read_index, settled
    from scenekit_datasets.coco.records import Source
    from scenekit_datasets.roots import checked_faulty

    checked_faulty(faulty)
    if (root is None) == (annotations is None):
        raise InputError("data set 'coco' needs either annotations=FILE.json (and images=FOLDER) or root=FOLDER")
    if root is not None:
        folder, files = layout.official(layout.filled(root, split), split, year, parts)
    else:
        assert annotations is not None
        folder, files = layout.named(annotations, images, split)
    official = root is not None
    indices = [read_index(file, faulty=faulty, stuff=official and file.name.startswith("stuff_")) for file in files]
    return CocoDataset(
        [Source(index, layout.maps_of(index.path, maps, split)) for index in settled(indices)],
        folder,
        keys=keys,
        semantic=None if semantic is None else SemanticMaps(layout.filled(semantic, split), semantic_offset),
        drop_empty=drop_empty,
        faulty=faulty,
    )


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `coco`."""
    yield DatasetSpec("coco", summary="COCO's files, and JSON in their style with labels of every kind", build=build)
