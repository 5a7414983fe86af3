"""Decoded frames as RGB images that are upright and have square pixels.

Letters: H W pixels of the upright image, h w those of the decoded frame.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from av import VideoFrame

WHITE = 255
"""What shows through where a frame is transparent."""


@dataclass(frozen=True)
class Display:
    """How a decoded frame is to be shown: what is done to it, in this order."""

    transposed: bool = False
    """Whether rows and columns are exchanged."""
    mirrored: bool = False
    """Whether it is then mirrored left to right."""
    upside_down: bool = False
    """Whether it is then mirrored top to bottom."""

    @classmethod
    def of(cls, frame: VideoFrame) -> Display:
        """Return what the display matrix of a frame asks for, to the nearest multiple of 90 degrees.

        A pixel x, y is shown at a x + c y, b x + d y (ISO/IEC 14496-12, 6.2.2).

        Args:
            frame: The frame.

        Returns:
            The display.
        """
        data: Any = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def applied(self, image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "H W c"]:
        """Return an image as it is to be shown.

        Args:
            image: The decoded image.

        Returns:
            A view of it.
        """
        turned = image.transpose(1, 0, 2) if self.transposed else image
        return turned[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


@dataclass
class Converter:
    """Converts the frames of a stream, whatever their pixel format."""

    aspect: Fraction | None
    """Width of a pixel over its height, where the stream names one."""
    display: Display
    """How the frames are to be shown."""
    _reformatter: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, aspect: Fraction | None, frame: VideoFrame) -> Converter:
        """Return the converter of a stream.

        Args:
            aspect: Width of a pixel over its height, where the stream names one.
            frame: Its first frame: the display matrix of a stream is the same for all. It is read once, as a frame that
                was asked for it keeps its memory until the garbage collector runs.

        Returns:
            The converter.
        """
        return cls(aspect, Display.of(frame))

    def size_of(self, frame: VideoFrame) -> Size:
        """Return height and width of the image that a frame becomes.

        Args:
            frame: The frame.

        Returns:
            (height, width) in pixels.
        """
        height, width = frame.height, self._square_width(frame)
        return (width, height) if self.display.transposed else (height, width)

    def image(self, frame: VideoFrame) -> UInt8[Tensor, "3 H W"]:
        """Convert a frame.

        Args:
            frame: The frame.

        Returns:
            RGB, upright.
        """
        if self._reformatter is None:
            from av.video.reformatter import VideoReformatter

            self._reformatter = VideoReformatter()
        format = "rgba" if _is_transparent(frame) else "rgb24"
        converted = self._reformatter.reformat(frame, self._square_width(frame), frame.height, format)
        image = self.display.applied(converted.to_ndarray())
        return torch.from_numpy(np.ascontiguousarray(_opaque(image).transpose(2, 0, 1)))

    def _square_width(self, frame: VideoFrame) -> int:
        aspect = self.aspect or Fraction(1)
        return max(round(frame.width * aspect), 1) if aspect > 0 else frame.width


def _is_transparent(frame: VideoFrame) -> bool:
    format = frame.format
    return format.has_palette or any(component.is_alpha for component in format.components)


def _opaque(image: UInt8[np.ndarray, "H W c"]) -> UInt8[np.ndarray, "H W 3"]:
    """Compose an image with opacity over white."""
    if image.shape[2] == 3:
        return image
    colors, opacity = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    return ((colors * opacity + WHITE * (255 - opacity) + 127) // 255).astype(np.uint8)
