"""Pairs of objects. Letters: R pairs, N objects of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.errors import InputError


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ordered pairs of the objects of an image, and what holds of each."""

    subject: Int[Tensor, " R"]
    """Rows of the scene's objects."""
    object: Int[Tensor, " R"]
    """Rows of the scene's objects."""
    label: Int[Tensor, " R"] | None = None
    """What holds, as an index of the list of names that the key's field tells; None where pairs have no names."""
    values: Float[Tensor, "R *shape"] | None = None
    """Numbers of each pair, such as a distance."""
    score: Float[Tensor, " R"] | None = None
    """How certain a prediction is."""

    def __post_init__(self) -> None:
        for name, column in vars(self).items():
            if column is not None and len(column) != len(self.subject):
                raise InputError(f"{name} has {len(column)} entries for {len(self.subject)} pairs; expected one each")

    def __len__(self) -> int:
        return int(self.subject.shape[0])

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " R"]) -> Pairs:
        """Return some of the pairs, by index or by a boolean mask."""
        columns: dict[str, Any] = {
            name: None if column is None else column[rows] for name, column in vars(self).items()
        }
        return Pairs(**columns)

    def remapped(self, index_map: Int[Tensor, " N"]) -> Pairs:
        """Renumber the objects, and drop pairs of removed ones.

        Args:
            index_map: New row of each object, -1 for removed ones.

        Returns:
            The pairs of the remaining objects.
        """
        subject, target = index_map[self.subject], index_map[self.object]
        return replace(self, subject=subject, object=target)[(subject >= 0) & (target >= 0)]
