"""Exponential moving average of the weights: what a short training run is measured with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """A running average of everything floating-point in a module's state; all else follows the module.

    The decay grows from 0.1 to `decay` as (1 + t) / (10 + t), so that the random start is soon forgotten (as in
    TensorFlow's ExponentialMovingAverage with num_updates).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = module.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in moving], [state[n] for n in moving], 1 - decay)
        for name in state.keys() - set(moving):
            self.average[name].copy_(state[name])

    def load(self, average: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, value in self.average.items():
            value.copy_(average[name])

    @contextmanager
    def swapped_into(self, module: nn.Module) -> Iterator[None]:
        """The module with the average in place of its weights, which come back afterwards."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.average)
        try:
            yield
        finally:
            module.load_state_dict(own)
