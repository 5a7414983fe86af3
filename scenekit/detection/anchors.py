"""Reference boxes at every cell of a feature pyramid.

Letters: A anchors per cell, K anchors of a level (rows, columns, then anchors of the cell), h w cells.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.detection.config import AnchorConfig
from scenekit.errors import InputError
from scenekit.structures.features import FeaturePyramid
from scenekit.structures.geometry import Size


class AnchorGenerator:
    """Anchors of every level of a feature pyramid, cached by size, as most batches share theirs.

    Args:
        config: Sizes and ratios of the anchors.
        levels: Number of levels of the pyramid.
    """

    def __init__(self, config: AnchorConfig, levels: int) -> None:
        if len(config.sizes) != levels:
            single = ", or set preset: single_map" if levels == 1 else ""
            raise InputError(
                f"anchors.sizes has {len(config.sizes)} levels, expected {levels} as the feature pyramid has; "
                f"give one entry per level{single}"
            )
        self.config = config

    def __call__(self, features: FeaturePyramid, padded_size: Size) -> list[Float[Tensor, "_ 4"]]:
        """Return the anchors of each level in network pixels; they may extend over the border."""
        device = features.maps[0].device
        grids = [(int(level.shape[2]), int(level.shape[3])) for level in features.maps]
        steps = [self._step(grid, stride, padded_size) for grid, stride in zip(grids, features.strides, strict=True)]
        return [
            _level_anchors(self.config, level, grid, step, device)
            for level, (grid, step) in enumerate(zip(grids, steps, strict=True))
        ]

    def _step(self, grid: Size, stride: int, padded_size: Size) -> Size:
        if self.config.stride == "nominal":
            return stride, stride
        return padded_size[0] // grid[0], padded_size[1] // grid[1]


@functools.lru_cache(maxsize=64)
def _level_anchors(
    config: AnchorConfig, level: int, grid: Size, step: Size, device: torch.device
) -> Float[Tensor, "K 4"]:
    # An inference tensor must not stay in the cache: training may need the same size next.
    with torch.inference_mode(False), torch.no_grad():
        steps = zip(grid, step, strict=True)
        axes = [(torch.arange(cells, device=device) + config.offset) * pixels for cells, pixels in steps]
        y, x = torch.meshgrid(*axes, indexing="ij")
        centers = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
        return (centers + _cell_anchors(config, level).to(device)).reshape(-1, 4)


def _cell_anchors(config: AnchorConfig, level: int) -> Float[Tensor, "A 4"]:
    """Return boxes of area size^2 around (0, 0): for each ratio all sizes."""
    sizes = torch.tensor(config.sizes[level])
    roots = torch.tensor(config.ratios).sqrt()[:, None]
    widths, heights = (1 / roots * sizes).flatten(), (roots * sizes).flatten()
    anchors = torch.stack((-widths, -heights, widths, heights), dim=1) / 2
    return anchors.round() if config.rounded else anchors
