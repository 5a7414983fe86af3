"""Headers of messages: a time in nanoseconds and the name of a frame; and the images of a bag, which bring theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenekit.structures.moments import Moment, VideoFrame

SECOND = 1_000_000_000
"""Nanoseconds."""

CAMERA_FRAME = "camera"
"""Frame of a camera that has no name."""


@dataclass(frozen=True)
class Header:
    """When, and in which frame, something was measured."""

    stamp: int
    """Nanoseconds on the clock of the bag."""
    frame_id: str = CAMERA_FRAME
    """Name of the frame; of an image the optical frame of its camera."""

    @classmethod
    def of(cls, message: Any, logged: int = 0) -> Header:
        """Read the header of a message.

        Args:
            message: The message.
            logged: Nanoseconds at which it was recorded, which stand in for a stamp of 0.

        Returns:
            The header.
        """
        stamp = message.header.stamp
        return cls(stamp.sec * SECOND + stamp.nanosec or logged, str(message.header.frame_id).lstrip("/"))

    @classmethod
    def at(cls, moment: Moment | None, frame_id: str = CAMERA_FRAME) -> Header:
        """Return the header of an image that has none.

        Args:
            moment: When it was taken; None for 0.
            frame_id: Name of the frame.

        Returns:
            The header, with the time rounded to nanoseconds.
        """
        return cls(0 if moment is None else round(moment.time * SECOND), frame_id)

    @property
    def time(self) -> Mapping[str, int]:
        """Values of a message Time."""
        return {"sec": self.stamp // SECOND, "nanosec": self.stamp % SECOND}

    @property
    def values(self) -> Mapping[str, Any]:
        """Values of a message Header."""
        return {"stamp": self.time, "frame_id": self.frame_id}


@dataclass(frozen=True, eq=False)
class BagFrame(VideoFrame):
    """An image of a bag: a VideoFrame with the header of its message, which the messages about it share."""

    header: Header = Header(0)
    """When it was taken, to the nanosecond, and the optical frame of its camera."""
