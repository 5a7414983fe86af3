"""Writing images with their times as a video file."""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from scenekit.errors import InputError, listed, repr_of
from scenekit.io.clock import USUAL_RATE
from scenekit.io.files import draft_beside, path_named, unwritable
from scenekit.io.images import read_image, rounded
from scenekit.io.video.opening import pyav

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Formats of files by suffix."""

ENCODERS = ("libx264", "libopenh264", "mpeg4")
"""Encoders, the best first: H.264, and where FFmpeg was built without it MPEG-4."""

OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qscale": "4"}}
"""Options of encoders: for each image the quality is the same, whatever the rate."""

UNIT = Fraction(1, 60_000)
"""Seconds of a unit of the timestamps; 24, 25, 29.97, 30, 50 and 60 images a second are whole numbers of it."""

BT709 = 1
"""The matrix of colors that players assume for all but small videos; it is named in the file."""


class VideoWriter:
    """Writes images as a video in which each is shown at its time, whatever the distances are.

    The file has H.264 in yuv420p, which players and browsers read, or MPEG-4 where no encoder of H.264 is there. Sides
    of an odd number of pixels get one more, a copy of the last. There is no sound.

    The file appears under its name when it is closed: with all images, or, where the `with` block ends with an error or
    Ctrl-C, with those that have been written until then. It can be played in both cases. A file of that name is
    replaced then; without a single image there is no new file. Images are encoded in a thread of their own.

    ```python
    with sk.video("clip.mp4") as frames, sk.VideoWriter("drawn.mp4", rate=frames.rate) as writer:
        for frame in frames:
            writer.write(model.predict(frame).draw(frame), frame.moment.time)
    ```

    Args:
        path: The file; its suffix, .mp4, .m4v, .mov or .mkv, says which format it has.
        rate: Images a second that the file names as usual, 25 if None; the last image is shown for one such step.

    Raises:
        InputError: PyAV is not installed, the suffix is another one, or the folder is missing or cannot be written.

    Attributes:
        path: The file.
        count: Number of images that have been written.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: float | None = None) -> None:
        self.path, self.count = path_named(path), 0
        if self.path.is_dir():
            raise InputError(f"cannot write {self.path}: it is a folder; name a file")
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise InputError(f"rate: expected images a second, got {repr_of(rate)}")
        self._step = max(round(1 / (rate or USUAL_RATE) / UNIT), 1)
        self._first, self._last = 0.0, -1
        draft = draft_beside(self.path)
        self._encoder = Encoder(pyav(), draft, format_of(self.path), self._step)
        try:
            draft.touch()
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._draft: Path | None = draft
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scenekit-video")
        self._running: Future[None] | None = None

    def write(self, image: Any, time: float | None = None) -> None:
        """Add an image.

        Args:
            image: A PIL image, an array [H W 3], a tensor [3 H W], or whatever else `read_image` takes; one of another
                size than the first is scaled to that.
            time: Seconds at which it is shown, on any clock: the first image is at the beginning of the file. Without,
                it follows the one before at the usual rate.

        Raises:
            InputError: The time is not later than that of the image before, the image is invalid, the file is closed,
                or it cannot be written.
        """
        if self._draft is None:
            raise InputError(f"{self.path}: this video is closed; open another one")
        stamp = self._stamp(time)
        pixels = rounded(read_image(image)).permute(1, 2, 0).numpy()
        self._wait()
        self._running = self._thread.submit(self._encoder.add, pixels, stamp)
        self._last = stamp
        self.count += 1

    def close(self) -> None:
        """Complete the file; with no image, none is written.

        Raises:
            InputError: The file cannot be written.
        """
        draft, self._draft = getattr(self, "_draft", None), None
        if draft is None:
            return
        self._running, last = self._thread.submit(self._complete, draft, self._running), None
        try:
            self._wait()
        except KeyboardInterrupt as error:  # the thread goes on
            last = error
            self._wait()
        finally:
            self._thread.shutdown()
        if last is not None:
            raise last

    def _wait(self) -> None:
        """Wait for what the thread does."""
        running = self._running
        try:
            if running is not None:
                running.result()
        except (self._encoder.av.error.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error

    def _complete(self, draft: Path, last: Future[None] | None) -> None:
        """Complete the draft and give it its name; it is removed where that fails, or the last image has failed."""
        try:
            self._encoder.close()
            if last is not None:
                last.result()
                draft.replace(self.path)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _stamp(self, time: float | None) -> int:
        """Return the timestamp of an image."""
        if time is None:
            return self._last + self._step if self.count else 0
        if not math.isfinite(time):
            raise InputError(f"{self.path}: expected the time of an image in seconds, got {repr_of(time)}")
        if not self.count:
            self._first = time
        stamp = round((time - self._first) / UNIT)
        if stamp <= self._last:
            before = self._first + float(self._last * UNIT)
            raise InputError(
                f"{self.path}: the times of images must increase, by {float(UNIT):.0e} s at least;"
                f" got {time:g} s after {before:g} s"
            )
        return stamp

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


@dataclass(eq=False)
class Encoder:
    """Encodes images into a file, which is opened for the first one."""

    av: Any
    """The module of PyAV."""
    path: Path
    """The file."""
    format: str
    """Its format in FFmpeg."""
    step: int
    """The usual distance of two images, in units of the timestamps."""
    container: OutputContainer | None = None
    """The open file."""

    def add(self, pixels: UInt8[np.ndarray, "H W 3"], stamp: int) -> None:
        """Encode an image.

        Args:
            pixels: RGB; in another size than the first, it is scaled to that.
            stamp: Its timestamp.
        """
        pixels = even(pixels)
        if self.container is None:
            self._open(pixels.shape[1], pixels.shape[0])
        assert self.container is not None
        size = self.stream.width, self.stream.height
        if pixels.shape[1::-1] != size:
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = stamp, UNIT
        self._mux(self.stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and the table of contents."""
        container, self.container = self.container, None
        if container is None:
            return
        try:
            self._mux(self.stream.encode(None), container)
        finally:
            container.close()

    def _mux(self, packets: list[Packet[VideoStream]], container: OutputContainer | None = None) -> None:
        for packet in packets:
            packet.duration = packet.duration or self.step  # for which the last image is shown
        target = container or self.container
        assert target is not None
        target.mux(packets)

    def _open(self, width: int, height: int) -> None:
        options = {"movflags": "+faststart"} if self.format in ("mp4", "mov") else {}
        name = encoder_name(self.av)
        self.container = self.av.open(str(self.path), "w", format=self.format, container_options=options)
        stream = cast("VideoStream", self.container.add_stream(name, options=OPTIONS.get(name, {})))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = UNIT
        stream.codec_context.framerate = 1 / (self.step * UNIT)
        stream.codec_context.colorspace = BT709
        stream.codec_context.max_b_frames = 0  # decoding order is that of time: the file ends with the last image
        self.stream = stream


def format_of(path: Path) -> str:
    """Return the format of a video file.

    Args:
        path: The file.

    Returns:
        Its name in FFmpeg.

    Raises:
        InputError: The suffix is none of those that can be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected the name of a video file, with {listed(FORMATS, 9)}")
    return FORMATS[path.suffix.lower()]


def encoder_name(av: Any) -> str:
    """Return the best encoder that is installed.

    Args:
        av: The module of PyAV.

    Returns:
        Its name.

    Raises:
        InputError: There is none.
    """
    for name in ENCODERS:
        with suppress(av.error.FFmpegError, ValueError):  # UnknownCodecError is a ValueError
            av.codec.Codec(name, "w")
            return name
    raise InputError(f"the FFmpeg of PyAV has none of the encoders {', '.join(ENCODERS)}; install PyAV's own wheel")


def even(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Repeat the last row and column where their number is odd.

    Args:
        pixels: The image.

    Returns:
        The image with even sides.
    """
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
