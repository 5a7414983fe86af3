"""Frames of a recording at the times at which they were taken."""

from __future__ import annotations

from typing import Any

from scenekit.errors import InputError
from scenekit.structures.moments import VideoFrame

JUMP = 10.0
"""Seconds between two frames after which their times count as a jump, which nothing waits for."""


class Pacer:
    """Says how long a frame has yet to wait, so that a recording runs as if it were live.

    Where times go back, or ahead by more than `JUMP`, the frame is due at once and the following ones count from it.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        """By how much the clock is ahead of the times of the frames, in seconds."""
        self._last = 0.0

    def delay(self, frame: Any, now: float) -> float:
        """Return how long a frame has to wait.

        Args:
            frame: The frame.
            now: Time on the clock, in seconds.

        Returns:
            Seconds; not more than 0 for a frame that is due.

        Raises:
            InputError: The frame has no time.
        """
        moment = frame.moment if isinstance(frame, VideoFrame) else None
        if moment is None:
            raise InputError(
                "paced: the frames of this source have no times; yield sk.VideoFrame(image, sk.Moment(time, number)), "
                "or leave paced out"
            )
        if self._ahead is None or not 0 <= moment.time - self._last <= JUMP:
            self._ahead = now - moment.time
        self._last = moment.time
        return moment.time + self._ahead - now
