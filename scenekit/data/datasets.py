"""Data sets by name."""

from __future__ import annotations

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
    """Build a registered data set.

    Args:
        name: The name of the data set.
        split: One of its splits.
        options: Options of its builder.

    Returns:
        The data set.

    Raises:
        InputError: An unknown name, split or option; the message suggests the nearest valid one.
    """
    spec: DatasetSpec = registry().get("dataset", name)
    if converted(split, str, f"data set {name!r}: split") not in spec.splits:
        raise InputError(f"data set {name!r} has no split {repr_of(split)}{nearest(split, spec.splits)}")
    options = check_options(spec.build, options, f"data set {name!r}", reserved=("split",))
    with naming_plugin(spec):
        return cast(SampleSet, spec.build(split=split, **options))
