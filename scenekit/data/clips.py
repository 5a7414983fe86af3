"""Data sets of clips by name."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from scenekit.data.clip import Clip
from scenekit.data.datasets import SampleSet, built
from scenekit.errors import InputError
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
    if not isinstance(data, ClipSet):
        raise InputError(f"data set {name!r} has single images, no clips; open it with sk.dataset({name!r})")
    return data
