"""Warped crops of regions, and the network that each of them goes through.

Letters: B images, N regions, S side of a crop, E features of the trunk, D features of the layers on it, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from scenekit.backbones.adapter import idle_parameters
from scenekit.backbones.base import Backbone
from scenekit.detection.crops.config import CropConfig
from scenekit.detection.layers import fully_connected
from scenekit.structures.regions import Regions

FRAME = 1
"""Pixels of the image's mean around it: what a crop shows beyond the border does not depend on the batch's padding."""


def warp(pixels: Float[Tensor, "B 3 H W"], regions: Regions, size: int, context: int) -> Float[Tensor, "N 3 S S"]:
    """Resize regions with some context to squares (Girshick et al., R-CNN, 2014, appendix A).

    The box is enlarged such that, in the crop, it has `context` pixels around it, and is resized without regard to its
    aspect ratio. Beyond the border of the image a crop shows the mean color, which is zero in normalized pixels.

    Args:
        pixels: Normalized images, zero where they are padded.
        regions: Regions in network pixels.
        size: Side of the crops, in pixels.
        context: Pixels of context at each side of a crop.

    Returns:
        The crops.
    """
    boxes = regions.boxes
    margin = (boxes[:, 2:] - boxes[:, :2]) * (context / (size - 2 * context))
    enlarged = torch.cat((boxes[:, :2] - margin, boxes[:, 2:] + margin), dim=1) + FRAME
    # Coordinates in half precision would be off by pixels, and the operator wants one type for both.
    precise = torch.promote_types(pixels.dtype, boxes.dtype)
    framed = F.pad(pixels.to(precise), [FRAME] * 4)
    rois = torch.cat((regions.image_index[:, None].to(precise), enlarged.to(precise)), dim=1)
    crops: Tensor = roi_align(framed, rois, size, aligned=True)  # as many samples as pixels: antialiased
    return crops.to(pixels.dtype)


@dataclass(frozen=True, eq=False)
class CropFeatures:
    """What the network gives for crops."""

    trunk: Float[Tensor, "N E"]
    """The last map of the trunk, averaged to a few cells."""
    top: Float[Tensor, "N D"]
    """The output of the fully connected layers on it."""


class CropNet(nn.Module):
    """A trunk on warped crops, and fully connected layers on its last map.

    Args:
        trunk: The trunk.
        config: Options of crops and layers.
    """

    def __init__(self, trunk: Backbone, config: CropConfig) -> None:
        super().__init__()
        self.trunk, self.config = trunk, config
        for name in idle_parameters(trunk, lambda maps: maps[-1:]):  # finer maps are not read
            trunk.get_parameter(name).requires_grad_(False)
        self.trunk_dim = trunk.levels[-1].channels * config.cells**2
        self.fcs = fully_connected((self.trunk_dim, *config.fcs))
        self.dim = config.fcs[-1]

    def forward(self, pixels: Float[Tensor, "B 3 H W"], regions: Regions) -> CropFeatures:
        """Compute the features of regions, at inference in chunks of bounded memory.

        Args:
            pixels: Normalized images.
            regions: Regions in network pixels.

        Returns:
            The features.
        """
        if len(regions) == 0:
            return CropFeatures(pixels.new_zeros(0, self.trunk_dim), pixels.new_zeros(0, self.dim))
        step = len(regions) if torch.is_grad_enabled() else self.config.chunk
        rows = torch.split(torch.arange(len(regions), device=regions.boxes.device), step)
        parts = [self._features(pixels, regions.subset(own)) for own in rows]
        return CropFeatures(torch.cat([part.trunk for part in parts]), torch.cat([part.top for part in parts]))

    def _features(self, pixels: Float[Tensor, "B 3 H W"], regions: Regions) -> CropFeatures:
        crops = warp(pixels, regions, self.config.size, self.config.context)
        cells: Tensor = F.adaptive_avg_pool2d(self.trunk(crops)[-1], self.config.cells).flatten(1)
        return CropFeatures(cells, self.fcs(cells))
