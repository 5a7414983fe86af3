"""What the networks of several region heads have in common.

Letters: N regions, C channels, S side of pooled features.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def conv_stack(channels: int, width: int, count: int) -> nn.Sequential:
    """`count` 3x3 convolutions to `width` channels, each with ReLU: [N C S S] -> [N width S S]."""
    widths = (channels, *(width,) * count)
    return nn.Sequential(
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
