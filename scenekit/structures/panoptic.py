"""An image divided into segments that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """One segment.

    `id` in the map, above 0; `label` of things and stuff; `object` the row of the scene's objects that a thing is.
    """

    id: int
    label: int
    is_thing: bool
    object: int | None = None
    score: float | None = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Panoptic:
    """`ids` [H W] holds segment ids, 0 where nothing is said (void)."""

    ids: Int[Tensor, "H W"]
    segments: tuple[Segment, ...]
