"""Data sets of clips by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch

from scenekit.data.clip import Clip
from scenekit.data.datasets import SampleSet, built
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError, SkippedSampleError
from scenekit.hooks import InputImage
from scenekit.io.images import read_image
from scenekit.keys import EVENTS
from scenekit.model.modalities import InputValues
from scenekit.scene import Scene
from scenekit.structures.moments import VideoFrame
from scenekit.structures.vocabulary import Vocabulary


@runtime_checkable
class ClipSet(Protocol):
    """What a data set of clips offers: clips by number, and their frames as samples for tasks of images."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""

    @property
    def samples(self) -> SampleSet:
        """The frames of all clips; `sk.dataset` returns them."""

    def __len__(self) -> int:
        """Return the number of clips."""

    def __getitem__(self, index: int, /) -> Clip:
        """Return one clip."""


def is_clips(data: object) -> TypeGuard[ClipSet]:
    """Return whether a data set gives clips; other data sets may have an attribute `samples` of another kind.

    Args:
        data: What a builder returned.

    Returns:
        Whether it is a `ClipSet`.
    """
    return isinstance(data, ClipSet) and isinstance(data.samples, SampleSet)


def clips(name: str, split: str = "train", **options: Any) -> ClipSet:
    """Build a registered data set of clips; `sk.dataset` gives its frames one by one.

    ```python
    data = sk.clips("synthetic_clips", split="val")
    clip = data[0]  # clip.frames, clip.scenes, clip.events
    ```

    Args:
        name: The name of the data set.
        split: One of its splits.
        options: Options of its builder.

    Returns:
        The data set.

    Raises:
        InputError: An unknown name, split or option, or a data set of single images.
    """
    data = built(name, split, options)
    if not is_clips(data):
        raise InputError(f"data set {name!r} has single images, no clips; open it with sk.dataset({name!r})")
    return data


@dataclass(frozen=True)
class ClipSamples:
    """A data set of clips as samples that tasks of clips learn from and are measured on.

    Frames come without ground truth of their own: tasks of images learn from them as single images, see `sk.dataset`.
    """

    data: ClipSet
    """The clips."""
    most_frames: int = 40
    """Of a longer clip so many frames, evenly spread."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels mean."""
        return self.data.vocabulary

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Sample:
        clip = self.data[index]
        if not len(clip):
            raise SkippedSampleError(f"clip {clip.name or index} has no frame")
        count = min(len(clip), self.most_frames)
        frames = [clip.frames[place * len(clip) // count] for place in range(count)]
        samples = tuple(_frame(frame, clip.vocabulary, index) for frame in frames)
        moments = [frame.moment for frame in frames]
        if any(moment is None for moment in moments):
            raise InputError(f"clip {clip.name or index} has a frame without a moment, whose time is unknown")
        scene = replace(samples[0].scene, values={EVENTS: clip.events}, path=clip.name or None, moment=None)
        claims = Supervision(frozenset({EVENTS}), streams=frozenset(), exhaustive=frozenset())
        times = tuple(moment.time for moment in moments if moment is not None)
        return Sample(samples[0].image, scene, claims, index, frames=samples, times=times)

    def scene(self, index: int) -> Scene:
        """Return the ground truth of a clip, of whose frames only the first is read.

        Args:
            index: The number of the clip.

        Returns:
            A scene with what belongs to the whole clip.
        """
        clip = self.data[index]
        first = _frame(clip.frames[0], clip.vocabulary, index)
        return replace(first.scene, values={EVENTS: clip.events}, path=clip.name or None, moment=None)


def _frame(frame: VideoFrame, vocabulary: Vocabulary, index: int) -> Sample:
    """Return a frame without ground truth, with what it came with."""
    image = read_image(frame.image).round().to(torch.uint8)
    nothing: frozenset[Any] = frozenset()
    size = (int(image.shape[1]), int(image.shape[2]))
    maps = InputValues().read(frame.inputs, InputImage(size, frame.camera, f"a frame of clip {index}"))
    scene = Scene(size, vocabulary, camera=frame.camera, moment=frame.moment)
    return Sample(image, scene, Supervision(nothing, streams=nothing, exhaustive=nothing), index, inputs=maps)
