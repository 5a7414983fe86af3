"""Layers that several decoders use. Letters: B images, C channels, H W pixels."""

from __future__ import annotations

from torch import nn


def conv_block(channels: int, width: int, groups: int) -> list[nn.Module]:
    """Build a 3x3 convolution, GroupNorm and ReLU: [B C H W] -> [B width H W].

    Args:
        channels: Channels of the input.
        width: Channels of the output.
        groups: Groups of GroupNorm.

    Returns:
        The layers.
    """
    conv = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
    return [conv, nn.GroupNorm(groups, width), nn.ReLU()]
