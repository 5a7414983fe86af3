"""Iterative message passing between objects and pairs (Xu et al., Scene Graph Generation by IMP, CVPR 2017).

Letters: N objects of the batch, K pairs, H hidden size, D E width of the objects' and pairs' features, C channels,
S side of pooled features, Q predicates with "no relation".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from scenekit.keys import OBJECTS
from scenekit.model.board import Board
from scenekit.model.head import BACKGROUND, AxisNames, Core, ParameterNames, rows_by_name
from scenekit_plugins.relations.config import RelationConfig
from scenekit_plugins.relations.geometry import pair_rasters, unions
from scenekit_plugins.relations.predictor import Graph, PairPredictions, Predictor

RASTER = 27
"""Side of the raster of a pair's two boxes (Zellers et al., 2018)."""

States = tuple[Float[Tensor, "N H"], Float[Tensor, "K H"]]


class MessagePassing(nn.Module):
    """A GRU for the nodes and one for the edges, which exchange their states through scalar gates.

    Sum pooling and, in "synchronous" order, previous states for both updates: the variant of Tang et al.'s benchmark.
    In "original" order edges are updated first, and nodes read their new states.
    """

    def __init__(
        self,
        node_features: int,
        edge_features: int,
        hidden: int,
        iterations: int,
        order: Literal["synchronous", "original"] = "synchronous",
    ) -> None:
        super().__init__()
        self.iterations, self.order = iterations, order
        self.node_input, self.edge_input = nn.Linear(node_features, hidden), nn.Linear(edge_features, hidden)
        self.node_gru, self.edge_gru = nn.GRUCell(hidden, hidden), nn.GRUCell(hidden, hidden)
        self.from_subject, self.from_object = nn.Linear(2 * hidden, 1), nn.Linear(2 * hidden, 1)
        self.to_subject, self.to_object = nn.Linear(2 * hidden, 1), nn.Linear(2 * hidden, 1)

    def forward(self, nodes: Float[Tensor, "N D"], edges: Float[Tensor, "K E"], pairs: Int[Tensor, "K 2"]) -> States:
        """Return the states of nodes and edges after the last exchange."""
        *_, last = self.states(nodes, edges, pairs)
        return last

    def states(
        self, nodes: Float[Tensor, "N D"], edges: Float[Tensor, "K E"], pairs: Int[Tensor, "K 2"]
    ) -> Iterator[States]:
        """Yield the states of nodes and edges at the start and after each exchange.

        Args:
            nodes: Features of the nodes.
            edges: Features of the edges.
            pairs: Subject and object of each edge.

        Yields:
            States.
        """
        node, edge = self.node_gru(self.node_input(nodes)), self.edge_gru(self.edge_input(edges).relu())
        yield node, edge
        for _ in range(self.iterations):
            new_edge = self.edge_gru(self._to_edges(node, edge, pairs), edge)
            message = edge if self.order == "synchronous" else new_edge
            node, edge = self.node_gru(self._to_nodes(node, message, pairs), node), new_edge
            yield node, edge

    def _to_edges(self, node: Tensor, edge: Tensor, pairs: Tensor) -> Float[Tensor, "K H"]:
        subject, target = node[pairs[:, 0]], node[pairs[:, 1]]
        return _gated(self.from_subject, subject, edge, subject) + _gated(self.from_object, target, edge, target)

    def _to_nodes(self, node: Tensor, edge: Tensor, pairs: Tensor) -> Float[Tensor, "N H"]:
        message = torch.zeros_like(node)
        for gate, end in ((self.to_subject, pairs[:, 0]), (self.to_object, pairs[:, 1])):
            message = message.index_add(0, end, _gated(gate, node[end], edge, edge))
        return message


def _gated(gate: nn.Linear, node: Tensor, edge: Tensor, message: Tensor) -> Float[Tensor, "K H"]:
    return torch.sigmoid(gate(torch.cat((node, edge), dim=1))) * message


class MessagePassingPredictor(Predictor):
    """A predictor that reads RoI features of objects, of union boxes, and a raster of a pair's two boxes."""

    def __init__(self, core: Core, config: RelationConfig) -> None:
        super().__init__()
        options, vocabulary, side = config.imp, core.vocabulary, config.pooled
        self.side = side
        self.node_features = _two_layers(core.channels * side * side, options.features)
        self.edge_features = _two_layers(core.channels * side * side, options.features)
        self.raster = nn.Sequential(
            nn.Conv2d(2, core.channels // 2, kernel_size=7, stride=2, padding=3),
            nn.ReLU(inplace=True),
            nn.AdaptiveMaxPool2d(side),
            nn.Conv2d(core.channels // 2, core.channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.passing = MessagePassing(
            options.features, options.features, options.hidden, options.iterations, options.order
        )
        self.predicates = nn.Linear(options.hidden, len(vocabulary.predicates) + 1)
        self.labels = nn.Linear(options.hidden, len(vocabulary.things) + 1)
        self.axis_names: ParameterNames = rows_by_name(
            {
                "predicates": AxisNames((BACKGROUND, *vocabulary.predicates)),
                "labels": AxisNames((*vocabulary.things, BACKGROUND)),
            }
        )

    def forward(self, board: Board, graph: Graph) -> PairPredictions:
        nodes = self.node_features(board.pool(OBJECTS, size=self.side))
        node, edge = self.passing(nodes, self._edges(board, graph), graph.pairs)
        return PairPredictions(self.predicates(edge), self.labels(node))

    def _edges(self, board: Board, graph: Graph) -> Float[Tensor, "K E"]:
        around, rows = unions(graph.objects, graph.pairs)
        pooled = board.pool(around, size=self.side)[rows]
        rasters = self.raster(pair_rasters(graph.objects.boxes, graph.pairs, RASTER).to(pooled) - 0.5)
        features: Tensor = self.edge_features(pooled + rasters)
        return features


def _two_layers(width: int, features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(width, features), nn.ReLU(inplace=True), nn.Linear(features, features), nn.ReLU()
    )
