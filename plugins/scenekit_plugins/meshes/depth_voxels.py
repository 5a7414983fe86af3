"""Voxels corrected by the depth that an image comes with.

Letters: N regions, P samples of a region, D cells along the side of a grid, M side of a mask, K samples along the side
of a cell, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.structures import Boxes3D
from scenekit_plugins.depth_samples import SIDE, Samples
from scenekit_plugins.meshes.frustum import Frustums, z_in_cube
from scenekit_plugins.meshes.grids import Align, cell_centers, places_in_boxes

WIDER = 1.2
"""Length of the frustum along the depth, relative to the predicted extent: cells beyond it cannot be solid."""

LIKELY = 8.0
"""Limit of the logits that the network sees."""


@dataclass(frozen=True, eq=False)
class CorrectedVoxels:
    """Voxels of regions, some of which have depth."""

    logits: Float[Tensor, "N D D D"]
    """Logits of the cells of wider frustums; of a region without depth those of its own frustum."""
    frustums: Frustums
    """The wider frustums."""
    usable: Bool[Tensor, " N"]
    """Regions with depth."""


class DepthVoxels(nn.Module):
    """Corrects logits of voxels by what depth, the mask and the 3D box say of their cells.

    The last layer begins with zeros: a new one changes nothing.

    Args:
        cells: Cells along each side of a grid.
        classes: Number of classes.
        width: Channels of the convolutions.
    """

    def __init__(self, cells: int, classes: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * cells + 4, width, kernel_size=3, padding=1)
        self.label = nn.Embedding(classes, width)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, kernel_size=3, padding=1) for _ in range(2))
        self.predictor = nn.Conv2d(width, cells, kernel_size=1)
        for parameter in (self.label.weight, self.predictor.weight, self.predictor.bias):
            assert parameter is not None
            nn.init.zeros_(parameter)

    def forward(
        self, logits: Float[Tensor, "N D D D"], clues: Float[Tensor, "N _ D D"], labels: Int[Tensor, " N"]
    ) -> Float[Tensor, "N D D D"]:
        """Return the corrected logits (z, y, x).

        Args:
            logits: Logits of the voxel network.
            clues: What else is known, see `clues_of`.
            labels: Class of each region.

        Returns:
            The logits.
        """
        known = torch.cat((logits.clamp(-LIKELY, LIKELY) * (2 / LIKELY), clues), dim=1)
        hidden = F.relu(self.first(known) + self.label(labels)[..., None, None])
        for conv in self.convs:
            hidden = hidden + F.relu(conv(hidden))
        corrected: Tensor = logits + self.predictor(hidden)
        return corrected


def clues_of(
    samples: Samples, masks: Float[Tensor, "N M M"] | None, boxes: Boxes3D, frustums: Frustums, side: int, align: Align
) -> Float[Tensor, "N _ _ _"]:
    """Compute what depth, the mask and the 3D box say of the cells of frustums.

    Args:
        samples: Depth inside of the objects.
        masks: Probabilities in the frame of the regions, if any.
        boxes: 3D boxes of the objects.
        frustums: The frustums.
        side: Cells per side (D).
        align: As in `cubify`.

    Returns:
        For each cell how far it lies behind the visible surface and inside of the box; then for each column of cells
        its mask, whether the depth of the object and any depth is known, and the object's depth in the cube.
    """
    depths, steps = frustums.depths[:, None, None], cell_centers(side, align).to(frustums.boxes)
    own, every = (
        z_in_cube(_columns(samples.depth.masked_fill(~counted, torch.nan), side), depths)
        for counted in (samples.counted, samples.depth > 0)
    )
    behind = ((steps[:, None, None] - every[:, None]) * (side / 2)).clamp(-1, 1).nan_to_num(0.0)
    inside = (1 - places_in_boxes(boxes, frustums, side, align).abs().amax(dim=-1)).clamp(-1, 1) * 2
    mask = torch.zeros_like(own) if masks is None else 2 * _resized(masks, side) - 1
    maps = (mask, own.isfinite().float(), every.isfinite().float(), own.clamp(-2, 2).nan_to_num(0.0))
    return torch.cat((behind, inside.nan_to_num(0.0), torch.stack(maps, dim=1)), dim=1)


def wider(extents: Float[Tensor, " N"], rows: Bool[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return logarithms of depth extents, `WIDER` times the predicted ones in some rows.

    Args:
        extents: Logarithms of the predicted extents.
        rows: Rows with depth.

    Returns:
        The logarithms.
    """
    return extents.float() + math.log(WIDER) * rows


def _resized(masks: Float[Tensor, "N M M"], side: int) -> Float[Tensor, "N D D"]:
    fine = F.interpolate(masks[:, None].float(), size=(side, side), mode="bilinear", align_corners=False)
    return fine[:, 0]


def _columns(depth: Float[Tensor, "N P"], side: int) -> Float[Tensor, "N D D"]:
    """Return the median depth of the samples of each of D x D columns; the nearest samples where D divides no grid."""
    grid = depth.reshape(-1, SIDE, SIDE)
    if SIDE % side:
        return F.interpolate(grid[:, None], size=(side, side), mode="nearest-exact")[:, 0]
    each = SIDE // side
    parts = grid.reshape(-1, side, each, side, each).transpose(2, 3)
    return parts.reshape(-1, side, side, each**2).nanmedian(dim=3).values
