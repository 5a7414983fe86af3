"""Sliding windows: scales x aspect ratios x places.

Letters: N windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.detection.proposals.config import SlidingWindowConfig
from scenekit.detection.proposals.stage import Candidates, ranked
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch

ORDER_SEED = 0
"""Seed of the order of the windows, which is the same for all images of a size."""


def count_windows(size: Size, config: SlidingWindowConfig) -> int:
    """Compute how many windows an image has.

    A window of w x h pixels has (1 + floor((W - w) / (stride w))) (1 + floor((H - h) / (stride h))) places in an image
    of W x H pixels.

    Args:
        size: (H, W) of the image, in pixels.
        config: Shapes and stride.

    Returns:
        The number of windows of all scales and aspect ratios.

    Example:
        ```python
        # 64 x 64 windows 16 pixels apart: 5 rows of 9 places
        count_windows((128, 192), SlidingWindowConfig(scales=(64,), ratios=(1,)))
        ```
    """
    return sum(math.prod(_places(size, shape, config.stride)) for shape in _shapes(size, config))


def windows(size: Size, config: SlidingWindowConfig) -> Float[Tensor, "N 4"]:
    """Return all windows of an image: by scale, then by aspect ratio, then row by row.

    A window that is larger than the image along an axis shrinks to it there. What a row or column of windows leaves
    over is shared between both ends.

    Args:
        size: (height, width) of the image, in pixels.
        config: Shapes and stride.

    Returns:
        Boxes, xyxy in pixels, as many as `count_windows` says.
    """
    return torch.cat([_grid(size, shape, config.stride) for shape in _shapes(size, config)])


def _shapes(size: Size, config: SlidingWindowConfig) -> Iterator[tuple[float, float]]:
    """Yield (height, width) of the windows, no larger than the image."""
    height, width = map(float, size)
    for scale in config.scales:
        for ratio in config.ratios:
            yield min(scale * math.sqrt(ratio), height), min(scale / math.sqrt(ratio), width)


def _places(size: Size, shape: tuple[float, float], stride: float) -> tuple[int, int]:
    """Return the number of rows and columns; a billionth of a step forgives rounding."""
    rows, columns = (1 + int((whole - side) / (stride * side) + 1e-9) for whole, side in zip(size, shape, strict=True))
    return rows, columns


def _grid(size: Size, shape: tuple[float, float], stride: float) -> Float[Tensor, "N 4"]:
    starts = []
    for whole, side, count in zip(size, shape, _places(size, shape, stride), strict=True):
        left_over = whole - side - (count - 1) * stride * side
        starts.append(left_over / 2 + stride * side * torch.arange(count, dtype=torch.float64))
    y, x = (axis.flatten() for axis in torch.meshgrid(*starts, indexing="ij"))
    return torch.stack((x, y, x + shape[1], y + shape[0]), dim=1).float()


class SlidingWindow:
    """Proposes the windows of an image, in an order whose every beginning is spread over shapes and places.

    Nothing in the image says which window is the better one: scales and aspect ratios take turns, each with its places
    in a fixed random order. A window's score is its rank, 1 for the first one down to 1 / N.

    Args:
        config: Shapes and stride.
    """

    def __init__(self, config: SlidingWindowConfig) -> None:
        self.config = config

    def __call__(self, images: ImageBatch, index: int) -> Candidates:
        """Return the windows of an image.

        Args:
            images: The batch.
            index: Index of the image in the batch.

        Returns:
            All windows.
        """
        size, random = images.sizes[index], torch.Generator().manual_seed(ORDER_SEED)
        grids = [_grid(size, shape, self.config.stride) for shape in _shapes(size, self.config)]
        shuffled = [grid[torch.randperm(len(grid), generator=random)] for grid in grids]
        turns = torch.cat([torch.arange(len(grid)) for grid in grids])
        return ranked(torch.cat(shuffled)[turns.argsort(stable=True)])
