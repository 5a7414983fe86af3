"""How an image was cropped, resized and mirrored, and what that does to coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class Geometry:
    """Cut `window` out of an image of `source` pixels, resize it to `size`, then mirror it left-right if `mirrored`.

    `window` is x0, y0, x1, y1 in whole source pixels, half-open. Coordinates are continuous: pixel (0, 0) covers
    [0, 1) x [0, 1), so resizing is a pure scaling and mirroring is x -> width - x.
    """

    source: Size
    window: tuple[int, int, int, int]
    size: Size
    mirrored: bool = False

    @classmethod
    def resize(cls, source: Size, size: Size) -> Geometry:
        """Only a change of resolution."""
        return cls(source, (0, 0, source[1], source[0]), size)

    @classmethod
    def crop(cls, source: Size, window: tuple[int, int, int, int]) -> Geometry:
        """Only a cut-out, pixel for pixel."""
        x0, y0, x1, y1 = window
        return cls(source, window, (y1 - y0, x1 - x0))

    @classmethod
    def flip(cls, source: Size) -> Geometry:
        """Only a left-right mirroring."""
        return cls(source, (0, 0, source[1], source[0]), source, mirrored=True)

    @property
    def scale(self) -> tuple[float, float]:
        """(x, y) factors from source to result pixels."""
        x0, y0, x1, y1 = self.window
        return self.size[1] / (x1 - x0), self.size[0] / (y1 - y0)

    def points(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Where points given in source pixels come to lie, in result pixels (unclipped)."""
        moved = (xy - xy.new_tensor(self.window[:2])) * xy.new_tensor(self.scale)
        if self.mirrored:
            moved = torch.stack((self.size[1] - moved[..., 0], moved[..., 1]), dim=-1)
        return moved

    def boxes(self, xyxy: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
        """Where xyxy boxes come to lie, corners ordered again after mirroring (unclipped)."""
        first, second = self.points(xyxy[..., :2]), self.points(xyxy[..., 2:])
        return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), dim=-1)
