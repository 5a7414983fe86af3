"""Text per region. Letters: N regions, T tokens of the longest text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.tensors import row_numbers


@dataclass(frozen=True, eq=False)
class Captions:
    """One tuple of strings per row: several references in ground truth, one text in a prediction.

    `log_probs` of a prediction are those of its tokens as they were written, the end of the text included; NaN behind
    it. `scores` are their geometric mean per token, 0 to 1: how sure the text is, whatever its length. How sure it is
    that there is something to describe is the score of the region.
    """

    texts: tuple[tuple[str, ...], ...]
    scores: Float[Tensor, " N"] | None = None
    log_probs: Float[Tensor, "N T"] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Captions:
        picked = row_numbers(rows)
        scores = None if self.scores is None else self.scores[picked]
        log_probs = None if self.log_probs is None else _without_tail(self.log_probs[picked])
        return Captions(tuple(self.texts[i] for i in picked), scores, log_probs)


def _without_tail(log_probs: Float[Tensor, "N T"]) -> Float[Tensor, "N t"]:
    """No longer than the longest text."""
    return log_probs[:, : int((~log_probs.isnan()).any(dim=0).sum())]
