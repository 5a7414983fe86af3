"""Depth of the cells of a region beside its RoI features.

Letters: N regions, S side of the RoI features, K samples along the side of a cell, D features of a region, B images,
H W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from scenekit.ops.rng import generator
from scenekit.structures import ImageBatch, Regions
from scenekit_plugins.boxes3d.refinement import depth_in_regions

SAMPLES = 4
"""Samples along each side of a cell (K)."""

STATISTICS = 3
"""Numbers of a cell: its median from that of the region, the range between its quartiles, its share with depth."""


class PooledDepth(nn.Module):
    """Adds what depth says of a region to its features; to the bit nothing where there is none.

    The layer begins with zeros, so that a model which did not know depth starts with its own results.

    Args:
        side: Side of the RoI features.
        features: Number of features of a region.
        dropout: Share of the training images whose depth is left out.
    """

    def __init__(self, side: int, features: int, dropout: float) -> None:
        super().__init__()
        self.side, self.dropout = side, dropout
        self.layer = nn.Linear(STATISTICS * side**2 + 1, features)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(
        self, features: Float[Tensor, "N D"], regions: Regions, images: ImageBatch, depth: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, "N D"]:
        """Return the features with those of depth.

        Args:
            features: Features of the regions.
            regions: The regions, in network pixels.
            images: The batch; images with seeds are those of a training step.
            depth: Metres along the optical axis, NaN for none.

        Returns:
            Features of the regions.
        """
        if images.seeds is not None:
            left_out = dropped(images.seeds, self.dropout).to(depth.device)
            depth = depth.masked_fill(left_out[:, None, None, None], torch.nan)
        numbers, there = statistics(regions, depth, self.side)
        return torch.where(there[:, None], features + self.layer(numbers.to(features)), features)


def dropped(seeds: tuple[int, ...], share: float) -> Bool[Tensor, " B"]:
    """Return of which training images depth is left out, which depends on their seeds alone."""
    return torch.stack([torch.rand((), generator=generator(seed, "boxes3d.depth")) < share for seed in seeds])


def statistics(
    regions: Regions, depth: Float[Tensor, "B 1 H W"], side: int
) -> tuple[Float[Tensor, "N F"], Bool[Tensor, " N"]]:
    """Compute what depth says of each region: of each cell and, as a logarithm, the median of all.

    Args:
        regions: The regions, in network pixels.
        depth: Metres along the optical axis, NaN for none.
        side: Side of the RoI features.

    Returns:
        `STATISTICS` numbers for each cell and the logarithm of the median, 0 where unknown; which regions have depth.
    """
    samples = depth_in_regions(regions, depth, side * SAMPLES)
    cells = samples.reshape(-1, side, SAMPLES, side, SAMPLES).transpose(2, 3).reshape(-1, side, side, SAMPLES**2)
    cells = cells.masked_fill(~(cells > 0), torch.nan)
    whole = cells.flatten(1).nanmedian(dim=1).values
    quartiles = cells.nanquantile(torch.tensor([0.25, 0.75], device=cells.device), dim=3)
    numbers = (
        cells.nanmedian(dim=3).values - whole[:, None, None],
        quartiles[1] - quartiles[0],
        cells.isfinite().float().mean(dim=3),
    )
    packed = torch.cat([*(part.flatten(1) for part in numbers), whole.log()[:, None]], dim=1)
    return packed.nan_to_num(0.0), whole.isfinite()
