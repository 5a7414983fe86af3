"""Omni3D (Brazil et al. 2023) and JSON in its style: 3D boxes of KITTI, nuScenes, SUN RGB-D and others in one format.

Everything is imported at first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample
    from scenekit.evaluation.results import ResultsWriter

_HOMES = {"Omni3D": "dataset", "Omni3DResults": "results", "write_omni3d": "export"}

__all__ = ["Omni3D", "Omni3DResults", "write_omni3d"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def build(
    split: str = "train",
    root: str | None = None,
    annotations: str | Sequence[str] | None = None,
    categories: Sequence[str] | Mapping[str, str] | None = None,
    boxes: Literal["tight", "trunc", "proj"] = "trunc",
    keys: Sequence[str] | None = None,
    truncation: float = 0.33333333,
    visibility: float = 0.33333333,
    min_height: float = 1 / 16,
    max_height: float = 1.5,
    max_depth: float = 1e8,
    exhaustive: bool = True,
    drop_empty: bool = False,
    faulty: Literal["refuse", "skip"] = "skip",
    exif: Literal["apply", "ignore"] = "apply",
) -> Dataset[Sample]:
    """Open one or several JSON files in Omni3D's style.

    Categories that a file does not list are not annotated in its images. Objects without a valid 3D box are ignored, as
    by the official protocol.

    Args:
        split: Name of the split.
        root: Folder that the `file_path` of images is relative to; that of the first file, if None.
        annotations: Files, in whose paths `{split}` stands for the split; Omni3D/*_{split}.json in the root, if None.
        categories: Categories to learn, or for each category of the files its name in the vocabulary: {car: vehicle,
            bus: vehicle}; all that the files list, if None.
        boxes: The 2D boxes: of the visible pixels ("tight"), the projected corners clipped to the image ("trunc"), or
            not clipped ("proj"); where a kind is missing, the next one.
        keys: Names of the labels to load beside objects: boxes3d, truncation, visibility; these, if None. On request
            also depth, of the depth images beside those of SUN RGB-D.
        truncation: Objects truncated by this part or more are ignored.
        visibility: Objects of which this part or less is visible are ignored.
        min_height: Objects whose box is this low or lower, as a part of the image's height, are ignored.
        max_height: Objects whose box is this high or higher, as a part of the image's height, are ignored.
        max_depth: Objects farther away, in metres, are ignored.
        exhaustive: Whether every object of the categories is annotated.
        drop_empty: Whether to skip images without an annotation of the categories.
        faulty: "skip" faulty entries with a warning, or "refuse" them.
        exif: Whether to "apply" EXIF orientations, so that images are upright, or to "ignore" them, for labels of the
            images as they are stored.

    Returns:
        The data set.

    Raises:
        InputError: If files are missing, or entries faulty and refused.
    """
    from scenekit.metrics.omni3d.average_precision import Omni3DFilter
    from scenekit.metrics.omni3d.files import read_kind
    from scenekit_datasets import roots
    from scenekit_datasets.omni3d.dataset import KEYS, ON_REQUEST, Omni3D
    from scenekit_datasets.omni3d.index import read_index
    from scenekit_datasets.omni3d.labels import Rules
    from scenekit_datasets.omni3d.layout import class_names_of, find_files

    rules = Rules(
        read_kind(boxes),
        Omni3DFilter(truncation, visibility, min_height, max_height, max_depth),
        roots.keys_named(
            [key.name for key in KEYS] if keys is None else keys, (*KEYS, *ON_REQUEST), "Omni3D's files have"
        ),
    )
    folder, files = find_files(root, annotations, split)
    indices = [read_index(file, faulty) for file in files]
    classes = class_names_of(indices, categories)
    return Omni3D(
        indices, folder, classes, rules, exhaustive=exhaustive, drop_empty=drop_empty, faulty=faulty, exif=exif
    )


def results(folder: Path, data: Any = None) -> ResultsWriter:
    """Make a writer of predictions.

    Args:
        folder: Where to write.
        data: The data set that they are of, or None.

    Returns:
        The writer.
    """
    from scenekit_datasets.omni3d.results import Omni3DResults

    return Omni3DResults(folder, data)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data set `omni3d`.

    Returns:
        Its record.
    """
    yield DatasetSpec(
        "omni3d",
        summary="Omni3D's files, and JSON in their style: boxes in metres",
        build=build,
        results=results,
        url="https://github.com/facebookresearch/omni3d/blob/main/DATA.md",
        license="repository CC BY-NC 4.0; annotations and images also under those of the data sets that they are from",
    )
