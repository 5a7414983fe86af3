"""Pixels of the messages Image and CompressedImage: colors as RGB of eight bits, depth as metres.

Letters: H W height and width in pixels, C channels.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from scenekit.errors import InputError, listed, one_line

COLORS: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "rgb8": (3, "u1", (0, 1, 2)),
    "bgr8": (3, "u1", (2, 1, 0)),
    "rgba8": (4, "u1", (0, 1, 2)),
    "bgra8": (4, "u1", (2, 1, 0)),
    "mono8": (1, "u1", (0, 0, 0)),
    "rgb16": (3, "u2", (0, 1, 2)),
    "bgr16": (3, "u2", (2, 1, 0)),
    "rgba16": (4, "u2", (0, 1, 2)),
    "bgra16": (4, "u2", (2, 1, 0)),
    "mono16": (1, "u2", (0, 0, 0)),
    "8UC1": (1, "u1", (0, 0, 0)),
    "8UC3": (3, "u1", (2, 1, 0)),
    "8UC4": (4, "u1", (2, 1, 0)),
}
"""Encodings of colors: the number of channels, the type of a value, and the channels of red, green and blue."""

DEPTHS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
"""Encodings of depth, and the type of a value: whole millimetres, or metres."""

MILLIMETRE = 0.001

PNG = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG; in a message of compressed depth 12 bytes of parameters come before it."""

COMPRESSED = "sensor_msgs/msg/CompressedImage"


def is_compressed(message: Any) -> bool:
    """Return whether a message is a CompressedImage, by its fields.

    Args:
        message: An Image or a CompressedImage.

    Returns:
        True if it has a format in place of an encoding.
    """
    return not hasattr(message, "encoding")


def color_image(message: Any, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decode the colors of an image.

    Opacity is dropped, grey becomes three equal channels, and values of 16 bits are divided by 257, so that images of
    one camera stay comparable.

    Args:
        message: An Image or a CompressedImage.
        name: Name of the image in errors.

    Returns:
        RGB.

    Raises:
        InputError: The encoding is another one, or the data are damaged.
    """
    if is_compressed(message):
        return np.asarray(_decompressed(bytes(message.data), message.format, name).convert("RGB"))
    check_encoding(message, name)
    channels, kind, order = COLORS[message.encoding]
    pixels = _rows(message, channels, kind, name)[:, :, order]
    return pixels if kind == "u1" else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def check_encoding(message: Any, name: str) -> None:
    """Check that colors can be decoded.

    Args:
        message: An Image or a CompressedImage, whose format is known only when it is decoded.
        name: Name of the image in errors.

    Raises:
        InputError: The encoding is unknown.
    """
    if not is_compressed(message) and message.encoding not in COLORS:
        hint = "; run image_proc's debayer first" if message.encoding.startswith("bayer") else ""
        known = listed(COLORS, len(COLORS))
        raise InputError(f"{name}: the encoding {message.encoding!r} is unknown; expected one of {known}{hint}")


def depth_image(message: Any, name: str) -> Float[Tensor, "H W"]:
    """Decode an image of depth.

    Args:
        message: An Image, or a CompressedImage that holds a PNG of 16 bits.
        name: Name of the image in errors.

    Returns:
        Metres along z; NaN where a pixel has none (0, below 0, infinite, or NaN).

    Raises:
        InputError: The encoding is another one, or the data are damaged.
    """
    check_depth_encoding(message, name)
    if is_compressed(message):
        raw = _compressed_depth(message, name)
    else:
        raw = _rows(message, 1, DEPTHS[message.encoding], name)[:, :, 0]
    metres = raw.astype(np.float32) * np.float32(MILLIMETRE if raw.dtype.kind == "u" else 1.0)
    return torch.from_numpy(np.where(np.isfinite(metres) & (metres > 0), metres, np.float32("nan")))


def check_depth_encoding(message: Any, name: str) -> None:
    """Check that depth can be decoded.

    Args:
        message: An Image or a CompressedImage.
        name: Name of the image in errors.

    Raises:
        InputError: The encoding is unknown.
    """
    if is_compressed(message):
        if message.format.startswith("32FC1"):
            raise InputError(
                f"{name}: compressed depth of the format {message.format!r}; expected a PNG of 16 bits (16UC1)"
            )
    elif message.encoding not in DEPTHS:
        raise InputError(
            f"{name}: depth with the encoding {message.encoding!r} is unknown; expected 16UC1 (millimetres) or 32FC1"
            " (metres)"
        )


def _rows(message: Any, channels: int, kind: str, name: str) -> np.ndarray:
    """Return an array [H W C] in the byte order of this machine; what pads a row is dropped."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    row = width * channels * int(kind[1])
    data = np.frombuffer(bytes(message.data), np.uint8)
    if min(height, width) < 1 or step < row or len(data) < (height - 1) * step + row:
        raise InputError(
            f"{name}: {width} x {height} pixels of {message.encoding} need rows of {row} bytes; got a step of {step},"
            f" and {len(data)} bytes of data"
        )
    padded = np.zeros(height * step, np.uint8)
    padded[: len(data)] = data[: height * step]
    values = np.ascontiguousarray(padded.reshape(height, step)[:, :row]).view(
        f"{'<>'[bool(message.is_bigendian)]}{kind}"
    )
    return values.astype(values.dtype.newbyteorder("=")).reshape(height, width, channels)


def _decompressed(data: bytes, format: str, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as cause:  # decoders raise nearly anything on damaged data
        raise InputError(
            f"{name}: the compressed image (format {format!r}) cannot be decoded ({one_line(cause)}); expected JPEG or"
            " PNG"
        ) from cause
    return image


def _compressed_depth(message: Any, name: str) -> np.ndarray:
    data = bytes(message.data)
    start = data.find(PNG, 0, 64)
    if start < 0:
        raise InputError(
            f"{name}: compressed depth of the format {message.format!r}; expected a PNG of 16 bits (16UC1)"
        )
    return np.asarray(_decompressed(data[start:], message.format, name)).astype(np.uint16)
