"""Layers that several region heads use.

Letters: N regions, C channels, S side of pooled features.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.ops.layout import for_convolutions

Norm = Literal["batch"]


class Convolutions(nn.Sequential):
    """Layers whose input is converted to the memory layout that suits convolutions."""

    def forward(self, input: Float[Tensor, "N C S S"]) -> Float[Tensor, "N _ S S"]:
        output: Tensor = super().forward(for_convolutions(input))  # type: ignore[no-untyped-call]
        return output


def conv_stack(channels: int, width: int, count: int, norm: Norm | None = None) -> Convolutions:
    """Build 3x3 convolutions, each followed by its norm and ReLU: [N C S S] -> [N width S S].

    Args:
        channels: Channels of the input.
        width: Channels of every convolution.
        count: Number of convolutions.
        norm: Normalization after each convolution.

    Returns:
        The layers.
    """
    widths = (channels, *(width,) * count)
    return Convolutions(*(_conv(before, after, norm) for before, after in pairwise(widths)))


def _conv(before: int, after: int, norm: Norm | None) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=norm is None)
    return nn.Sequential(conv, *([nn.BatchNorm2d(after)] if norm else []), nn.ReLU())


def init_for_relu(head: nn.Module) -> None:
    """Initialize every convolution as Kaiming (He et al., 2015) with biases zero, as the reference heads do.

    Args:
        head: Module that is initialized.
    """
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
