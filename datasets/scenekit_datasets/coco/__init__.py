"""COCO's and LVIS's annotation files, and JSON in their style with labels of every kind: train on your own data.

Everything is imported at first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scenekit.errors import InputError
from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl
from scenekit_datasets.coco.lvis import build_lvis

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample
    from scenekit.evaluation.results import ResultsWriter

_HOMES = {"CocoDataset": "dataset", "CocoResults": "results", "write_coco": "export"}

__all__ = ["CocoDataset", "CocoResults", "write_coco"]


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
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open COCO's files, or JSON in their style.

    Either `annotations` or `root` is required. In all paths `{split}` stands for the split.

    Args:
        split: Name of the split.
        annotations: A JSON file, or several that are joined by the ids of images and annotations.
        images: Folder of the images; if None, that of the first file, or images/ beside its folder annotations/.
        root: Folder with train2017/ and annotations/.
        parts: Annotation files below `root`: instances, person_keypoints, panoptic, stuff, image_info.
        year: Year of the files below `root`.
        maps: Folder of panoptic PNG files; the one named like the JSON file, if None.
        semantic: Folder of label maps, PNG files named like the images.
        semantic_offset: Category ids minus values of the label maps (1 for COCO's stuffthingmaps).
        keys: Names of the labels to load; all that the files have, if None.
        drop_empty: Whether to skip images without annotations.
        faulty: "refuse" faulty entries, or "skip" them with a warning.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit.io.coco_records import CocoReader
    from scenekit_datasets.coco import layout
    from scenekit_datasets.coco.dataset import CocoDataset, SemanticMaps
    from scenekit_datasets.coco.index import read_index, with_stuff
    from scenekit_datasets.coco.records import Source
    from scenekit_datasets.roots import with_split

    if (root is None) == (annotations is None):
        raise InputError("data set 'coco' needs either annotations=FILE.json (and images=FOLDER) or root=FOLDER")
    if root is not None:
        folder, files = layout.official(with_split(root, split), split, year, parts)
    else:
        assert annotations is not None
        folder, files = layout.named(annotations, images, split)
    official = root is not None
    stuff = [official and file.name.startswith("stuff_") for file in files]
    reader = CocoReader()
    indices = [
        read_index(file, faulty=faulty, stuff=is_stuff, reader=reader, folder=folder, upright=exif == "apply")
        for file, is_stuff in zip(files, stuff, strict=True)
    ]
    return CocoDataset(
        [Source(index, layout.maps_of(index.path, maps, split)) for index in with_stuff(indices)],
        folder,
        keys=keys,
        semantic=None if semantic is None else SemanticMaps(with_split(semantic, split), semantic_offset),
        drop_empty=drop_empty,
        faulty=faulty,
        exif=exif,
    )


def results(folder: Path, data: Any = None) -> ResultsWriter:
    """Make a writer of predictions.

    Args:
        folder: Where to write.
        data: The data set that they are of, or None.

    Returns:
        The writer.
    """
    from scenekit_datasets.coco.results import CocoResults

    return CocoResults(folder, data)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data sets `coco` and `lvis`.

    Returns:
        Their records.
    """
    yield DatasetSpec(
        "coco",
        summary="COCO's files, and JSON in their style with labels of every kind",
        build=build,
        results=results,
        url="https://cocodataset.org/#download",
        license="COCO's annotations CC BY 4.0; images under the license of each, which the files name",
    )
    yield DatasetSpec(
        "lvis",
        summary="LVIS's files: masks of some 1,200 classes on COCO's images, each of which covers some of them",
        build=build_lvis,
        splits=("train", "val"),
        results=results,
        url="https://www.lvisdataset.org/dataset",
        license="annotations CC BY 4.0; images of COCO, each under its own license",
    )
