"""Videos as iterators of frames: each with its image, its time and its number, at bounded memory.

Times come from the timestamps of the frames as they are shown, so that a variable frame rate stays what it is; the
first frame of the stream is at 0 s, whatever its timestamp (see `Video.offset`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

from scenekit.errors import InputError
from scenekit.io.ranges import check_range
from scenekit.io.video.decoding import Decoder
from scenekit.io.video.opening import Origin
from scenekit.io.video.pixels import Converter
from scenekit.structures.geometry import Size
from scenekit.structures.moments import Moment, VideoFrame


def video(
    source: str | os.PathLike[str] | int,
    *,
    start: float | None = None,
    stop: float | None = None,
    every: int = 1,
    retries: int = 5,
    retry_delay: float = 1.0,
    opener: Callable[[], Any] | None = None,
) -> Video:
    """Open a video file, a camera or a stream of the network as an iterator of frames.

    ```python
    with sk.video("clip.mp4", start=2.0, stop=6.0, every=5) as frames:
        for scene in model.predict(frames):
            print(scene.moment.time, scene.counts())
    ```

    Args:
        source: The path of a file; the index of a camera of this machine, such as 0; or a URL such as
            "rtsp://host/stream".
        start: Seconds at which frames begin; the beginning if None.
        stop: Seconds before which they end; the end if None.
        every: Give every n-th frame, counted from the first one that is given.
        retries: How many times in a row a camera or an endless stream that has broken off is opened again.
        retry_delay: Seconds to wait before each of them.
        opener: Returns the open container of PyAV, in place of `av.open`.

    Returns:
        The open video. It is closed at the end of a `with` block, by `close`, or when it is no longer used.

    Raises:
        InputError: PyAV is not installed; there is no such file, it is no video, it has no images, or no decoder for
            them is there; a camera or stream cannot be opened; a number is out of range.
    """
    check_range(start, stop, every)
    if retries < 0 or not (math.isfinite(retry_delay) and retry_delay >= 0):
        raise InputError(f"retries and retry_delay: expected numbers from 0, got {retries} and {retry_delay}")
    decoder = Decoder(Origin.of(source), opener, retries, retry_delay)
    try:
        return Video(decoder, start, stop, every)
    except BaseException:
        decoder.close()
        raise


class Video(Iterator[VideoFrame]):
    """An open video: an iterator of frames, as `scenekit.video` returns it.

    Args:
        decoder: Decodes its frames.
        start: Seconds at which frames begin; the beginning if None.
        stop: Seconds before which they end; the end if None.
        every: Give every n-th frame.

    Raises:
        InputError: There is no frame that can be decoded.

    Attributes:
        source: Path, name of the camera, or URL without its password; the `source` of each frame.
        size: Height and width of the images, in pixels: upright, and with square pixels.
        every: Every which frame is given.
        position: Time of the frame that was given last, or to which `seek` went, in seconds; 0 at the beginning.
    """

    def __init__(self, decoder: Decoder, start: float | None, stop: float | None, every: int) -> None:
        self._decoder, self._stop, self.every = decoder, math.inf if stop is None else stop, every
        self._start = -math.inf
        self._phase: int | None = None
        self.source, self.position = decoder.origin.name, 0.0
        first = decoder.peek()
        if first is None:
            raise InputError(f"{self.source}: it has no frame that can be decoded")
        self._convert = Converter.of(decoder.facts.aspect, first)
        self.size: Size = self._convert.size_of(first)
        if start is not None:
            self._go(start)

    @property
    def live(self) -> bool:
        """Whether frames come as they are taken, from a camera or an endless stream of the network."""
        return self._decoder.origin.endless

    @property
    def rate(self) -> float | None:
        """Frames a second on average; None where the stream does not say."""
        rate = self._decoder.facts.rate
        return None if rate is None else float(rate)

    @property
    def duration(self) -> float | None:
        """Seconds from the first frame to the end of the last one; None where it is unknown, as of a camera."""
        return self._decoder.facts.duration if self._decoder.origin.seekable else None

    @property
    def frame_count(self) -> int | None:
        """Number of frames, as the file says until a seek has counted them; None where it does not say."""
        index = self._decoder.timeline.index
        return len(index.stamps) if index is not None else self._decoder.facts.frames or None

    @property
    def offset(self) -> float:
        """Seconds on the clock of the file at which the first frame is shown, where other streams may begin earlier."""
        timeline = self._decoder.timeline
        return float((timeline.origin or 0) * timeline.unit)

    @property
    def damaged(self) -> int:
        """Number of frames so far that could not be decoded, or are missing in the file, and were skipped."""
        return self._decoder.timeline.damaged

    @property
    def jumps(self) -> int:
        """Number of timestamps so far that repeated or lay behind the one before.

        A frame less than half a second behind is skipped. One that lies farther behind begins a new clock, as in
        recordings that were appended to each other: it follows the frame before at the average distance.
        """
        return self._decoder.timeline.jumps

    def seek(self, time: float) -> None:
        """Move to a time: the next frame is the first one at it or later; after the end there is none.

        The first seek reads through the file once, without decoding, to number all frames. Frames then have the same
        times and numbers as without a seek.

        Args:
            time: Seconds from the first frame.

        Raises:
            InputError: The time is not finite, this is a camera or an endless stream, or the video is closed.
        """
        if not math.isfinite(time):
            raise InputError(f"{self.source}: expected a time in seconds, got {time}")
        if not self._decoder.origin.seekable:
            raise InputError(f"{self.source}: a live stream has no times to seek to")
        if self._decoder.container is None:
            raise InputError(f"{self.source}: this video is closed; open it again")
        self._go(time)

    def close(self) -> None:
        """Close the file or device; there are no frames afterwards."""
        self._decoder.close()

    def _go(self, time: float) -> None:
        self._start, self._phase, self.position = time, None, max(time, 0.0)
        if self._decoder.origin.seekable:
            self._decoder.go(time)

    def __next__(self) -> VideoFrame:
        while self._decoder.container is not None and (decoded := self._decoder.next()) is not None:
            frame, place = decoded
            if place.time >= self._stop:
                break
            if place.time < self._start:
                continue
            self._phase = place.number if self._phase is None else self._phase
            if (place.number - self._phase) % self.every == 0:
                self.position = place.time
                moment = Moment(place.time, place.number)
                return VideoFrame(self._convert.image(frame), moment, source=self.source)
        raise StopIteration

    def __iter__(self) -> Video:
        return self

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()
