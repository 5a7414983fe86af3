"""Records between the core and a field: the image of a value, issues, edges of the graph, cells of tables.

Letters: N regions of one image, R edges, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size
from scenekit.structures.objects import Objects
from scenekit.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Swatch:
    """A cell of a table that is shown beside a color."""

    text: str
    """The text of the cell."""
    label: int | None = None
    """The label whose color it gets."""
    row: int | None = None
    """The object whose color it gets, before that of a label."""


Columns: TypeAlias = Mapping[str, Sequence[str | Swatch]]
"""Cells of a table by the title of their column."""


@dataclass(frozen=True, eq=False)
class Frame:
    """The image that a value belongs to, as its field sees it."""

    size: Size
    """Height and width in pixels."""
    vocabulary: Vocabulary
    """What the integers mean."""
    regions: Objects | None = None
    """Regions of the stream that the key follows, the objects for a key of the image; None where there are none."""
    camera: Camera | None = None
    """The camera; None where it is unknown."""
    valid: Bool[Tensor, " N"] | None = None
    """Rows that carry the value; None for a key of the image."""

    @property
    def boxes(self) -> Float[Tensor, "N 4"]:
        """Boxes of the regions, xyxy in pixels."""
        return torch.zeros((0, 4)) if self.regions is None else self.regions.boxes


@dataclass(frozen=True)
class Issue:
    """Something that is wrong, or suspicious, about a value."""

    kind: str
    """A phrase in the plural, such as "empty masks"; issues are counted by it."""
    message: str = ""
    """What is wrong there and what was expected, to follow the name of the place."""
    row: int | None = None
    """The row of the stream; None where the issue is not about a row."""
    entry: int | None = None
    """The number of the entry of a value of the image, such as of a relation."""
    note: bool = False
    """Whether the value is valid and merely unusual."""


class Validated(NamedTuple):
    """The valid part of a value, and the issues of the rest."""

    value: Any
    """The value; None where nothing of it can be used."""
    valid: Bool[Tensor, " N"] | None = None
    """Rows that still carry it; None where that has not changed, and for a value of the image."""
    issues: Sequence[Issue] = ()
    """What is invalid."""


class Edges(NamedTuple):
    """Edges between the objects of an image."""

    subject: Int[Tensor, " R"]
    """The row where each edge starts."""
    object: Int[Tensor, " R"]
    """The row where it ends."""
    score: Float[Tensor, " R"] | None
    """Confidence; None for ground truth."""
    attributes: Sequence[Mapping[str, Any]]
    """What else each edge holds, in plain JSON values."""
    likely: Bool[Tensor, " R"] | None = None
    """Whether each edge is more likely than none between its ends; None where that is unknown."""


@dataclass(frozen=True, eq=False)
class Blending:
    """What lies between two values of the same objects in a stream, the later one to be smoothed by the earlier."""

    weight: Float[Tensor, " N"]
    """The share of the current value, above 0 to 1; 1 for an object without an earlier value, whose row then stays."""
    before: Float[Tensor, "N 4"]
    """The boxes of the objects at the earlier value, xyxy in pixels."""
    now: Float[Tensor, "N 4"]
    """Their boxes at the current one."""
    motion: Float[Tensor, "4 4"] | None = None
    """From the camera frame of the earlier image to that of the current one, in metres; None where it is unknown."""
    symmetry: Int[Tensor, " N"] | None = None
    """Of each object as in `Vocabulary.symmetry`: 1 with a front, n for rotations by 360 / n degrees, 0 for any; None
    where all have a front."""

    def mean(self, before: Tensor, now: Tensor) -> Tensor:
        """Return the weighted mean of two tensors.

        Args:
            before: The earlier value, a row per object.
            now: The current one.

        Returns:
            Rows of weight 1, and numbers without an earlier one (NaN), are those of `now`, to the bit.
        """
        weight = self.weight.to(now).reshape(-1, *[1] * (now.dim() - 1))
        return torch.where((weight < 1) & before.isfinite(), before.lerp(now, weight), now)


def rows_in(frame: Frame) -> Objects:
    """Return the regions that the rows of a value follow.

    Args:
        frame: The image.

    Returns:
        The regions of the frame; empty where the image has none.
    """
    return Objects.empty() if frame.regions is None else frame.regions


def bitmaps_of(frame: Frame) -> Bool[Tensor, "N H W"]:
    """Return the boxes of the regions as bitmaps.

    Args:
        frame: The image.

    Returns:
        True within each box, rounded to whole pixels.
    """
    regions = rows_in(frame)
    dense = torch.zeros(len(regions), *frame.size, dtype=torch.bool)
    for bitmap, (x0, y0, x1, y1) in zip(dense, regions.boxes.round().long().tolist(), strict=True):
        bitmap[y0:y1, x0:x1] = True
    return dense


def without_rows(item: Any, frame: Frame, issues: Iterable[Issue]) -> Validated:
    """Mark rows with issues as rows that do not carry the value.

    Args:
        item: The value of one image.
        frame: The image.
        issues: What is wrong, by row; issues of rows that do not carry the value are left out.

    Returns:
        The value as it is, the rows that still carry it, and the issues of these rows.
    """
    carried = torch.ones(len(item), dtype=torch.bool) if frame.valid is None else frame.valid
    kept = [issue for issue in issues if issue.row is not None and carried[issue.row]]
    if not kept:
        return Validated(item)
    valid = carried.clone()
    valid[[issue.row for issue in kept]] = False
    return Validated(item, valid, kept)
