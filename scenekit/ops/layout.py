"""Memory layout of images.

Letters: N images or regions, C channels, H W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FAST_BACKWARD = "AVX512" in torch.backends.cpu.get_cpu_capability()
"""Whether the backward pass of 3x3 convolutions on this CPU is faster with channels-last: with AVX2 it is not."""


def for_convolutions(maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
    """Return feature maps in the memory layout in which convolutions run fastest; what is computed from them keeps it.

    That is channels-last, except with gradients on a CPU without AVX-512.

    Args:
        maps: Feature maps in any memory layout.

    Returns:
        The same values.
    """
    plain = maps.device.type == "cpu" and torch.is_grad_enabled() and not FAST_BACKWARD
    return maps.contiguous(memory_format=torch.contiguous_format if plain else torch.channels_last)
