"""One training example: an image or a clip, its ground truth, and what that ground truth supervises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor

from scenekit.errors import InputError
from scenekit.keys import OBJECTS, Key, Stream
from scenekit.scene import Scene
from scenekit.structures.geometry import Geometry
from scenekit.structures.images import ImageOrigin


@dataclass(frozen=True)
class Supervision:
    """What the labels of a sample supervise."""

    keys: frozenset[Key[Any, Any]] = frozenset()
    """Keys that are labelled; of row keys the rows that `scene.valid` marks."""
    classes: frozenset[str] | None = None
    """Names of the classes that detection labels cover; None for all things of the scene's vocabulary."""
    streams: frozenset[Stream] = field(default_factory=lambda: frozenset({OBJECTS}))
    """Streams whose regions are labelled."""
    exhaustive: frozenset[Stream] = field(default_factory=lambda: frozenset({OBJECTS}))
    """Those of `streams` whose every instance is labelled."""
    partial: frozenset[str] = frozenset()
    """Names of classes of which only some instances are labelled: these are positives, and other regions may well be of
    the class; it is not covered."""
    mirrorable: bool = True
    """Whether the image may be flipped; one with a name or text whose side cannot be exchanged is not, in any case."""
    map_classes: frozenset[str] | None = None
    """Names of the things and stuff that label maps cover; None for all of the scene's vocabulary."""

    def covers(self, name: str) -> bool:
        """Return whether the detection labels cover a class, so that a region without its label is not of it.

        Args:
            name: Name of the class.

        Returns:
            True if so.
        """
        return name not in self.partial and (self.classes is None or name in self.classes)


@dataclass(frozen=True, eq=False)
class Sample:
    """One training example."""

    image: UInt8[Tensor, "3 H W"]
    """RGB."""
    scene: Scene
    """The ground truth, in pixels of the image."""
    supervision: Supervision
    """What the ground truth supervises."""
    id: int
    """Unique within the data set."""
    geometry: Geometry | None = None
    """How transforms changed the stored image; None where they did not."""
    inputs: Mapping[str, Float[Tensor, "_ _ _"]] = field(default_factory=dict)
    """What the image comes with, by modality, in pixels of the image; NaN where there is nothing."""
    frames: tuple[Sample, ...] = ()
    """Of a clip its frames in order; `scene` then holds the ground truth of the whole, such as EVENTS, and `image` is
    the first frame. Empty for a single image."""
    times: tuple[float, ...] = ()
    """Of a clip the seconds of each frame on its clock."""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.times):
            raise InputError(f"each frame of a clip has a time, got {len(self.frames)} and {len(self.times)} times")

    @property
    def origin(self) -> ImageOrigin:
        """Which image this is, and how it was changed."""
        geometry = Geometry.identity(self.scene.size) if self.geometry is None else self.geometry
        return ImageOrigin(geometry, self.id, self.scene.path)
