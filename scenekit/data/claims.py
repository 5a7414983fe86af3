"""What data sets supervise, as some of their samples say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

from scenekit.data.datasets import SampleSet
from scenekit.data.relabel import relabeled
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, PluginError
from scenekit.hooks import naming_plugin
from scenekit.structures.vocabulary import Vocabulary

IMAGES = 8
"""Number of images of a data set that are read for it; their supervision seldom differs."""


@runtime_checkable
class AnnotatedSet(Protocol):
    """A data set that also gives its samples without labels that are costly to make, such as those of a teacher."""

    def annotated(self, index: int, /) -> Sample:
        """Return a sample with its annotations alone; what it supervises is the same.

        Args:
            index: The number of the sample.

        Returns:
            The sample.
        """


def spread_claims(data: SampleSet, vocabulary: Vocabulary, limit: int = IMAGES) -> Iterator[Supervision]:
    """Yield what the labels of at most `limit` images supervise, evenly spread over a data set, in its order.

    Images that cannot be read are left out: they are reported when a run reaches them.

    Args:
        data: The data set.
        vocabulary: The vocabulary of the model.
        limit: The number of images.

    Yields:
        The supervision; its classes are named, by the names of the model.
    """
    count = min(limit, len(data))
    read = data.annotated if isinstance(data, AnnotatedSet) else data.__getitem__
    for place in range(count):
        try:
            with naming_plugin(None):
                sample = relabeled(read(place * len(data) // count), vocabulary)
        except (InputError, PluginError):
            continue
        claims = sample.supervision
        yield replace(claims, classes=frozenset(name for name in vocabulary.things if claims.covers(name)))
