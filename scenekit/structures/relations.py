"""Relations between objects. Letters: R relations, P predicates, N objects of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Relations:
    """`subject` and `object` are rows of the scene's objects; `predicate` indexes the vocabulary's predicates.

    Predictions list the best triplet first; `score` is that of the whole triplet, `probabilities` are those of every
    predicate for this pair (what is missing to 1 is "no relation"). A predictor that labels the objects anew says so in
    `labels` and `label_scores`, one entry for each object of the scene, whose own labels stay as they are.
    """

    subject: Int[Tensor, " R"]
    object: Int[Tensor, " R"]
    predicate: Int[Tensor, " R"]
    score: Float[Tensor, " R"] | None = None
    probabilities: Float[Tensor, "R P"] | None = None
    labels: Int[Tensor, " N"] | None = None
    label_scores: Float[Tensor, " N"] | None = None

    def __len__(self) -> int:
        return int(self.subject.shape[0])

    def __getitem__(self, rows: Tensor) -> Relations:
        """Some of the relations, by index or by a boolean mask; the objects stay."""
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        columns: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return replace(self, **columns)

    def remapped(self, index_map: Int[Tensor, " N"]) -> Relations:
        """Return the relations of objects that are left, with their new rows (-1 in `index_map`: dropped).

        The new rows are 0 to the number of objects that are left, each of them once.
        """
        subject, target = index_map[self.subject], index_map[self.object]
        left = replace(self, subject=subject, object=target)[(subject >= 0) & (target >= 0)]
        rows = index_map.argsort()[int((index_map < 0).sum()) :]
        labels = None if self.labels is None else self.labels[rows]
        scores = None if self.label_scores is None else self.label_scores[rows]
        return replace(left, labels=labels, label_scores=scores)


_ROW_FIELDS = ("subject", "object", "predicate", "score", "probabilities")
