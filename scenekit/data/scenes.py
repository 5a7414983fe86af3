"""Ground truth of a data set without its images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from scenekit.data.datasets import SampleSet
from scenekit.scene import Scene


@runtime_checkable
class SceneSet(Protocol):
    """A data set that also gives the ground truth of an image without reading the image."""

    def scene(self, index: int, /) -> Scene:
        """What is labelled in image `index`, as in its sample."""


def scene_of(data: SampleSet, index: int) -> Scene:
    """The ground truth of one image, by the cheapest way that the data set offers."""
    return data.scene(index) if isinstance(data, SceneSet) else data[index].scene


def spread_scenes(data: SampleSet, limit: int) -> Iterator[Scene]:
    """The ground truth of at most `limit` images, evenly spread over the data set, in its order."""
    count = min(limit, len(data))
    return (scene_of(data, place * len(data) // count) for place in range(count))
