"""Panoptic segmentation: an image divided into segments that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Int
from pydantic import ConfigDict
from torch import Tensor


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic segmentation."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: int
    """Value of its pixels in the map, above 0."""
    label: int
    """Label among things and stuff."""
    is_thing: bool
    """Whether it is an object, as opposed to stuff."""
    object: int | None = None
    """Row of the scene's objects that a thing belongs to."""
    score: float | None = None
    """Confidence of a prediction; None in ground truth."""
    crowd: bool = False
    """Whether it covers a crowd of objects."""


@dataclass(frozen=True, eq=False)
class Panoptic:
    """A panoptic segmentation of one image."""

    ids: Int[Tensor, "H W"]
    """Segment of each pixel, 0 where it is void."""
    segments: tuple[Segment, ...]
    """The segments."""
