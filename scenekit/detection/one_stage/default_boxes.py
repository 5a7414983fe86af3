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
    unit: Literal["sides", "shorter_side"] | Width = "sides"
    """What scales are parts of: "sides", the width and the height of the image; "shorter_side", so that squares are
    squares in every image; or a number of pixels: with the side on which weights were trained, boxes keep their size in
    pixels on images of any size.
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

    Raises:
        InputError: If an option has entries for another number of levels.
    """

    def __init__(self, config: DefaultBoxConfig, levels: int) -> None:
        self.config = config
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

    def __call__(self, maps: Sequence[Float[Tensor, "B _ _ _"]], padded_size: Size) -> list[Float[Tensor, "_ 4"]]:
        """Return the boxes of each level in network pixels; they may extend over the border."""
        grids = [(int(level.shape[2]), int(level.shape[3])) for level in maps]
        return [self._of_level(level, grid, padded_size).to(maps[0].device) for level, grid in enumerate(grids)]

    def _of_level(self, level: int, grid: Size, padded_size: Size) -> Float[Tensor, "_ 4"]:
        steps = self.config.steps
        counts = grid if steps is None else tuple(side / steps[level] for side in padded_size)
        y, x = ((torch.arange(cells) + 0.5) / count for cells, count in zip(grid, counts, strict=True))
        centers = torch.cartesian_prod(y, x).flip(1)[:, None]
        shapes = torch.tensor(self.shapes[level])
        height, width = padded_size
        unit = self.config.unit
        if unit != "sides":
            pixels = min(padded_size) if unit == "shorter_side" else unit
            shapes = shapes * torch.tensor([pixels / width, pixels / height])
        half = 0.5 * (shapes.clamp(max=1) if self.config.clip else shapes)
        boxes = torch.cat((centers - half, centers + half), dim=2).flatten(0, 1)
        return boxes * boxes.new_tensor([width, height, width, height])


def _shapes(scale: float, squares: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Return widths and heights: squares, then for each ratio the broad and the tall box."""
    pairs = [(scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for ratio in ratios]
    return [*((side, side) for side in squares), *(shape for w, h in pairs for shape in ((w, h), (h, w)))]
