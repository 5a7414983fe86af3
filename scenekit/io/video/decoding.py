"""Decoding a video frame by frame, past what is damaged, and again where a camera has gone away."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from scenekit.errors import InputError
from scenekit.io.clock import USUAL_RATE
from scenekit.io.video.opening import Origin, opened, pyav
from scenekit.io.video.timeline import FrameIndex, Place, Timeline

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

BACK_OFF = (0.0, 2.0, 10.0)
"""Seconds before a frame from which decoding starts to reach it: where one is too late, the next one is tried."""

BY_ORDER = ("avi",)
"""Formats that store the order of decoding only: their timestamps belong to the frames as these are shown."""

MICROSECONDS = 1_000_000
"""Units of FFmpeg's own clock in a second."""


@dataclass(frozen=True)
class Facts:
    """What a stream says of itself; unlike the stream it may be read after the container has been closed."""

    unit: Fraction
    """Seconds of a unit of the timestamps."""
    start: int | None
    """Timestamp of the first frame."""
    rate: Fraction | None
    """Frames a second on average."""
    frames: int
    """Number of frames; 0 where it is unknown."""
    duration: float | None
    """Seconds."""
    aspect: Fraction | None
    """Width of a pixel over its height."""
    by_order: bool
    """Whether timestamps belong to frames by their order alone."""

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> Facts:
        """Read the facts.

        Args:
            container: The open container.
            stream: One of its streams.

        Returns:
            The facts.
        """
        unit = stream.time_base or Fraction(1, MICROSECONDS)
        duration = stream.duration * unit if stream.duration else Fraction(container.duration or 0, MICROSECONDS)
        rate = stream.average_rate or stream.guessed_rate
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        by_order = container.format.name in BY_ORDER
        return cls(unit, stream.start_time, rate or None, stream.frames, float(duration) or None, aspect, by_order)


