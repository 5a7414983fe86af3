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

RECOVERY = 5.0
"""Seconds after which frames that follow a damaged one are trusted again, also without a key frame."""


@dataclass(frozen=True)
class Place:
    """Where a frame stands."""

    time: float
    """Seconds from the beginning."""
    number: int
    """Number of the frame in the video, from 0."""


START = Place(-math.inf, -1)
"""Before the first frame."""


@dataclass(frozen=True)
class FrameIndex:
    """The timestamps of all frames of a file, in the order in which they are shown; 9 bytes a frame."""

    stamps: array[int]
    """In units of the stream."""
    anchors: bytes
    """1 for a frame that later ones may be predicted from: none that is shown later is stored before it."""
    hidden: int = 0
    """Frames that the file has, but are not to be shown."""

    @classmethod
    def of(cls, packets: Iterable[Packet[VideoStream]], by_order: bool = False) -> FrameIndex | None:
        """Read the timestamps of a file; nothing is decoded.

        Args:
            packets: What the file holds of the stream, in its order.
            by_order: Whether to take the times of decoding, which have the order in which frames are stored.

        Returns:
            The index; None where frames have no timestamps, or the same ones, or the clock jumps back.
        """
        anchors: dict[int, bool] = {}
        hidden, before, latest = 0, -math.inf, -math.inf
        for packet in packets:
            if packet.size == 0:
                continue
            stamp = packet.dts if by_order else packet.pts
            if stamp is None or stamp in anchors or (packet.dts is not None and packet.dts < before):
                return None
            before = before if packet.dts is None else packet.dts
            if packet.is_discard:
                hidden += 1
            else:
                anchors[stamp] = stamp > latest
            latest = max(latest, stamp)
        ordered = array("q", sorted(anchors))
        return cls(ordered, bytes(anchors[stamp] for stamp in ordered), hidden)

    def number_of(self, stamp: int) -> int:
        """Return the number of the frame with a timestamp, or of the first one after it.

        Args:
            stamp: The timestamp.

        Returns:
            The number.
        """
        return bisect_left(self.stamps, stamp)


@dataclass
class Timeline:
    """Gives each decoded frame its time and number; times strictly increase."""

    unit: Fraction
    """Seconds of a unit of the timestamps."""
    step: float
    """Seconds between two frames, for frames without timestamps."""
    origin: int | None = None
    """Timestamp of time 0; that of the first frame where it is None."""
    by_order: bool = False
    """Whether timestamps belong to frames by their order, and not as the decoder says."""
    index: FrameIndex | None = None
    """All timestamps, once they are known."""
    last: Place = START
    """The frame before, given or not."""
    wanted: int = 0
    """Number of the first frame that is wanted, after a seek."""
    damaged: int = 0
    """Frames that could not be decoded, or were predicted from such ones."""
    jumps: int = 0
    """Timestamps that repeat or lie behind the one before."""
    shift: float = 0.0
    """Seconds that are added, after the clock of a stream was set anew."""
    doubt: float | None = None
    """Time of the last frame before a damaged one that others may be predicted from, until a key frame follows."""

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
        if stamp is None or self.by_order or self.index is not None or self.origin is None:
            return False
        return self.time_of(stamp) + self.shift <= self.last.time

    def place(self, stamp: int | None, is_key: bool) -> Place | None:
        """Return where the next decoded frame stands.

        Args:
            stamp: Its timestamp, if it has one.
            is_key: Whether it is predicted from no other frame.

        Returns:
            Its place; None for one that is skipped: it lies behind, or is predicted from a damaged frame.
        """
        if self.index is None or stamp is None or self.by_order:
            place = self._counted(stamp)
        else:
            place = self._indexed(stamp, self.index)
        if place is None or self._is_doubtful(place, is_key):
            return None
        return place if place.number >= self.wanted else None

    def lose(self) -> None:
        """Count a frame that could not be decoded; with an index the next frame shows which ones are missing."""
        if self.index is None or self.by_order:
            self.damaged += 1
            self.last = Place(self.last.time, self.last.number + 1)
            self._doubt()

    def finish(self, count: int) -> None:
        """Count the frames that are missing at the end.

        Args:
            count: How many frames there should be.
        """
        missing = max(count - max(self.last.number + 1, self.wanted), 0)
        self.damaged += missing
        self.last = Place(self.last.time, self.last.number + missing)

    def go(self, number: int) -> None:
        """Skip the frames before one, after a seek.

        Args:
            number: The number of the next frame.
        """
        self.last, self.wanted, self.shift, self.doubt = START, number, 0.0, None

    def renew(self, gap: float) -> None:
        """Take the next frame for the first of a new clock.

        Args:
            gap: Seconds from the frame before to it.
        """
        self.origin, self.doubt = None, None
        self.shift = self.last.time + gap if self.last.number >= 0 else 0.0

    def _indexed(self, stamp: int, index: FrameIndex) -> Place | None:
        place = Place(self.time_of(stamp), index.number_of(stamp))
        if place.number <= self.last.number:
            return None
        is_first = self.last is START and self.wanted > 0  # decoding starts at some key frame
        lost = range(place.number if is_first else self.last.number + 1, place.number)
        self.damaged += len([number for number in lost if number >= self.wanted])
        if any(index.anchors[number] for number in lost):
            self._doubt()
        self.last = place
        return place

    def _counted(self, stamp: int | None) -> Place | None:
        before, number = self.last.time, self.last.number + 1
        time = number * self.step
        if self.by_order:
            stamp = self.index.stamps[number] if self.index is not None and number < len(self.index.stamps) else None
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

    def _doubt(self) -> None:
        if self.doubt is None:
            self.doubt = max(self.last.time, 0.0)

    def _is_doubtful(self, place: Place, is_key: bool) -> bool:
        """Return whether a frame may be predicted from a damaged one, and count it then."""
        if is_key or self.doubt is None or place.time - self.doubt > RECOVERY:
            self.doubt = None
            return False
        self.damaged += place.number >= self.wanted
        return True
