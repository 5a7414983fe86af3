"""Layers that several detectors are built from, and how their weights begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class PyramidConv2d(nn.Conv2d):
    """A convolution with the same weights on all levels of a pyramid."""

    def forward(  # type: ignore[override]  # of all levels at once, as one network that another runtime may run
        self, maps: Sequence[Float[Tensor, "B _ _ _"]]
    ) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Return the result of each level.

        Args:
            maps: The maps of the levels.

        Returns:
            Maps of the same levels.
        """
        return tuple(map(super().forward, maps))


def fully_connected(dims: Sequence[int]) -> nn.Sequential:
    """Build fully connected layers with ReLU.

    Args:
        dims: Number of inputs, then of the outputs of each layer.

    Returns:
        The layers.
    """
    return nn.Sequential(*(_fc(before, after) for before, after in pairwise(dims)))


def _fc(before: int, after: int) -> nn.Sequential:
    linear = nn.Linear(before, after)
    nn.init.kaiming_uniform_(linear.weight, a=1)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.ReLU())


def init_normal(module: nn.Module) -> None:
    """Initialize convolutions as the reference implementations: N(0, 0.01), biases zero.

    Args:
        module: One layer; layers of other types stay as they are.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
