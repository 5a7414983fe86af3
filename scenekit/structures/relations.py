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

    def moved(self, places: Int[Tensor, " N"]) -> Relations:
        """The same of objects that now stand at `places`, -1 for those that are gone, with all that relates to them.

        Objects that are left are in the order of their places, none of which is free.
        """
        subject, target = places[self.subject], places[self.object]
        left = replace(self, subject=subject, object=target)[(subject >= 0) & (target >= 0)]
        rows = places.argsort()[int((places < 0).sum()) :]
        labels = None if self.labels is None else self.labels[rows]
        scores = None if self.label_scores is None else self.label_scores[rows]
        return replace(left, labels=labels, label_scores=scores)


_ROW_FIELDS = ("subject", "object", "predicate", "score", "probabilities")
