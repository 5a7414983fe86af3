"""How images lie in memory.

Letters: N images or regions, C channels, H W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def for_convolutions(maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
    """The same values in the order in which convolutions run fastest; what follows from them keeps it.

    That is channels-last, but for a CPU that is to go back again: gradients of 3x3 convolutions take longer there so.
    """
    plain = maps.device.type == "cpu" and torch.is_grad_enabled()
    return maps.contiguous(memory_format=torch.contiguous_format if plain else torch.channels_last)
