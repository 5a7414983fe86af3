"""What is kept of a frame: a grid of cells.

Letters: B frames, C channels of the pyramid, G cells, D numbers of a cell, h w cells of a map.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.keys import FEATURES, IMAGES, Key
from scenekit.model.board import Board
from scenekit.model.head import Core, Provider
from scenekit.model.targets import Targets
from scenekit.structures import FeaturePyramid, ImageBatch

EVENT_CELLS: Key[Any, Any] = Key("event_cells", doc="a grid of cells of each frame [B G D]", shape=("B", "G", "D"))

COLORS = 9
"""Numbers of a part beside the features: the mean, the least and the largest of each channel of the pixels."""


def numbers(channels: int, parts: int) -> int:
    """Return how many numbers a cell has.

    Args:
        channels: Those of the pyramid.
        parts: Rows and columns of the parts of a cell.

    Returns:
        The number.
    """
    return (channels + COLORS) * parts**2


class FrameCells(Provider):
    """Pools features and pixels of each frame to a grid; has nothing to learn, so that frames can be read once for all.

    Args:
        core: Channels and levels of the pyramid.
        level: The level of the pyramid.
        grid: Rows and columns.
        parts: Rows and columns of the parts of a cell.
    """

    name = "event_cells"
    requires = (IMAGES, FEATURES)
    provides = (EVENT_CELLS,)

    def __init__(self, core: Core, level: int, grid: tuple[int, int], parts: int = 1) -> None:
        super().__init__()
        self.level, self.parts = min(level, len(core.strides) - 1), parts
        self.grid = (grid[0] * parts, grid[1] * parts)

    def forward(self, board: Board, targets: Targets | None = None) -> dict[str, Tensor]:
        images: ImageBatch = board[IMAGES]
        features: FeaturePyramid = board[FEATURES]
        rows = [self._cells(images, features.maps[self.level], index) for index in range(len(images))]
        board.put(EVENT_CELLS, torch.stack(rows).flatten(2).transpose(1, 2))
        return {}

    def _cells(self, images: ImageBatch, maps: Float[Tensor, "B C h w"], index: int) -> Float[Tensor, "D r c"]:
        """Pool the part of a frame that is no padding."""
        height, width = images.sizes[index]
        pixels = images.pixels[index, :, :height, :width].to(maps.dtype)
        (whole_height, whole_width), cells = images.padded_size, maps.shape[2:]
        h, w = -(-height * cells[0] // whole_height), -(-width * cells[1] // whole_width)
        pooled = F.adaptive_avg_pool2d(maps[index, :, :h, :w], self.grid)
        mean, most = F.adaptive_avg_pool2d(pixels, self.grid), F.adaptive_max_pool2d(pixels, self.grid)
        least = -F.adaptive_max_pool2d(-pixels, self.grid)
        return F.pixel_unshuffle(torch.cat((pooled, mean, least, most)), self.parts)
