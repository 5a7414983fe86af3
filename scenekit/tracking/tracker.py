"""What a tracker is. Letters: N objects of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Int
from torch import Tensor

from scenekit.scene import Scene

UNCONFIRMED = -1
"""The id of an object that belongs to no track yet."""


class Tracker(ABC):
    """Gives the objects of the images of a stream ids, one image after the other.

    Rules, which `scenekit check --tracker NAME` checks: an id is at most one object of an image; an object that stays
    where it is keeps its id; an id is never used again for another object of the stream; and after `reset` the same
    scenes get the same ids.
    """

    @abstractmethod
    def update(self, scene: Scene) -> Int[Tensor, " N"]:
        """Track the objects of the next image.

        Args:
            scene: Its objects, perhaps none, with the values of other tasks. Its `moment` is never None, and later than
                that of the image before; its vocabulary is that of all images of the stream.

        Returns:
            An id from 0 for each object, or -1 for one that is not confirmed yet or belongs to no track.
        """

    @abstractmethod
    def reset(self) -> None:
        """Reset the tracker, so that another stream can begin."""
