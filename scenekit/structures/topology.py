"""Edges and neighbors of packed meshes.

Letters: N meshes, O = N + 1, V vertices, F faces, E edges, L = 2 E their ends, I edges of all faces, P pairs of them,
packed over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Topology:
    """Index tensors that follow from faces alone, each computed when it is first read.

    Meshes that share their faces, as before and after a deformation, share one topology. Non-manifold meshes are fine:
    an edge may have any number of faces, and a face with a repeated vertex has an edge from it to itself.
    """

    faces: Int[Tensor, "F 3"]
    """Faces of all meshes, which index the vertices of their own mesh."""
    verts_offset: Int[Tensor, " O"]
    """Where the vertices of each mesh begin, and the total."""
    faces_offset: Int[Tensor, " O"]
    """Where the faces of each mesh begin, and the total."""

    @cached_property
    def mesh_of_verts(self) -> Int[Tensor, " V"]:
        """Mesh of each vertex."""
        return owners(self.verts_offset)

    @cached_property
    def mesh_of_faces(self) -> Int[Tensor, " F"]:
        """Mesh of each face."""
        return owners(self.faces_offset)

    @cached_property
    def mesh_of_edges(self) -> Int[Tensor, " E"]:
        """Mesh of each edge."""
        return self.mesh_of_verts[self.edges[:, 0]]

    @cached_property
    def faces_packed(self) -> Int[Tensor, "F 3"]:
        """Faces that index the packed vertices."""
        return self.faces + self.verts_offset[self.mesh_of_faces][:, None]

    @cached_property
    def edges(self) -> Int[Tensor, "E 2"]:
        """Each undirected edge once as (low, high) packed vertices, in lexicographic order."""
        return self._edges_and_inverse[0]

    @cached_property
    def edges_of_faces(self) -> Int[Tensor, "F 3"]:
        """Rows of `edges`; column k is the edge opposite to vertex k of the face."""
        return self._edges_and_inverse[1]

    @cached_property
    def _edges_and_inverse(self) -> tuple[Int[Tensor, "E 2"], Int[Tensor, "F 3"]]:
        count = max(int(self.verts_offset[-1]), 1)
        one, other = self.faces_packed.roll(-1, 1), self.faces_packed.roll(1, 1)  # [F 3]
        low, high = torch.minimum(one, other), torch.maximum(one, other)
        numbers, inverse = torch.unique(low * count + high, return_inverse=True)
        return torch.stack((numbers // count, numbers % count), dim=1), inverse.view(-1, 3)

    @cached_property
    def neighbors(self) -> tuple[Int[Tensor, " L"], Int[Tensor, " _"]]:
        """(vertices at the other ends of the edges of each vertex, where those of each vertex begin and the total)."""
        low, high = self.edges.unbind(dim=1)
        ends = torch.cat((low, high))
        counts = torch.bincount(ends, minlength=int(self.verts_offset[-1]))
        return torch.cat((high, low))[ends.argsort()], F.pad(counts.cumsum(0), (1, 0))

    @cached_property
    def edges_beside_faces(self) -> tuple[Int[Tensor, " I"], Int[Tensor, " I"]]:
        """(edge, face) of each edge of each face, the edges ascending."""
        edge, corner = self.edges_of_faces.flatten().sort(stable=True)
        return edge, corner // 3

    @cached_property
    def pairs_at_edges(self) -> Int[Tensor, "P 2"]:
        """Pairs of rows of `edges_beside_faces` that share an edge; all pairs where an edge has more than two faces."""
        edge, _ = self.edges_beside_faces
        first = F.pad(torch.bincount(edge, minlength=len(self.edges)).cumsum(0), (1, 0))[edge]
        row = torch.arange(len(edge), device=edge.device)
        rank = row - first  # each row has so many before it with the same edge
        second = row.repeat_interleave(rank)
        step = torch.arange(len(second), device=edge.device) - (rank.cumsum(0) - rank)[second]
        return torch.stack((first[second] + step, second), dim=1)


def owners(offset: Int[Tensor, " O"]) -> Int[Tensor, " _"]:
    """Return the mesh of each packed row.

    Args:
        offset: Where the rows of each mesh begin, and the total.

    Returns:
        Indices of meshes.
    """
    meshes = torch.arange(len(offset) - 1, device=offset.device)
    return meshes.repeat_interleave(offset.diff())
