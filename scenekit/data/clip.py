"""A clip: the frames of a video with the ground truth of each, and of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scenekit.errors import InputError
from scenekit.scene import Scene
from scenekit.structures.events import Events
from scenekit.structures.moments import VideoFrame
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Clip:
    """The frames of a video with the ground truth of each, and of the whole."""

    frames: Sequence[VideoFrame]
    """The images in order, with moments, and cameras and further inputs where they are known."""
    scenes: Sequence[Scene]
    """The ground truth of each frame; the same `objects.ids` are the same object throughout the clip."""
    vocabulary: Vocabulary
    """What the integers mean."""
    events: Events = field(default_factory=Events.empty)
    """What happens, in seconds on the clock of the moments."""
    name: str = ""
    """Its name within its data set."""

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.scenes):
            raise InputError(f"a clip has one scene per frame, got {len(self.scenes)} for {len(self.frames)} frames")

    def __len__(self) -> int:
        return len(self.frames)
