"""The decoder on the shared pyramid (Kirillov et al., Panoptic Feature Pyramid Networks, 2019, section 3.1).

Letters: B images, L classes of the head, h w cells of the finest map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.keys import FEATURES
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.structures import FeaturePyramid
from scenekit_plugins.semantic.blocks import conv_block
from scenekit_plugins.semantic.config import SemanticConfig
from scenekit_plugins.semantic.head import SemanticHead


class PyramidHead(SemanticHead):
    """A head that upsamples each level to the finest one's stride by convolutions, and classifies their sum."""

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        if config.levels > len(core.strides):
            raise InputError(
                f"task 'semantic' merges {config.levels} levels, but the pyramid has {len(core.strides)}; set levels"
            )
        super().__init__(core, config, core.strides[0])
        self.branches = nn.ModuleList(_branch(core.channels, config, steps) for steps in range(config.levels))
        self.predictor = self.predictor_of(config.channels)

    def maps(self, board: Board) -> Sequence[Float[Tensor, "B _ _ _"]]:
        """Return the levels that are merged."""
        pyramid: FeaturePyramid = board[FEATURES]
        return pyramid.maps[: len(self.branches)]

    def logits(self, maps: Sequence[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B L h w"]:
        merged = [branch(level) for branch, level in zip(self.branches, maps, strict=True)]
        height, width = merged[0].shape[2:]
        logits: Tensor = self.predictor(sum(level[:, :, :height, :width] for level in merged))
        return logits


def _branch(channels: int, config: SemanticConfig, steps: int) -> nn.Sequential:
    """Build 3x3 convolution, GroupNorm, ReLU, x2 upsampling: `steps` times (once without upsampling for the finest)."""
    layers: list[nn.Module] = []
    for step in range(max(steps, 1)):
        layers += conv_block(channels if step == 0 else config.channels, config.channels, config.norm_groups)
        if steps:
            aligned: dict[str, Any] = {"align_corners": False} if config.upsampling == "bilinear" else {}
            layers.append(nn.Upsample(scale_factor=2, mode=config.upsampling, **aligned))
    return nn.Sequential(*layers)
