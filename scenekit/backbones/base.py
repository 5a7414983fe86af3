"""The interface of every backbone, whichever library its layers are from.

Letters: B images, H W input pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones.checkpointing import checkpointing, parts


@dataclass(frozen=True)
class Level:
    """Channels of a feature map, and the position of its cells in the image.

    The center of cell i lies at input coordinate `offset + i * stride`, in pixels, where pixel 0 covers [0, 1).
    """

    channels: int
    """Number of channels."""
    stride: int
    """Input pixels between the centers of neighboring cells."""
    offset: float
    """Input coordinate of the center of cell 0, in pixels."""


@dataclass(frozen=True)
class Normalization:
    """Normalization of RGB images with values of 0..1: (value - mean) / std."""

    mean: tuple[float, float, float]
    """Mean per channel."""
    std: tuple[float, float, float]
    """Standard deviation per channel."""


class Backbone(nn.Module, ABC):
    """A network that computes one feature map per level from an image.

    Images are normalized as `model.input` of a recipe says, which is checked against `normalization`.
    """

    levels: tuple[Level, ...]
    """Levels from fine to coarse: strides 4, 8, 16, 32 where the network has them, else those that it has."""
    normalization: Normalization | None = None
    """Normalization of images with which the weights were trained; None if unknown."""

    @abstractmethod
    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the feature maps.

        Args:
            pixels: Normalized images.

        Returns:
            One map [B C H/stride W/stride] (rounded up or down) for each of `levels`, in their order.
        """

    def checkpointed(self) -> AbstractContextManager[None]:
        """Return a context within which activations are computed again in the backward pass instead of kept.

        By default those within its parts, which are called as modules; a network of functions overrides it.

        Returns:
            The context.
        """
        return checkpointing(parts(self))
