"""What a backbone and its feature pyramid hand to everything else."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FeaturePyramid:
    """Feature maps from fine to coarse, all with the same number of channels.

    `maps[l]` is [B C Hl Wl]; `strides[l]` says how many input pixels lie between neighbouring cells.
    """

    maps: tuple[Float[Tensor, "B C _ _"], ...]
    strides: tuple[int, ...]

    @property
    def channels(self) -> int:
        """C, the same on every level."""
        return int(self.maps[0].shape[1])
