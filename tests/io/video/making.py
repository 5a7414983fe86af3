"""Small videos, made by PyAV itself: what each frame shows is its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 48, 32


@dataclass(frozen=True)
class Made:
    """How a video is made."""

    codec: str = "libx264"
    format: str = "yuv420p"
    size: tuple[int, int] = (HEIGHT, WIDTH)
    key_frames: int = 10
    between: int = 2
    unit: Fraction = Fraction(1, 1000)
    stamps: Sequence[int] = field(default_factory=lambda: [40 * number for number in range(30)])
    matrix: Sequence[int] | None = None
    aspect: Fraction | None = None
    options: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path, images: Sequence[np.ndarray] | None = None) -> Path:
        """Write the video; without images those of `numbered`."""
        with av.open(str(path), "w") as container:
            stream = container.add_stream(self.codec, rate=25, options=self.options)
            stream.height, stream.width = self.size
            stream.pix_fmt, stream.time_base = self.format, self.unit
            stream.codec_context.time_base, stream.codec_context.gop_size = self.unit, self.key_frames
            stream.codec_context.max_b_frames = self.between
            if self.aspect is not None:
                stream.codec_context.sample_aspect_ratio = self.aspect
            if self.matrix is not None:
                stream.set_display_matrix(self.matrix)
            for number, stamp in enumerate(self.stamps):
                image = numbered(number, self.size) if images is None else images[number]
                frame = av.VideoFrame.from_ndarray(image, "rgba" if image.shape[2] == 4 else "rgb24")
                frame = frame.reformat(format=self.format)
                frame.pts, frame.time_base = stamp, self.unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path


def numbered(number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """An image with the bits of a number in eight columns, on a background with some noise."""
    image = np.random.default_rng(number).integers(90, 110, (*size, 3), dtype=np.uint8)
    for bit in range(8):
        column = slice(bit * size[1] // 8, (bit + 1) * size[1] // 8)
        image[size[0] // 2 :, column] = 235 if number >> bit & 1 else 20
    return image


def number_in(image: object) -> int:
    """The number that an image [3 H W] shows."""
    pixels = np.asarray(image)[:, -4:].mean((0, 1))
    return sum(1 << bit for bit, part in enumerate(np.array_split(pixels, 8)) if part.mean() > 128)


def spoiled(path: Path, first: int, count: int, target: Path) -> Path:
    """A copy with the packets from one on overwritten: `count` of them, in the order in which they are stored."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets[first : first + count]:
        assert packet.pos is not None
        data[packet.pos + 5 : packet.pos + packet.size] = b"\xff" * (packet.size - 5)
    target.write_bytes(data)
    return target
