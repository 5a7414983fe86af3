"""Writing images with their times as a video file."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from scenekit.errors import InputError, listed, repr_of
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
    replaced then; without a single image there is no new file.

    ```python
    with sk.VideoWriter("drawn.mp4") as writer:
        for frame in sk.video("clip.mp4"):
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
        self._format = format_of(self.path)
        self._av = pyav()
        self._step = max(round(1 / (rate or 25) / UNIT), 1)
        self._draft: Path | None = draft_beside(self.path)
        self._container: OutputContainer | None = None
        self._first, self._last = 0.0, -1
        if self.path.is_dir():
            raise InputError(f"cannot write {self.path}: it is a folder; name a file")
        try:
            self._draft.touch()
        except OSError as error:
            raise unwritable(self.path, error) from error

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
        try:
            self._encode(even(pixels), stamp)
        except (self._av.error.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error
        self._last = stamp
        self.count += 1

    def close(self) -> None:
        """Complete the file; with no image, none is written.

        Raises:
            InputError: The file cannot be written.
        """
        draft, self._draft = self._draft, None
        if draft is None:
            return
        container, self._container = self._container, None
        try:
            if container is not None:
                self._complete(container)
                draft.replace(self.path)
        except (self._av.error.FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _complete(self, container: OutputContainer) -> None:
        """Write what the encoder still holds, and the table of contents."""
        try:
            container.mux(self._timed(self._stream.encode(None)))
        finally:
            container.close()

    def _stamp(self, time: float | None) -> int:
        """Return the timestamp of an image."""
        if time is None:
            return self._last + self._step if self.count else 0
        if not np.isfinite(time):
            raise InputError(f"{self.path}: expected the time of an image in seconds, got {repr_of(time)}")
        if not self.count:
            self._first = time
        stamp = round((time - self._first) / UNIT)
        if stamp <= self._last:
            raise InputError(
                f"{self.path}: the times of images must increase, by {float(UNIT):.0e} s at least; got {time:g} s after"
                f" {self._first + float(self._last * UNIT):g} s"
            )
        return stamp

    def _encode(self, pixels: UInt8[np.ndarray, "h w 3"], stamp: int) -> None:
        if self._container is None:
            self._begin(pixels.shape[1], pixels.shape[0])
        assert self._container is not None
        if pixels.shape[:2] != (self._stream.height, self._stream.width):
            size = self._stream.width, self._stream.height
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = stamp, UNIT
        self._container.mux(self._timed(self._stream.encode(frame)))

    def _timed(self, packets: list[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
        """Set the duration of packets, for which the last one is shown."""
        for packet in packets:
            packet.duration = packet.duration or self._step
        return packets

    def _begin(self, width: int, height: int) -> None:
        """Open the draft for images of a size."""
        options = {"movflags": "+faststart"} if self._format in ("mp4", "mov") else {}
        container: OutputContainer = self._av.open(
            str(self._draft), "w", format=self._format, container_options=options
        )
        self._container = container
        self._stream = self._stream_in(container, width, height)

    def _stream_in(self, container: OutputContainer, width: int, height: int) -> VideoStream:
        name = encoder(self._av)
        stream: VideoStream = cast("VideoStream", container.add_stream(name, options=OPTIONS.get(name, {})))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = UNIT
        stream.codec_context.framerate = 1 / (self._step * UNIT)
        stream.codec_context.colorspace = BT709
        stream.codec_context.max_b_frames = 0  # decoding order is that of time: the file ends with the last image
        return stream

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


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


def encoder(av: Any) -> str:
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
