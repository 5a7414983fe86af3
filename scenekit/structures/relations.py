"""Relations between objects. Letters: R relations, P predicates, N objects of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Relations:
    """Relations between objects of one image; predictions are sorted by score, the best first.

    A predictor that relabels the objects sets `labels` and `label_scores`; the objects' own labels stay as they are.
    """

    subject: Int[Tensor, " R"]
    """Row of the subject among the scene's objects."""
    object: Int[Tensor, " R"]
    """Row of the object among the scene's objects."""
    predicate: Int[Tensor, " R"]
    """Index into the vocabulary's predicates."""
    score: Float[Tensor, " R"] | None = None
    """Confidence of the whole triplet; None in ground truth."""
    probabilities: Float[Tensor, "R P"] | None = None
    """Probability of every predicate for the pair; the rest to 1 is "no relation"."""
    labels: Int[Tensor, " N"] | None = None
    """Labels that the predictor assigns to all objects of the scene."""
    label_scores: Float[Tensor, " N"] | None = None
    """Confidence of these labels."""
    count: Int[Tensor, " R"] | None = None
    """How often the annotations list each relation, for protocols that count repetitions; None for once."""

    def __len__(self) -> int:
        return int(self.subject.shape[0])

    @property
    def likely(self) -> Bool[Tensor, " R"]:
        """Whether the pair of each relation is related with a probability above one half; always, if it is unknown."""
        if self.probabilities is None:
            return self.subject >= 0
        likely: Bool[Tensor, " R"] = self.probabilities.sum(dim=1) > 0.5
        return likely

    def __getitem__(self, rows: Tensor) -> Relations:
        """Select relations by index or by a boolean mask; the objects stay.

        Args:
            rows: Indices or a boolean mask.

        Returns:
            The selected relations.
        """
        values = {name: getattr(self, name) for name in _ROW_FIELDS}
        columns: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return replace(self, **columns)

    def remapped(self, index_map: Int[Tensor, " N"]) -> Relations:
        """Renumber the objects, and drop relations of dropped ones.

        Args:
            index_map: New row of each object, -1 for dropped ones; the new rows are 0, 1, 2, ... without gaps.

        Returns:
            The relations of the remaining objects.
        """
        subject, target = index_map[self.subject], index_map[self.object]
        left = replace(self, subject=subject, object=target)[(subject >= 0) & (target >= 0)]
        rows = index_map.argsort()[int((index_map < 0).sum()) :]
        labels = None if self.labels is None else self.labels[rows]
        scores = None if self.label_scores is None else self.label_scores[rows]
        return replace(left, labels=labels, label_scores=scores)


_ROW_FIELDS = ("subject", "object", "predicate", "score", "probabilities", "count")
