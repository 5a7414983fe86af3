"""Where the frames of a video stand: times from timestamps, numbers by counting or from an index of the file."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

LATE = 0.5
"""Seconds: a timestamp that lies less behind the one before belongs to a late frame, else the clock was set anew."""


@dataclass(frozen=True)
class Place:
    """Where a frame stands."""

    time: float
    """Seconds from the beginning."""
    number: int
    """Number of the frame in the video, from 0."""


@dataclass(frozen=True)
class FrameIndex:
    """The timestamps of all frames of a file, in the order in which they are shown."""

    stamps: array[int]
    """In units of the stream; 8 bytes a frame."""
    hidden: int = 0
    """Frames that the file has, but are not to be shown."""

    @classmethod
    def of(cls, packets: Iterable[Packet[VideoStream]]) -> FrameIndex | None:
        """Read the timestamps of a file; nothing is decoded.

        Args:
            packets: What the file holds of the stream, in its order.

        Returns:
            The index; None where frames have no timestamps, or the same ones, or the clock jumps back.
        """
        stamps, hidden, before = array("q"), 0, -math.inf
        for packet in packets:
            if packet.size == 0:
                continue
            if packet.pts is None or (packet.dts is not None and packet.dts < before):
                return None
            before = before if packet.dts is None else packet.dts
            if packet.is_discard:
                hidden += 1
            else:
                stamps.append(packet.pts)
        ordered = array("q", sorted(stamps))
        repeats = any(ordered[i] == ordered[i + 1] for i in range(len(ordered) - 1))
        return None if repeats else cls(ordered, hidden)

    def number_of(self, stamp: int) -> int:
        """Return the number of the frame with a timestamp, or of the first one after it.

        Args:
            stamp: The timestamp.

        Returns:
            The number.
        """
        return bisect_left(self.stamps, stamp)


START = Place(-math.inf, -1)
"""Before the first frame."""


@dataclass
class Timeline:
    """Gives each decoded frame its time and number; times strictly increase."""

    unit: Fraction
    """Seconds of a unit of the timestamps."""
    step: float
    """Seconds between two frames, for frames without timestamps."""
    origin: int | None = None
    """Timestamp of time 0; that of the first frame where it is None."""
    index: FrameIndex | None = None
    """All timestamps, once they are known."""
    last: Place = START
    """Where the frame before stands."""
    damaged: int = 0
    """Frames that could not be decoded."""
    jumps: int = 0
    """Timestamps that repeat or lie behind the one before."""
    shift: float = 0.0
    """Seconds that are added, after the clock of a stream was set anew."""

    def time_of(self, stamp: int) -> float:
        """Return the time of a timestamp.

        Args:
            stamp: The timestamp.

        Returns:
            Seconds.
        """
        return float((stamp - (self.origin or 0)) * self.unit)

    def is_behind(self, stamp: int | None) -> bool:
        """Return whether a frame does not follow the one before.

        Args:
            stamp: Its timestamp, if it has one.

        Returns:
            False at the beginning, and where the index knows all timestamps.
        """
        if stamp is None or self.index is not None or self.origin is None:
            return False
        return self.time_of(stamp) + self.shift <= self.last.time

    def place(self, stamp: int | None) -> Place | None:
        """Return where the next decoded frame stands.

        Args:
            stamp: Its timestamp, if it has one.

        Returns:
            Its place; None for one that is skipped, as it lies behind.
        """
        if self.index is not None and stamp is not None:
            return self._indexed(stamp, self.index)
        return self._counted(stamp)

    def lose(self, count: int = 1) -> None:
        """Count frames that could not be decoded; with an index the next frame shows how many are missing.

        Args:
            count: How many.
        """
        if self.index is None:
            self.damaged += count
            self.last = Place(self.last.time, self.last.number + count)

    def finish(self, count: int) -> None:
        """Count the frames that are missing at the end.

        Args:
            count: How many frames there should be.
        """
        missing = max(count - 1 - self.last.number, 0)
        self.damaged += missing
        self.last = Place(self.last.time, self.last.number + missing)

    def go(self, number: int) -> None:
        """Skip the frames before one, after a seek.

        Args:
            number: The number of the next frame.
        """
        self.last, self.shift = Place(-math.inf, number - 1), 0.0

    def renew(self, gap: float) -> None:
        """Take the next frame for the first of a new clock.

        Args:
            gap: Seconds from the frame before to it.
        """
        self.origin = None
        self.shift = self.last.time + gap if self.last.number >= 0 else 0.0

    def _indexed(self, stamp: int, index: FrameIndex) -> Place | None:
        place = Place(self.time_of(stamp), index.number_of(stamp))
        if place.number <= self.last.number:
            return None
        self.damaged += place.number - self.last.number - 1
        self.last = place
        return place

    def _counted(self, stamp: int | None) -> Place | None:
        before, number = self.last.time, self.last.number + 1
        time = number * self.step
        if stamp is not None:
            self.origin = stamp if self.origin is None else self.origin
            time = self.time_of(stamp) + self.shift
        if time <= before:
            self.jumps += 1
            if before - time < LATE:
                self.last = Place(before, number)
                return None
            self.shift += before + self.step - time
            time = before + self.step
        self.last = Place(time, number)
        return self.last
