"""How an image is cropped, resized and flipped, and what that does to coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class Geometry:
    """Crop `window` of an image of `source` pixels, resize it to `size`, then flip it left-right if `mirrored`.

    Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1), so that resizing is a pure scaling and a flip is x
    -> width - x.
    """

    source: Size
    """(height, width) of the image before, in pixels."""
    window: tuple[int, int, int, int]
    """x0, y0, x1, y1 in whole source pixels, half-open."""
    size: Size
    """(height, width) of the result, in pixels."""
    mirrored: bool = False
    """Whether the result is flipped left-right."""

    @classmethod
    def identity(cls, size: Size) -> Geometry:
        """Return the geometry that changes nothing.

        Args:
            size: (height, width) of the image, in pixels.

        Returns:
            The geometry.
        """
        return cls.resize(size, size)

    @classmethod
    def resize(cls, source: Size, size: Size) -> Geometry:
        """Return the geometry that changes the resolution alone.

        Args:
            source: (height, width) before, in pixels.
            size: (height, width) after, in pixels.

        Returns:
            The geometry.
        """
        return cls(source, (0, 0, source[1], source[0]), size)

    @classmethod
    def crop(cls, source: Size, window: tuple[int, int, int, int]) -> Geometry:
        """Return the geometry that crops alone, pixel for pixel.

        Args:
            source: (height, width) before, in pixels.
            window: x0, y0, x1, y1 in whole source pixels, half-open.

        Returns:
            The geometry.
        """
        x0, y0, x1, y1 = window
        return cls(source, window, (y1 - y0, x1 - x0))

    @classmethod
    def flip(cls, source: Size) -> Geometry:
        """Return the geometry that flips left-right alone.

        Args:
            source: (height, width) of the image, in pixels.

        Returns:
            The geometry.
        """
        return cls(source, (0, 0, source[1], source[0]), source, mirrored=True)

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) factors from source to result pixels."""
        x0, y0, x1, y1 = self.window
        return self.size[1] / (x1 - x0), self.size[0] / (y1 - y0)

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self == Geometry.identity(self.source)

    @property
    def crops(self) -> bool:
        """Whether anything of the source is cut off."""
        return self.window != (0, 0, self.source[1], self.source[0])

    def then(self, other: Geometry) -> Geometry:
        """Compose two changes into one.

        Exact where the window of `other` falls on whole pixels of this source (always when this one does not resize);
        otherwise it is rounded to the nearest ones.

        Args:
            other: What comes after this one; its source is the result of this one.

        Returns:
            The geometry that does both in one step.
        """
        x0, y0, x1, y1 = other.window
        if self.mirrored:
            x0, x1 = self.size[1] - x1, self.size[1] - x0
        (left, top, right, bottom), (sx, sy) = self.window, self.scale
        columns = _whole(left + x0 / sx, left + x1 / sx, right)
        rows = _whole(top + y0 / sy, top + y1 / sy, bottom)
        window = (columns[0], rows[0], columns[1], rows[1])
        return Geometry(self.source, window, other.size, self.mirrored != other.mirrored)

    def points(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Return where points come to lie, unclipped.

        Args:
            xy: Points in source pixels.

        Returns:
            The points in result pixels.
        """
        moved = (xy - xy.new_tensor(self.window[:2])) * xy.new_tensor(self.scale)
        if self.mirrored:
            moved = torch.stack((self.size[1] - moved[..., 0], moved[..., 1]), dim=-1)
        return moved

    def boxes(self, xyxy: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
        """Return where boxes come to lie, unclipped, their corners in order also after a flip.

        Args:
            xyxy: Boxes in source pixels.

        Returns:
            The boxes in result pixels.
        """
        first, second = self.points(xyxy[..., :2]), self.points(xyxy[..., 2:])
        return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), dim=-1)


def _whole(start: float, stop: float, limit: int) -> tuple[int, int]:
    """Round a span to whole pixels, at least one of them, that end at `limit` or before."""
    first = min(round(start), limit - 1)
    return first, max(round(stop), first + 1)
