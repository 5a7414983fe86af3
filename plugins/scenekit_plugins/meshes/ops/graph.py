"""Sums over the neighbors of vertices. Letters: V vertices, E edges, L links between rows, C channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import check_edges


def gather_scatter(
    input: Float[Tensor, "V C"], edges: Int[Tensor, "E 2"] | Meshes, directed: bool = False, backward: bool = False
) -> Float[Tensor, "V C"]:
    """Return for each vertex the sum of its neighbors' features.

    An edge (a, b) adds row b to a, and where it is not `directed` row a to b. With `backward` a directed edge adds row
    a to b instead. Edges that occur twice count twice, and so does one from a vertex to itself, unless directed. Meshes
    stand for their edges, and sort them once for all calls.
    """
    if isinstance(edges, Meshes) and not directed:
        links = Links(*edges.topology.neighbors)
        both_ways: Tensor = _NeighborSum.apply(input, links, lambda: links)
        return both_ways
    edges = edges.edges_packed() if isinstance(edges, Meshes) else edges
    check_edges(edges)
    to, source = edges.unbind(dim=1)
    if not directed:
        to, source = torch.cat((to, source)), torch.cat((source, to))
    return neighbor_sum(input, source, to) if directed and backward else neighbor_sum(input, to, source)


def neighbor_sum(
    values: Float[Tensor, "V C"],
    to: Int[Tensor, " L"],
    source: Int[Tensor, " L"],
    weights: Float[Tensor, " L"] | None = None,
) -> Float[Tensor, "V C"]:
    """Return for each row the sum of the values of the rows that links lead from, times the weights of the links."""
    count = len(values)
    there, back = Links.of(to, source, count, weights), lambda: Links.of(source, to, count, weights)
    found: Tensor = _NeighborSum.apply(values, there, back)
    return found


class Links(NamedTuple):
    """Links between rows, sorted by the rows that they lead to."""

    source: Int[Tensor, " L"]
    """Rows that the links lead from."""
    ends: Int[Tensor, " _"]
    """Where the links to each row begin, and the total."""
    weights: Float[Tensor, " L"] | None = None
    """Factors of the links."""

    @classmethod
    def of(cls, to: Tensor, source: Tensor, count: int, weights: Tensor | None) -> Links:
        """Sort links between `count` rows."""
        order = to.argsort()
        ends = F.pad(torch.bincount(to, minlength=count).cumsum(0), (1, 0))
        return cls(source[order], ends, None if weights is None else weights[order])

    def sums(self, values: Float[Tensor, "V C"]) -> Float[Tensor, "V C"]:
        """Return the sum of what links to each row bring."""
        source, ends, weights = self
        if len(source) == 0:
            return torch.zeros_like(values)
        return F.embedding_bag(source, values, ends, mode="sum", per_sample_weights=weights, include_last_offset=True)


class _NeighborSum(torch.autograd.Function):
    """Sums over sorted links, both ways: many times as fast as adding link by link into rows, and its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, there: Links, back: Callable[[], Links]) -> Tensor:
        ctx.back = back
        return there.sums(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.back().sums(grad.contiguous()), None, None