class Decoder:
    """Decodes the frames of a video in the order in which they are shown.

    Attributes:
        origin: What is read.
        container: The open container; None once it is closed.
        stream: Its stream of images.
        facts: What the stream says of itself.
        timeline: Where the frames stand.
    """

    def __init__(self, origin: Origin, opener: Callable[[], Any] | None, retries: int, retry_delay: float) -> None:
        self.origin, self._opener = origin, opener
        self._retries, self._retry_delay, self._failures = retries, retry_delay, 0
        self._errors: tuple[type[Exception], ...] = (pyav().error.FFmpegError, OSError)
        self._ahead: deque[VideoFrame] = deque()
        self._is_numbered = False
        self.container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._connect()
        step = float(1 / self.facts.rate) if self.facts.rate else 1 / USUAL_RATE
        self.timeline = Timeline(self.facts.unit, step, self.facts.start, self.facts.by_order)
        if self.timeline.by_order and (index := self.number_frames()) is not None:
            self.timeline.origin = index.stamps[0]

    def close(self) -> None:
        """Close the container."""
        container, self.container = self.container, None
        self._ahead.clear()
        if container is not None:
            self._packets = iter(())  # a generator of packets holds the container
            container.close()

    def peek(self) -> VideoFrame | None:
        """Return the next frame that can be decoded, which remains the next one; None at the end."""
        frame = self._frame()
        if frame is not None:
            self._ahead.appendleft(frame)
        return frame

    def next(self) -> tuple[VideoFrame, Place] | None:
        """Decode the next frame.

        Returns:
            The frame and where it stands; None at the end.

        Raises:
            InputError: A stream without an end broke off, and cannot be opened again.
        """
        while (frame := self._frame()) is not None:
            if self.timeline.is_behind(frame.pts):
                self.number_frames()
            place = self.timeline.place(frame.pts, frame.key_frame)
            if place is not None:
                return frame, place
        self._finish()
        return None

    def number_frames(self) -> FrameIndex | None:
        """Read the timestamps of all frames, if that has not been done and the video can be read again.

        Returns:
            The index; None where there can be none.
        """
        if self.origin.seekable and not self._is_numbered:
            self._is_numbered = True
            container, stream = opened(self.origin, self._opener)
            with container:
                self.timeline.index = FrameIndex.of(self._readable(container.demux(stream)), self.timeline.by_order)
        return self.timeline.index

    def go(self, time: float) -> None:
        """Move to the first frame at a time or later.

        Args:
            time: Seconds.

        Raises:
            InputError: The video cannot be opened again.
        """
        index = self.number_frames()
        if index is None or self.timeline.by_order:
            self._restart()
            self.timeline.go(0)
            return
        number = bisect_left(index.stamps, time, key=self.timeline.time_of)
        if not self._land(index, number):
            self._restart()
        self.timeline.go(number)

    def _land(self, index: FrameIndex, number: int) -> bool:
        """Return whether a key frame is reached from which decoding gets to the frame of this number."""
        assert self.container is not None
        stamp = index.stamps[min(number, len(index.stamps) - 1)]
        for seconds in BACK_OFF:
            target = stamp - round(seconds / self.facts.unit)
            if target < index.stamps[0]:
                return False
            try:
                self.container.seek(target, stream=self.stream)
            except self._errors:
                return False
            self._begin()
            first = self.peek()
            if first is not None and first.pts is not None and index.number_of(first.pts) <= number:
                return True
        return False

    def _frame(self) -> VideoFrame | None:
        """Return the next frame that can be decoded; None at the end."""
        while not self._ahead:
            packet, reason = self._packet()
            if packet is not None:
                self._decode(packet)
            elif self.origin.endless:
                self._reconnect(reason)
            else:
                return None
        self._failures = 0
        return self._ahead.popleft()

    def _packet(self) -> tuple[Packet[VideoStream] | None, Exception | None]:
        """Return the next packet; at the end, and where what follows cannot be read, None and the reason if any."""
        try:
            return next(self._packets, None), None
        except self._errors as error:
            return None, error

    def _decode(self, packet: Packet[VideoStream]) -> None:
        """Decode what a packet completes."""
        try:
            frames = packet.decode()
        except self._errors:
            self._lose()
            return
        for frame in frames:
            if frame.is_corrupt:
                self._lose()
            else:
                self._ahead.append(frame)

    def _lose(self) -> None:
        self.number_frames()
        self.timeline.lose()

    def _finish(self) -> None:
        """Count what is missing at the end of a file: some name a number of frames, which may include hidden ones."""
        timeline, facts = self.timeline, self.facts
        rest = (facts.duration or 0.0) - timeline.last.time
        count = facts.frames if rest > 2.5 * timeline.step and not timeline.by_order else 0
        if timeline.last.number + 1 < count:
            self.number_frames()
        if timeline.index is not None:
            timeline.finish(max(count - timeline.index.hidden, len(timeline.index.stamps)))

    def _readable(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """Yield packets up to where the file cannot be read."""
        try:
            yield from packets
        except self._errors:
            return

    def _connect(self) -> None:
        self.container, self.stream = opened(self.origin, self._opener)
        self.facts = Facts.of(self.container, self.stream)
        self._begin()

    def _begin(self) -> None:
        """Read packets from where the container stands."""
        assert self.container is not None
        self._ahead.clear()
        self._packets = self.container.demux(self.stream)

    def _restart(self) -> None:
        """Open a file again, at its first frame."""
        self.close()
        self._connect()

    def _reconnect(self, reason: BaseException | None) -> None:
        """Open an endless stream again.

        Args:
            reason: Why it broke off, if that is known.
        """
        left = time.monotonic()
        self.close()
        cause: BaseException | None = reason
        while self.container is None:
            self._failures += 1
            if self._failures > self._retries:
                raise InputError(
                    f"{self.origin.name}: the stream broke off and could not be opened again in {self._retries} tries,"
                    f" {self._retry_delay:g} s apart; check that the camera is connected and sends images"
                ) from cause
            time.sleep(self._retry_delay)
            try:
                self._connect()
            except InputError as error:
                cause = error
        self.timeline.unit = self.facts.unit
        self.timeline.renew(time.monotonic() - left)
