"""Omni3D (Brazil et al. 2023) and JSON in its style: 3D boxes of KITTI, nuScenes, SUN RGB-D and others in one form.

Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample

_HOMES = {"Omni3D": "dataset", "write_omni3d": "export"}

__all__ = ["Omni3D", "write_omni3d"]


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
) -> Dataset[Sample]:
    """The data set, of one JSON file or several.

    root: the folder that the `file_path` of images begins at (that of the first file, if None). annotations: the
    files, `{split}` in a name standing for the split (Omni3D/*_{split}.json in the root, if None).
    categories: the names to learn, or for each name in the files what it shall be called: {car: vehicle, bus: vehicle}
    (all that the files list, if None). Categories that a file does not list are not labelled in its images.
    boxes: the 2D boxes: of the visible pixels (tight), the projected corners cut off at the border (trunc), or not cut
    off (proj); where a kind is not there, the next one. keys: names of the labels to carry beside objects: boxes3d,
    truncation, visibility (all, if None).
    truncation, visibility, min_height, max_height, max_depth: objects that are cut off by that share or more, of which
    that share or less is visible, whose box is that low or high as a share of the image, or which are farther (m) are
    ignored; so are those without a valid 3D box, as in scoring.
    exhaustive: whether every object of the categories is labelled. drop_empty: leave out images without an annotation
    of the categories. faulty: "skip" what can't be right with a warning, or "refuse" it.
    """
    from scenekit.metrics.omni3d.average_precision import Omni3DFilter
    from scenekit.metrics.omni3d.files import read_kind
    from scenekit_datasets import roots
    from scenekit_datasets.omni3d.dataset import KEYS, Omni3D
    from scenekit_datasets.omni3d.index import read_index
    from scenekit_datasets.omni3d.labels import Rules
    from scenekit_datasets.omni3d.layout import class_names_of, found_files

    roots.check_faulty(faulty)
    rules = Rules(
        read_kind(boxes),
        Omni3DFilter(truncation, visibility, min_height, max_height, max_depth),
        roots.keys_named(keys, KEYS, "Omni3D's files have"),
    )
    folder, files = found_files(root, annotations, split)
    indices = [read_index(file, faulty) for file in files]
    classes = class_names_of(indices, categories)
    return Omni3D(indices, folder, classes, rules, exhaustive=exhaustive, drop_empty=drop_empty, faulty=faulty)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `omni3d`."""
    yield DatasetSpec("omni3d", summary="Omni3D's files, and JSON in their style: boxes in metres", build=build)
