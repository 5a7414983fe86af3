"""An encoder of regions from features of the pyramid and pixels of the image.

Letters: N regions, C channels, S pooled side, W width of the encoding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from scenekit.ops.layout import for_convolutions
from scenekit.structures import ImageBatch, Regions

PIXELS = 4
"""Side of the image crops, as a multiple of that of the pooled features: two convolutions of stride 2 undo it."""


class RegionEncoder(nn.Module):
    """A network from features of the pyramid and pixels of the image to one vector per region.

    The pixels, `PIXELS` times as many per side, pass two convolutions of stride 2. Colors and fine patterns are lost in
    the coarse levels from which large regions are pooled.

    Args:
        channels: Channels of the pooled features.
        width: Length of the vector.
        image: Channels of the first convolution on the pixels; 0 for no pixels.
    """

    def __init__(self, channels: int, width: int, image: int) -> None:
        super().__init__()
        steps = ([nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()] for a, b in ((3, image), (image, width)))
        self.pixels = nn.Sequential(*(layer for step in steps for layer in step)) if image else None
        self.conv = nn.Conv2d(channels + width * bool(image), width, 3, padding=1)

    def forward(
        self, features: Float[Tensor, "N C S S"], pixels: Float[Tensor, "N 3 _ _"] | None
    ) -> Float[Tensor, "N W"]:
        features = for_convolutions(features)
        if self.pixels is not None and pixels is not None:
            features = torch.cat((features, self.pixels(for_convolutions(pixels.to(features.dtype)))), dim=1)
        encoded: Tensor = F.relu(self.conv(features))
        return encoded.mean((2, 3))


def crops(images: ImageBatch, regions: Regions, side: int) -> Float[Tensor, "N 3 side side"]:
    """Crop each box out of its image by RoIAlign.

    Args:
        images: Images of the batch.
        regions: The boxes.
        side: Side of the crops, in pixels.

    Returns:
        Normalized pixels of the crops.
    """
    rois = torch.cat((regions.image_index[:, None].to(regions.boxes), regions.boxes), dim=1).float()
    cut: Tensor = roi_align(images.pixels.float(), rois, side, sampling_ratio=2, aligned=True)
    return cut
