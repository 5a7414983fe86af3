"""The output of a backbone with its feature pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FeaturePyramid:
    """Feature maps from fine to coarse; those of a pyramid have the same number of channels."""

    maps: tuple[Float[Tensor, "B _ _ _"], ...]
    """One map [B C Hl Wl] per level."""
    strides: tuple[int, ...]
    """Input pixels between neighboring cells, per level."""

    @property
    def channels(self) -> int:
        """Number of channels C of a pyramid, the same on every level."""
        return int(self.maps[0].shape[1])

    @cached_property
    def channels_last(self) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """The maps in channels-last memory layout, converted once."""
        return tuple(level.contiguous(memory_format=torch.channels_last) for level in self.maps)
