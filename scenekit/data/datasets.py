"""Data sets by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast, runtime_checkable

from scenekit.config import converted
from scenekit.data.sample import Sample
from scenekit.errors import InputError, nearest, repr_of
from scenekit.hooks import DatasetSpec, naming_plugin, registry
from scenekit.hooks.options import check_options
from scenekit.structures.vocabulary import Vocabulary


@runtime_checkable
class SampleSet(Protocol):
    """What a data set offers: samples by number, and the vocabulary of their labels."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int, /) -> Sample:
        """Return one sample."""


def dataset(name: str, split: str = "train", **options: Any) -> SampleSet:
    """Build a registered data set; of one with clips, its frames.

    Args:
        name: The name of the data set.
        split: One of its splits.
        options: Options of its builder.

    Returns:
        The data set.

    Raises:
        InputError: An unknown name, split or option; the message suggests the nearest valid one.
    """
    return samples_of(built(name, split, options))


def built(name: str, split: str, options: Mapping[str, Any]) -> object:
    """Build a registered data set, of images or of clips.

    Args:
        name: The name of the data set.
        split: One of its splits.
        options: Options of its builder.

    Returns:
        What its builder returns.

    Raises:
        InputError: An unknown name, split or option; the message suggests the nearest valid one.
    """
    spec: DatasetSpec = registry().get("dataset", name)
    if converted(split, str, f"data set {name!r}: split") not in spec.splits:
        raise InputError(f"data set {name!r} has no split {repr_of(split)}{nearest(split, spec.splits)}")
    valid = check_options(spec.build, options, f"data set {name!r}", reserved=("split",))
    with naming_plugin(spec):
        data: object = spec.build(split=split, **valid)
        return data


def samples_of(data: object) -> SampleSet:
    """Return a data set as one of single images.

    Args:
        data: What a builder returned.

    Returns:
        The `samples` of a data set of clips, others as they are.
    """
    frames = getattr(data, "samples", None)
    return frames if isinstance(frames, SampleSet) else cast(SampleSet, data)
