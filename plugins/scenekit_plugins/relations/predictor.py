"""The interface of predictors of relations.

Letters: N objects of the batch, K pairs, C things, G numbers of a pair's geometry, Q predicates with "no relation".
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from scenekit.model.board import Board
from scenekit.model.head import ParameterNames
from scenekit.structures import Regions


@dataclass(frozen=True, eq=False)
class Graph:
    """Objects and the pairs whose predicates are predicted."""

    objects: Regions
    """The objects."""
    classes: Float[Tensor, "N _"]
    """Probabilities of the objects' labels, background last."""
    pairs: Int[Tensor, "K 2"]
    """Rows of subjects and objects, images in order."""
    geometry: Float[Tensor, "K G"]
    """Geometry of the pairs."""

    @property
    def valid(self) -> Bool[Tensor, " K"] | None:
        """Which pairs are of objects that are no padding; None for objects without padding."""
        return None if self.objects.valid is None else self.objects.valid[self.pairs].all(dim=1)

    @property
    def pair_image(self) -> Int[Tensor, " K"]:
        """Image of each pair."""
        return self.objects.image_index[self.pairs[:, 0]]


@dataclass(frozen=True, eq=False)
class PairPredictions:
    """Predictions for pairs and their objects."""

    predicates: Float[Tensor, "K Q"]
    """Logits of the pairs' predicates, "no relation" first."""
    labels: Float[Tensor, "N _"] | None
    """Logits of the objects' labels, background last; None without them."""


class Predictor(nn.Module):
    """A network that predicts predicates from pooled features and optional inputs on the board."""

    axis_names: ParameterNames

    @abstractmethod
    def forward(self, board: Board, graph: Graph) -> PairPredictions:
        """Predict the predicates of all pairs of the batch."""
