"""Layers that several detectors are built from, and how their weights begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


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
