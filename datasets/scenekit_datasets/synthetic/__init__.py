"""Procedural, fully labelled scenes: `generate(seed, index)` draws, renders and annotates one.

`SyntheticDataset` hands them out as samples. Everything is loaded when first used: looking for plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.sample import Sample

_HOMES = {"generate": "scene", "SyntheticScene": "scene", "Mesh": "scene", "SyntheticDataset": "dataset"}

__all__ = ["Mesh", "SyntheticDataset", "SyntheticScene", "generate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def build(
    split: str = "train",
    length: int | None = None,
    seed: int = 0,
    size: Sequence[int] = (240, 320),
    keys: Sequence[str] | None = None,
    cache: str | bool | None = None,
    voxels: int = 24,
) -> Dataset[Sample]:
    """The data set.

    length: number of scenes; train has as many as you like. seed: another stream of train scenes. size: height and
    width in pixels. keys: names of the labels to carry (all, if None; "amodal_masks" must be named). cache: folder for
    finished scenes (False: none; None: the user's cache folder). voxels: cells along each side of occupancy grids.
    """
    from scenekit_datasets.synthetic.dataset import SyntheticDataset

    return SyntheticDataset(split, length, seed, size, keys, cache, voxels)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """One data set, `synthetic`."""
    yield DatasetSpec("synthetic", summary="procedural scenes with every kind of label", build=build)
