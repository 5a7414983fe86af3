"""Swapping the batch norm of a network for something that suits small batches.

Letters: B images, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

GROUPS = 32
"""Groups of a group norm where the channels allow it (Wu and He, Group Normalization, 2018)."""


def group_norm(channels: int) -> nn.GroupNorm:
    """A group norm of 32 groups, or of the largest divisor of 32 that also divides `channels`."""
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


class FusedFrozenBatchNorm2d(FrozenBatchNorm2d):  # type: ignore[misc]
    """torchvision's frozen batch norm, scale and shift in one pass over the memory where no gradient is recorded."""

    def forward(self, x: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B C _ _"]:
        """The fixed affine map of each channel."""
        if x.requires_grad:  # on a CPU the way back through batch norm costs more than the pass that it saves
            recorded: Tensor = super().forward(x)
            return recorded
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def frozen_copy(norm: nn.BatchNorm2d) -> nn.Module:
    """The same affine map as `norm` in eval mode, with statistics and weights that nothing changes any more."""
    frozen: nn.Module = FusedFrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.load_state_dict(norm.state_dict())
    return frozen


def replace_batch_norm(
    model: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module], within: Iterable[str] = ("",)
) -> None:
    """Put `make(norm)` in the place of each batch norm of the sub-modules named in `within` (default: everywhere)."""
    for prefix in within:
        for name, module in list(model.get_submodule(prefix).named_modules(prefix=prefix)):
            if isinstance(module, nn.BatchNorm2d):
                model.set_submodule(name, make(module))
