"""Graph convolutions on the edges of meshes. Letters: V vertices, E edges, L links between rows,
C channels in, K channels out."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit_plugins.meshes.ops.backend import with_backends
from scenekit_plugins.meshes.ops.checks import require_one_of


class GraphConv(nn.Module):
    """y_i = w0(x_i) + sum over the neighbors j of w1(x_j), both with a bias: eq. 1 of Gkioxari et al., Mesh R-CNN.

    `init` "normal" draws weights with a standard deviation of 0.01 and no bias; "zero" makes all weights zero and
    leaves the biases as torch draws them. `directed`: an edge (a, b) adds to a alone, what b has.
    """

    def __init__(self, input_dim: int, output_dim: int, init: str = "normal", directed: bool = False) -> None:
        super().__init__()
        require_one_of(init, ("normal", "zero"), "init")
        self.input_dim, self.output_dim, self.directed = input_dim, output_dim, directed
        self.w0, self.w1 = nn.Linear(input_dim, output_dim), nn.Linear(input_dim, output_dim)
        for linear in (self.w0, self.w1):
            if init == "zero":
                nn.init.zeros_(linear.weight)
            else:
                nn.init.normal_(linear.weight, std=0.01)
                nn.init.zeros_(linear.bias)

    def forward(self, verts: Float[Tensor, "V C"], edges: Int[Tensor, "E 2"]) -> Float[Tensor, "V K"]:
        """Features of vertices, and the rows that each edge joins."""
        if verts.ndim != 2 or verts.shape[1] != self.input_dim:
            raise InputError(f"features must be [V {self.input_dim}], got {list(verts.shape)}")
        own: Tensor = self.w0(verts)
        return own + gather_scatter(self.w1(verts), edges, self.directed)


@with_backends
def gather_scatter(
    input: Float[Tensor, "V C"], edges: Int[Tensor, "E 2"], directed: bool = False, backward: bool = False
) -> Float[Tensor, "V C"]:
    """For each vertex the sum of what its neighbors have.

    An edge (a, b) adds row b to a, and where it is not `directed` row a to b. With `backward` a directed edge adds row
    a to b instead. Edges that occur twice count twice, and so does one from a vertex to itself, unless directed.
    """
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
    """For each row the sum of the values of the rows that links lead from, times the weights of the links."""
    found: Tensor = _NeighborSum.apply(values, to, source, weights)
    return found


def check_edges(edges: Tensor) -> None:
    """Raise unless these are pairs of vertices."""
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputError(f"edges must be [E 2], got {list(edges.shape)}")


class _NeighborSum(torch.autograd.Function):
    """Sums over sorted links, both ways: many times as fast as adding link by link into rows, and its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, to: Tensor, source: Tensor, weights: Tensor | None) -> Tensor:
        ctx.links = to, source, weights
        return _sum_over_links(values, to, source, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        to, source, weights = ctx.links
        return _sum_over_links(grad.contiguous(), source, to, weights), None, None, None


def _sum_over_links(values: Tensor, to: Tensor, source: Tensor, weights: Tensor | None) -> Tensor:
    if len(to) == 0:
        return torch.zeros_like(values)
    order = to.argsort()
    ends = F.pad(torch.bincount(to, minlength=len(values)).cumsum(0), (1, 0))
    chosen = None if weights is None else weights[order]
    return F.embedding_bag(source[order], values, ends, mode="sum", per_sample_weights=chosen, include_last_offset=True)
