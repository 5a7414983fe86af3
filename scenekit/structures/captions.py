"""Captions of regions. Letters: N regions, T tokens of the longest text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from scenekit.structures.tensors import row_numbers


@dataclass(frozen=True, eq=False)
class Captions:
    """Captions of regions, one tuple of texts per region."""

    texts: tuple[tuple[str, ...], ...]
    """Texts per region: several references in ground truth, one text in a prediction."""
    scores: Float[Tensor, " N"] | None = None
    """Geometric mean of the token probabilities, 0 to 1: confidence in the text, whatever its length. Confidence in the
    region is the score of the region."""
    log_probs: Float[Tensor, "N T"] | None = None
    """Log probabilities of the predicted tokens, the end of the text included; NaN behind it."""

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Int[Tensor, " M"] | Bool[Tensor, " N"] | Sequence[int]) -> Captions:
        numbers = row_numbers(rows)
        scores = None if self.scores is None else self.scores[numbers]
        log_probs = None if self.log_probs is None else self.log_probs[numbers]
        if log_probs is not None:  # the columns behind the longest text are cut
            log_probs = log_probs[:, : int((~log_probs.isnan()).any(dim=0).sum())]
        return Captions(tuple(self.texts[i] for i in numbers), scores, log_probs)
