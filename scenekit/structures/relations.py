"""Relations between objects. Letters: R relations, P predicates."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Relations:
    """`subject` and `object` are rows of the scene's objects; `predicate` indexes the vocabulary's predicates."""

    subject: Int[Tensor, " R"]
    object: Int[Tensor, " R"]
    predicate: Int[Tensor, " R"]
    score: Float[Tensor, " R"] | None = None
    probabilities: Float[Tensor, "R P"] | None = None

    def __len__(self) -> int:
        return int(self.subject.shape[0])
