"""Data sets by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

from scenekit.data.sample import Sample
from scenekit.errors import InputError, nearest
from scenekit.hooks import DatasetSpec, registry
from scenekit.structures.vocabulary import Vocabulary


@runtime_checkable
class SampleSet(Protocol):
    """What a data set offers: samples by number, and the vocabulary of their labels."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""

    def __len__(self) -> int:
        """How many samples there are."""

    def __getitem__(self, index: int, /) -> Sample:
        """One of them."""


def dataset(name: str, split: str = "train", **options: Any) -> SampleSet:
    """A registered data set; `options` go to its builder.

    Raises InputError for an unknown name, split or option, naming the nearest right one.
    """
    spec: DatasetSpec = registry().get("dataset", name)
    if split not in spec.splits:
        raise InputError(f"data set {name!r} has no split {split!r}{nearest(split, spec.splits)}")
    _check_options(spec.build, options, name)
    return cast(SampleSet, spec.build(split=split, **options))


def _check_options(build: Callable[..., Any], options: dict[str, Any], name: str) -> None:
    parameters = inspect.signature(build).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [option for option in parameters if option != "split"]
    for option in options:
        if option not in known:
            raise InputError(f"data set {name!r} has no option {option!r}{nearest(option, known)}")
