"""Text per region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.tensors import row_numbers


@dataclass(frozen=True, eq=False)
class Captions:
    """One tuple of strings per row: several references in ground truth, one text in a prediction."""

    texts: tuple[tuple[str, ...], ...]
    scores: Float[Tensor, " N"] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Captions:
        picked = row_numbers(rows)
        return Captions(tuple(self.texts[i] for i in picked), None if self.scores is None else self.scores[picked])
