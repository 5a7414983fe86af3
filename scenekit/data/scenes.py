"""Ground truth of a data set without its images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from scenekit.data.datasets import SampleSet
from scenekit.errors import SkippedSampleError
from scenekit.scene import Scene


@runtime_checkable
class SceneSet(Protocol):
    """A data set that also gives the ground truth of an image without reading the image."""

    def scene(self, index: int, /) -> Scene:
        """Return the ground truth of an image, equal to that of its sample.

        Args:
            index: The number of the sample.

        Returns:
            The ground truth.
        """


def scene_of(data: SampleSet, index: int) -> Scene:
    """Return the ground truth of one image, without reading the image where the data set can do so."""
    return data.scene(index) if isinstance(data, SceneSet) else data[index].scene


def spread_scenes(data: SampleSet, limit: int) -> Iterator[Scene]:
    """Yield the ground truth of at most `limit` images, evenly spread over the data set, in its order."""
    count = min(limit, len(data))
    for place in range(count):
        with contextlib.suppress(SkippedSampleError):
            yield scene_of(data, place * len(data) // count)
