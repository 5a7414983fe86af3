"""Exponential moving average of the weights, with which a run is evaluated and saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """A moving average of all floating-point entries of a module's state; other entries are copied.

    The decay grows from 0.1 to `decay` as (1 + t) / (10 + t), so that the random initialization is soon forgotten (as
    in TensorFlow's ExponentialMovingAverage with num_updates).

    Args:
        module: The module to average.
        decay: Upper limit of the decay.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Update the average with the weights after a step.

        Args:
            module: The module that is trained.
            step: Number of steps before this one.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        state = module.state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in moving], [state[n] for n in moving], 1 - decay)
        for name in state.keys() - set(moving):
            self.average[name].copy_(state[name])

    def load(self, average: Mapping[str, Tensor]) -> None:
        """Restore a saved average.

        Args:
            average: The average by name of the state's entries.
        """
        for name, value in self.average.items():
            value.copy_(average[name])

    @contextmanager
    def swapped_into(self, module: nn.Module) -> Iterator[None]:
        """Replace the weights of a module by the average within the context.

        Args:
            module: The module; its own weights are restored afterwards.

        Yields:
            Nothing.
        """
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.average)
        try:
            yield
        finally:
            module.load_state_dict(own)
