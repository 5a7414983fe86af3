"""An encoder that halves the sides stage by stage, and a decoder that doubles them again.

Letters: B images, L classes of the head, C channels, h w cells, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.model.head import Core
from scenekit.ops.upsampling import (
    bed_of_nails,
    max_pool_with_positions,
    max_unpool,
    nearest_unpool,
    transposed_convolution,
)
from scenekit_plugins.semantic.blocks import conv_block
from scenekit_plugins.semantic.config import EncoderDecoderConfig, SemanticConfig
from scenekit_plugins.semantic.head import SemanticHead

Positions = Int[Tensor, "B C h w"] | None


class EncoderDecoderHead(SemanticHead):
    """A head with one stage of the decoder for each of the encoder, at the same resolution and of the same width."""

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        super().__init__(core, config, stride=1)
        options = config.encoder_decoder
        widths = [options.channels * 2**stage for stage in range(options.stages)]
        self.encoder = nn.ModuleList(_block(pair, options) for pair in pairwise((3, *widths)))
        self.down = nn.ModuleList(_down(width, options) for width in widths)
        self.up = nn.ModuleList(_up(width, options) for width in reversed(widths))
        self.decoder = nn.ModuleList(_block(pair, options) for pair in pairwise((*reversed(widths), widths[0])))
        self.predictor = self.predictor_of(widths[0])

    def logits(self, maps: Sequence[Float[Tensor, "B 3 H W"]]) -> Float[Tensor, "B L H W"]:
        height, width = maps[0].shape[2:]
        features = self._padded(maps[0])
        remembered: list[Positions] = []
        for encode, down in zip(self.encoder, self.down, strict=True):
            features, positions = down(encode(features))
            remembered.append(positions)
        for up, decode in zip(self.up, self.decoder, strict=True):
            features = decode(up(features, remembered.pop()))
        logits: Tensor = self.predictor(features)
        return logits[:, :, :height, :width]

    def _padded(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 _ _"]:
        """Pad with zeros at the right and bottom to sides that can be halved in every stage."""
        right, below = (-side % 2 ** len(self.encoder) for side in (pixels.shape[3], pixels.shape[2]))
        return F.pad(pixels, (0, right, 0, below))


class MaxPool(nn.Module):
    """2x2 max pooling that remembers positions."""

    def forward(self, maps: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C h w"], Positions]:
        return max_pool_with_positions(maps, 2)


class Strided(nn.Module):
    """A 3x3 convolution with stride 2; there are no positions to remember."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)

    def forward(self, maps: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C h w"], Positions]:
        return self.conv(maps), None


class Unpool(nn.Module):
    """Upsampling without weights, by its name in the options."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, maps: Float[Tensor, "B C h w"], positions: Positions) -> Float[Tensor, "B C H W"]:
        return UNPOOL[self.name](maps, positions)


class Transposed(nn.Module):
    """A transposed 3x3 convolution that doubles the sides."""

    def __init__(self, channels: int, overlap: Literal["sum", "mean"]) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, kernel_size=3)
        self.overlap = overlap

    def forward(self, maps: Float[Tensor, "B C h w"], positions: Positions) -> Float[Tensor, "B C H W"]:
        conv = self.conv
        placed = transposed_convolution(maps, conv.weight, 2, padding=1, output_padding=1, overlap=self.overlap)
        return placed if conv.bias is None else placed + conv.bias[:, None, None]


def _bilinear(maps: Tensor, positions: Positions) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def _max_unpool(maps: Tensor, positions: Positions) -> Tensor:
    height, width = maps.shape[2:]
    return max_unpool(maps, positions, (2 * height, 2 * width))


UNPOOL: Mapping[str, Callable[[Tensor, Positions], Tensor]] = {
    "nearest": lambda maps, _: nearest_unpool(maps, 2),
    "bed_of_nails": lambda maps, _: bed_of_nails(maps, 2),
    "max_unpool": _max_unpool,
    "bilinear": _bilinear,
}


def _block(widths: tuple[int, int], options: EncoderDecoderConfig) -> nn.Sequential:
    return nn.Sequential(*conv_block(*widths, options.norm_groups))


def _down(width: int, options: EncoderDecoderConfig) -> nn.Module:
    return MaxPool() if options.downsampling == "max_pool" else Strided(width)


def _up(width: int, options: EncoderDecoderConfig) -> nn.Module:
    return Transposed(width, options.overlap) if options.upsampling == "transposed" else Unpool(options.upsampling)
