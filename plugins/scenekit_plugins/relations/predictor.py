"""What every predictor of relations gets and gives.

Letters: N objects of the batch, K pairs, C things, G numbers of a pair's geometry, Q predicates with "no relation".
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.model.board import Board
from scenekit.model.head import ParameterNames
from scenekit.structures import Regions


@dataclass(frozen=True, eq=False)
class Graph:
    """Objects and the pairs to judge.

    `classes` are probabilities of the objects' labels, background last; `pairs` rows of `objects`, images in order;
    `geometry` that of the pairs.
    """

    objects: Regions
    classes: Float[Tensor, "N _"]
    pairs: Int[Tensor, "K 2"]
    geometry: Float[Tensor, "K G"]

    @property
    def pair_image(self) -> Int[Tensor, " K"]:
        """The image of each pair."""
        return self.objects.image_index[self.pairs[:, 0]]


@dataclass(frozen=True, eq=False)
class Judgement:
    """Logits of the pairs' predicates, "no relation" first; those of the objects' labels, background last, or None."""

    predicates: Float[Tensor, "K Q"]
    labels: Float[Tensor, "N _"] | None


class Predictor(nn.Module):
    """A network that judges pairs; reads pooled features and optional inputs from the head's view of the board."""

    axis_names: ParameterNames

    @abstractmethod
    def forward(self, board: Board, graph: Graph) -> Judgement:
        """Judge all pairs of the batch."""
