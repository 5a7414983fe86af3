"""What the networks of several region heads have in common.

Letters: N regions, C channels, S side of pooled features.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ChannelsLast(nn.Sequential):
    """Layers that see their input, and so everything after it, channels-last.

    The values are the same; convolutions and transposed ones run faster so (the latter several times, on CPUs).
    """

    def forward(self, input: Float[Tensor, "N C S S"]) -> Float[Tensor, "N _ S S"]:
        output: Tensor = super().forward(input.contiguous(memory_format=torch.channels_last))  # type: ignore[no-untyped-call]
        return output


def conv_stack(channels: int, width: int, count: int) -> ChannelsLast:
    """`count` 3x3 convolutions to `width` channels, each with ReLU: [N C S S] -> [N width S S]."""
    widths = (channels, *(width,) * count)
    return ChannelsLast(
        *(
            nn.Sequential(nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU())
            for before, after in pairwise(widths)
        )
    )


def init_for_relu(head: nn.Module) -> None:
    """Kaiming initialization of every convolution (He et al., 2015), biases zero, as the reference heads do."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
