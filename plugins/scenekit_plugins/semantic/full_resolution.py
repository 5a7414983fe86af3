"""Convolutions at the resolution of the image. Letters: B images, L classes of the head, H W pixels."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.model.head import Core
from scenekit_plugins.semantic.blocks import conv_block
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.head import SemanticHead


class FullResolutionHead(SemanticHead):
    """A stack of 3x3 convolutions without any downsampling, and a classifier of each pixel."""

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        super().__init__(core, config, stride=1)
        options = config.full_resolution
        layers = conv_block(3, options.channels, options.norm_groups)
        for _ in range(options.convs - 1):
            layers += conv_block(options.channels, options.channels, options.norm_groups)
        self.layers = nn.Sequential(*layers)
        self.predictor = self.predictor_of(options.channels)

    def logits(self, maps: Sequence[Float[Tensor, "B 3 H W"]]) -> Float[Tensor, "B L H W"]:
        logits: Tensor = self.predictor(self.layers(maps[0]))
        return logits
