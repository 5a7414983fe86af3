"""The contract of every backbone, whichever library its layers come from.

Letters: B pictures, H W input pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Level:
    """One feature map: how many channels it has and where its cells lie on the picture.

    The centre of cell i lies at input coordinate `offset + i * stride`, in pixels, where pixel 0 covers [0, 1).
    """

    channels: int
    stride: int
    offset: float


class Backbone(nn.Module, ABC):
    """A picture in, one feature map per level out.

    `levels` go from fine to coarse with strides 4, 8, 16, 32. What normalization the weights
    expect is said where pictures are prepared: `model.input` of a recipe.
    """

    levels: tuple[Level, ...]

    @abstractmethod
    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """One map [B C H/stride W/stride] (rounded up or down) for each of `levels`, in their order."""
