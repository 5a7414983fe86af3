"""The network of the second stage, which classifies regions and refines their boxes.

Letters: N regions, C foreground classes, K = C + 1 with background, D features of a region, F channels of the pyramid,
S side of pooled features.
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.detection.config import BoxHeadConfig
from scenekit.detection.layers import fully_connected


class BoxHead(nn.Module):
    """A network of 3x3 convolutions (none by default) and fully connected layers on pooled features.

    Args:
        channels: Channels of the pooled features.
        config: Widths of the layers.
    """

    def __init__(self, channels: int, config: BoxHeadConfig) -> None:
        super().__init__()
        widths = (channels, *config.convs)
        self.convs = nn.Sequential(*(_conv(before, after, config) for before, after in pairwise(widths)))
        dims = (widths[-1] * config.size**2, *config.fcs)
        self.fcs = fully_connected(dims)
        self.dim = dims[-1]

    def forward(self, pooled: Float[Tensor, "N F S S"]) -> Float[Tensor, "N D"]:
        """Compute the features of each region.

        Args:
            pooled: RoI features.

        Returns:
            Features of the regions.
        """
        features: Tensor = self.fcs(self.convs(pooled).flatten(1))
        return features


class BoxPredictor(nn.Module):
    """Linear layers for class logits, background last, and four offsets per foreground class.

    Args:
        dim: Number of features of a region.
        classes: Number of foreground classes.
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classification = nn.Linear(dim, classes + 1)
        self.deltas = nn.Linear(dim, classes * 4)
        for layer, std in ((self.classification, 0.01), (self.deltas, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute logits and offsets in full precision.

        Args:
            features: Features of the regions.

        Returns:
            Logits and offsets.
        """
        deltas = self.deltas(features).unflatten(1, (-1, 4))
        return self.classification(features).float(), deltas.float()


def _conv(before: int, after: int, config: BoxHeadConfig) -> nn.Sequential:
    normed = config.conv_norm == "batch"
    conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=not normed)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, *([nn.BatchNorm2d(after)] if normed else []), nn.ReLU())
