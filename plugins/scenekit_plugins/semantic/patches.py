"""A classifier of the crop around each pixel, and the same weights as a fully convolutional network.

Letters: B images, L classes of the head, C channels, S side of a crop, h w crops along the axes, H W pixels, N crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scenekit.model.head import Core
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.head import SemanticHead


class PatchHead(SemanticHead):
    """A head that classifies a crop around every `stride`-th pixel, or all of them at once where `shared`.

    Crops extend beyond the borders of the image, where pixels are zero.
    """

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        options = config.patches
        super().__init__(core, config, options.stride)
        self.side, self.chunk, self.shared = options.side, options.chunk, options.shared
        widths = (3, *(options.channels,) * options.stages)
        self.stages = nn.ModuleList(nn.Conv2d(*pair, kernel_size=3, stride=2) for pair in pairwise(widths))
        self.connected = nn.Conv2d(options.channels, options.hidden, kernel_size=3)  # what is left of a crop is 3x3
        self.predictor = self.predictor_of(options.hidden)

    def count_passes(self, maps: Sequence[Float[Tensor, "B 3 H W"]]) -> int:
        """Return the number of crops, or of images where the network is shared."""
        images, _, height, width = maps[0].shape
        return images if self.shared else images * self._cells(height) * self._cells(width)

    def logits(self, maps: Sequence[Float[Tensor, "B 3 H W"]]) -> Float[Tensor, "B L h w"]:
        padded = self._padded(maps[0])
        return self.everywhere(padded) if self.shared else self.crop_by_crop(padded)

    def classify(self, crops: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N L"]:
        """Classify the pixel at the center of each crop.

        Args:
            crops: The crops.

        Returns:
            Logits.
        """
        for stage in self.stages:
            crops = stage(crops).relu()
        logits: Tensor = self.predictor(self.connected(crops).relu())
        return logits.flatten(1)

    def crop_by_crop(self, padded: Float[Tensor, "B 3 _ _"]) -> Float[Tensor, "B L h w"]:
        """Classify one crop after the other, `chunk` at a time.

        Args:
            padded: Images with the surroundings that the outermost crops need.

        Returns:
            Logits of the pixels at the centers of the crops.
        """
        crops = padded.unfold(2, self.side, self.stride).unfold(3, self.side, self.stride)  # [B 3 h w S S], a view
        grid = (len(crops), *crops.shape[2:4])
        chunks = torch.split(torch.arange(grid[0] * grid[1] * grid[2], device=padded.device), self.chunk)
        logits = torch.cat([self._chunk(crops, rows, keep=len(chunks) == 1) for rows in chunks])
        return logits.reshape(*grid, -1).permute(0, 3, 1, 2)

    def everywhere(self, padded: Float[Tensor, "B 3 _ _"]) -> Float[Tensor, "B L h w"]:
        """Classify all crops by one pass on the whole image: neighbours share what they have in common.

        A stage's stride of 2 is taken where the crops are that far apart; else it becomes a dilation of all layers
        behind it, which then find their inputs 2 cells apart.

        Args:
            padded: As for `crop_by_crop`.

        Returns:
            The same logits.
        """
        maps, step, dilation = padded, 1, 1
        for stage in cast("list[nn.Conv2d]", self.stages):
            taken = 2 if self.stride % (2 * step) == 0 else 1
            maps = F.conv2d(maps, stage.weight, stage.bias, stride=taken, dilation=dilation).relu()
            step, dilation = step * taken, dilation * 2 // taken
        last = self.connected
        maps = F.conv2d(maps, last.weight, last.bias, stride=self.stride // step, dilation=dilation)
        logits: Tensor = self.predictor(maps.relu())
        return logits

    def _chunk(self, crops: Float[Tensor, "B 3 h w S S"], rows: Int[Tensor, " N"], keep: bool) -> Float[Tensor, "N L"]:
        """Classify some crops; with gradients they are cut out and classified again later, unless `keep`."""
        if keep or not torch.is_grad_enabled():
            return self._classify_rows(crops, rows)
        logits: Tensor = checkpoint(self._classify_rows, crops, rows, use_reentrant=False, preserve_rng_state=False)
        return logits

    def _classify_rows(self, crops: Float[Tensor, "B 3 h w S S"], rows: Int[Tensor, " N"]) -> Float[Tensor, "N L"]:
        image, y, x = torch.unravel_index(rows, (len(crops), *crops.shape[2:4]))
        return self.classify(crops[image, :, y, x])

    def _cells(self, length: int) -> int:
        return -(-length // self.stride)

    def _padded(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 _ _"]:
        """Pad with zeros, so that crop (i, j) is centered on the middle pixel of cell (i, j) of the logits."""
        before = self.side // 2 - self.stride // 2
        height, width = pixels.shape[2:]
        below, right = ((self._cells(n) - 1) * self.stride + self.side - before - n for n in (height, width))
        return F.pad(pixels, (before, right, before, below))
