"""The contract of every backbone, whichever library its layers come from.

Letters: B images, H W input pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Level:
    """One feature map: how many channels it has and where its cells lie on the image.

    The centre of cell i lies at input coordinate `offset + i * stride`, in pixels, where pixel 0 covers [0, 1).
    """

    channels: int
    stride: int
    offset: float


@dataclass(frozen=True)
class Normalization:
    """What is taken from pixels in 0..1, in RGB, before a network sees them: (value - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Backbone(nn.Module, ABC):
    """An image in, one feature map per level out.

    `levels` go from fine to coarse with strides 4, 8, 16, 32. Images are normalized as `model.input` of a recipe
    says; a backbone whose weights tell what they expect says so in `normalization`, and is checked against it.
    """

    levels: tuple[Level, ...]
    normalization: Normalization | None = None

    @abstractmethod
    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """One map [B C H/stride W/stride] (rounded up or down) for each of `levels`, in their order."""
