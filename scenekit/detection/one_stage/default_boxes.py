"""Default boxes of SSD, in parts of the image (Liu et al., SSD, 2016, section 2.2).

Letters: A boxes per cell, h w cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from scenekit.config import Config
from scenekit.detection.config import Positive, Width
from scenekit.errors import InputError
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.geometry import Size


class DefaultBoxConfig(Config):
    """Default boxes: at each cell two squares, and two boxes of each aspect ratio."""

    smallest: float = Field(default=0.15, gt=0)
    """Scale of the finest level, in parts of the image, where `scales` is null."""
    largest: float = Field(default=0.9, gt=0)
    """Scale of the coarsest level; those between are spaced evenly."""
    scales: tuple[Positive, ...] | None = None
    """Scale of each level, and one more."""
    ratios: tuple[tuple[Positive, ...], ...] | None = None
    """Aspect ratios of each level, each as width / height and as height / width; 2 and 3 on every level if null, only 2
    on a finest level with `reduced`.
    """
    reduced: float | None = Field(default=None, gt=0)
    """Scale of the only square of the finest level, in place of its two; null keeps both."""
    unit: Literal["sides", "shorter_side"] = "sides"
    """What scales are parts of: "sides", the width and the height of the image; "shorter_side", so that squares are
    squares in every image.
    """
    steps: tuple[Width, ...] | None = None
    """Pixels between the cells of each level; if null, the cells divide the image."""
    clip: bool = True
    """Whether no box is larger than the image."""


class DefaultBoxes:
    """Default boxes of every level.

    Args:
        config: Their options.
        levels: Number of levels.
        trained_side: Side in pixels of the images on which a network was trained, for boxes that lie on images of
            other sizes as this network learned; None for boxes in parts of each image.

    Raises:
        InputError: If an option has entries for another number of levels.
    """

    def __init__(self, config: DefaultBoxConfig, levels: int, trained_side: int | None = None) -> None:
        self.config, self.trained_side = config, trained_side
        step = (config.largest - config.smallest) / max(levels - 1, 1)
        even = (*(config.smallest + step * level for level in range(levels)), 1.0)
        scales = even if config.scales is None else config.scales
        first = (2.0, 3.0) if config.reduced is None else (2.0,)
        ratios = (first, *((2.0, 3.0),) * (levels - 1)) if config.ratios is None else config.ratios
        counts = {"scales": (len(scales), levels + 1), "ratios": (len(ratios), levels)}
        if config.steps is not None:
            counts["steps"] = (len(config.steps), levels)
        for name, (count, expected) in counts.items():
            if count != expected:
                raise InputError(f"boxes.{name}: expected {expected} entries for {levels} levels, got {count}")
        squares: list[tuple[float, ...]] = [(own, math.sqrt(own * following)) for own, following in pairwise(scales)]
        if config.reduced is not None:
            squares[0] = (config.reduced,)
        self.shapes = [_shapes(scales[level], squares[level], ratios[level]) for level in range(levels)]

    @property
    def per_cell(self) -> list[int]:
        """Number of boxes at each cell, of each level."""
        return [len(shapes) for shapes in self.shapes]

    def __call__(self, maps: FeaturePyramid, padded_size: Size) -> list[Float[Tensor, "_ 4"]]:
        """Return the boxes of each level in network pixels; they may extend over the border."""
        return [
            self._of_level(level, features.shape[2:], stride, padded_size).to(features.device)
            for level, (features, stride) in enumerate(zip(maps.maps, maps.strides, strict=True))
        ]

    def _of_level(self, level: int, grid: Sequence[int], stride: int, padded_size: Size) -> Float[Tensor, "_ 4"]:
        y, x = (self._centers(level, *axis, stride) for axis in zip(grid, padded_size, strict=True))
        centers = torch.cartesian_prod(y, x).flip(1)[:, None]
        shapes = torch.tensor(self.shapes[level])
        height, width = padded_size
        if (unit := self._unit(padded_size)) is not None:
            shapes = shapes * torch.tensor([unit / width, unit / height])
        half = 0.5 * (shapes.clamp(max=1) if self.config.clip else shapes)
        boxes = torch.cat((centers - half, centers + half), dim=2).flatten(0, 1)
        return boxes * boxes.new_tensor([width, height, width, height])

    def _centers(self, level: int, cells: int, side: int, stride: int) -> Float[Tensor, " _"]:
        """Return where the cells along one side are, in parts of it.

        The network sees cells of its stride. Where these divided the images of its training to other steps, it learned
        the mean of the shifts between them; that is zero for a grid in the middle of such an image.
        """
        steps, trained = self.config.steps, self.trained_side
        if steps is not None:
            return (torch.arange(cells) + 0.5) / (side / steps[level])
        if trained in (None, side):
            return (torch.arange(cells) + 0.5) / cells
        first = trained / 2 - stride * (math.ceil(trained / stride) - 1) / 2
        return (torch.arange(cells) * stride + first) / side

    def _unit(self, padded_size: Size) -> int | None:
        """Return how many pixels a scale of 1 has along both sides; None for those of each side."""
        if self.trained_side is not None:
            return self.trained_side
        return min(padded_size) if self.config.unit == "shorter_side" else None


def _shapes(scale: float, squares: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Return widths and heights: squares, then for each ratio the broad and the tall box."""
    pairs = [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for ratio in ratios]
    return [*((side, side) for side in squares), *(shape for w, h in pairs for shape in ((w, h), (h, w)))]
