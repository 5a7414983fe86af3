"""Subdivision of meshes.

Letters: N meshes, of them V vertices, F faces, E edges, C features before; W vertices and G faces after.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.gathering import take_rows
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import check_subdivided


def subdivide_meshes(
    meshes: Meshes, feats: Float[Tensor, "V C"] | None = None
) -> Meshes | tuple[Meshes, Float[Tensor, "W C"]]:
    """Return the result of `SubdivideMeshes()(meshes, feats)`."""
    check_subdivided(meshes, feats)
    edges_offset = F.pad(meshes.num_edges_per_mesh().cumsum(0), (1, 0))
    verts_to = torch.arange(len(meshes.verts), device=meshes.device) + edges_offset[meshes.verts_packed_to_mesh_idx()]
    edges = torch.arange(len(meshes.edges_packed()), device=meshes.device)
    edges_to = edges + meshes.verts_offset[1:][meshes.edges_packed_to_mesh_idx()]
    order = torch.cat((verts_to, edges_to)).argsort()
    offset = meshes.verts_offset + edges_offset
    faces = _quartered(meshes, verts_to, edges_to) - offset[meshes.faces_packed_to_mesh_idx()][:, None, None]
    # First the first quarters of all faces of a mesh, then the second ones, and so on.
    rank = meshes.faces_packed_to_mesh_idx()[:, None] * 4 + torch.arange(4, device=meshes.device)
    quarters = faces.view(-1, 3)[rank.view(-1).argsort(stable=True)]
    finer = Meshes(_with_middles(meshes.verts, meshes, order), quarters, offset, meshes.faces_offset * 4)
    return finer if feats is None else (finer, _with_middles(feats, meshes, order))


def _with_middles(values: Float[Tensor, "V C"], meshes: Meshes, order: Int[Tensor, " W"]) -> Float[Tensor, "W C"]:
    return take_rows(torch.cat((values, take_rows(values, meshes.edges_packed()).mean(dim=1))), order)


def _quartered(meshes: Meshes, verts_to: Int[Tensor, " V"], edges_to: Int[Tensor, " E"]) -> Int[Tensor, "F 4 3"]:
    """Return the four faces of each: at its three vertices, and in the middle."""
    a, b, c = verts_to[meshes.faces_packed()].unbind(dim=1)
    bc, ca, ab = edges_to[meshes.faces_packed_to_edges_packed()].unbind(dim=1)
    quarters = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (bc, ca, ab))
    return torch.stack([torch.stack(quarter, dim=1) for quarter in quarters], dim=1)
