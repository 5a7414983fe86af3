"""Procedural, fully labelled scenes: `generate(seed, index)` draws, renders and annotates one.

`SyntheticDataset` provides them as samples; `generate_clip` and `ClipDataset` let them move. Everything is imported at
first use, so that the discovery of plugins stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scenekit.hooks.records import DatasetSpec
from scenekit.hooks.specs import hookimpl

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from scenekit.data.clips import ClipSet
    from scenekit.data.sample import Sample

_HOMES = {
    "Change": "clips.plan",
    "ClipDataset": "clips.dataset",
    "Mesh": "scene",
    "SyntheticClip": "clips.clip",
    "SyntheticDataset": "dataset",
    "SyntheticFrame": "clips.clip",
    "SyntheticScene": "scene",
    "generate": "scene",
    "generate_clip": "clips.clip",
}

__all__ = [
    "Change",
    "ClipDataset",
    "Mesh",
    "SyntheticClip",
    "SyntheticDataset",
    "SyntheticFrame",
    "SyntheticScene",
    "generate",
    "generate_clip",
]


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
    single: bool = False,
) -> Dataset[Sample]:
    """Open a split of synthetic scenes.

    Args:
        split: "train", "val" or "test".
        length: Number of scenes; only train may be longer than its default.
        seed: Other numbers give other train scenes.
        size: (height, width) of the images in pixels.
        keys: Names of the labels to load; all, if None, except "amodal_masks".
        cache: Folder for generated scenes; False for none; None for the user's cache folder.
        voxels: Cells along each side of occupancy grids.
        single: Whether each scene has one object alone, as single-object localization needs it.

    Returns:
        The data set.

    Raises:
        InputError: If an option is invalid or embree is missing.
    """
    from scenekit_datasets.synthetic.dataset import SyntheticDataset

    return SyntheticDataset(split, length, seed, size, keys, cache, voxels, single)


def build_clips(
    split: str = "train",
    length: int | None = None,
    seed: int = 0,
    size: Sequence[int] = (240, 320),
    frames: int = 40,
    rate: float = 8.0,
    keys: Sequence[str] | None = None,
    cache: str | bool | None = None,
    still: bool = False,
    visit: int = 0,
) -> ClipSet:
    """Open a split of synthetic clips.

    Args:
        split: "train", "val" or "test".
        length: Number of clips; only train may be longer than its default.
        seed: Other numbers give other train clips.
        size: (height, width) of the images in pixels.
        frames: Number of frames of a clip.
        rate: Frames per second.
        keys: Names of the labels to load; all, if None, except "meshes" and "voxels".
        cache: Folder for generated clips; False for none; None for the user's cache folder.
        still: Whether nothing moves but the camera.
        visit: 0, or 1 for a later visit, at which some objects have been moved, added or removed.

    Returns:
        The data set.

    Raises:
        InputError: If an option is invalid or embree is missing.
    """
    from scenekit_datasets.synthetic.clips.dataset import ClipDataset

    return ClipDataset(split, length, seed, size, frames, rate, keys, cache, still, visit)


@hookimpl
def scenekit_datasets() -> Iterator[DatasetSpec]:
    """Yield the data sets `synthetic` and `synthetic_clips`.

    Returns:
        Their records.
    """
    yield DatasetSpec("synthetic", summary="procedural scenes with every kind of label", build=build)
    yield DatasetSpec("synthetic_clips", summary="procedural clips with every kind of label", build=build_clips)
