"""What region heads see of the image itself, beside the features of the pyramid.

Letters: N regions, C channels, S pooled side, W width of what is seen.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from scenekit.ops.layout import for_convolutions
from scenekit.structures import ImageBatch, Regions

PIXELS = 4
"""Side of what is cut out of the image, as a multiple of that of the pooled features: two halvings lead back."""


class RegionEncoder(nn.Module):
    """Features of the pyramid and pixels of the image to one vector of `width` numbers a region.

    The pixels, `PIXELS` times as many a side, go through two convolutions of stride 2, to `image` and `width`
    channels; 0 leaves them out. Colors and fine patterns are gone from the coarse levels that large regions are pooled
    from.
    """

    def __init__(self, channels: int, width: int, image: int) -> None:
        super().__init__()
        self.pixels = _quartered(3, image, width) if image else None
        self.conv = nn.Conv2d(channels + width * bool(image), width, 3, padding=1)

    def forward(
        self, features: Float[Tensor, "N C S S"], pixels: Float[Tensor, "N 3 _ _"] | None
    ) -> Float[Tensor, "N W"]:
        features = for_convolutions(features)
        if self.pixels is not None and pixels is not None:
            features = torch.cat((features, self.pixels(for_convolutions(pixels.to(features.dtype)))), dim=1)
        seen: Tensor = F.relu(self.conv(features))
        return seen.mean((2, 3))


def crops(images: ImageBatch, regions: Regions, side: int) -> Float[Tensor, "N 3 side side"]:
    """What the image shows in each box."""
    rois = torch.cat((regions.image_index[:, None].to(regions.boxes), regions.boxes), dim=1).float()
    cut: Tensor = roi_align(images.pixels.float(), rois, side, sampling_ratio=2, aligned=True)
    return cut


def _quartered(*widths: int) -> nn.Sequential:
    """Convolutions of stride 2 from each width to the next."""
    steps = ([nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()] for a, b in pairwise(widths))
    return nn.Sequential(*(layer for step in steps for layer in step))
