"""How long edges are and how smooth surfaces. Letters: N meshes, V vertices, F faces, E edges, R rows."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.gathering import take_rows
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import check_laplacian, check_meshes
from scenekit_plugins.meshes.ops.graph import neighbor_sum


def mesh_edge_loss(meshes: Meshes, target_length: float = 0.0) -> Float[Tensor, ""]:
    """Compute the mean over meshes of the mean over edges of (length - target)^2; meshes without edges count as 0."""
    check_meshes(meshes)
    a, b = take_rows(meshes.verts, meshes.edges_packed()).unbind(dim=1)
    lengths = (a - b).norm(dim=1)
    return _mean_of_means((lengths - target_length).square(), meshes.edges_packed_to_mesh_idx(), len(meshes))


def mesh_laplacian_smoothing(meshes: Meshes, method: str = "uniform") -> Float[Tensor, ""]:
    """Compute the mean over meshes of the mean over vertices of the length of the positions' Laplacian.

    That is how far a vertex lies from its neighbors: from their mean ("uniform"), from the one weighted by the
    cotangents of the angles opposite to each edge ("cot"), or the mean curvature that these and the area of the faces
    around give ("cotcurv"): Desbrun et al., Implicit Fairing, 1999; Nealen et al., Laplacian Mesh Optimization, 2006.
    The weights are taken as fixed: no gradient goes through them. A vertex without faces has the curvature 0; for the
    other two its neighbors lie at 0.
    """
    check_laplacian(meshes, method)
    if method == "cotcurv":
        offsets = _mean_curvatures(meshes)
    else:
        offsets = _neighbor_means(meshes, None if method == "uniform" else _cotangents(meshes)[0]) - meshes.verts
    return _mean_of_means(offsets.norm(dim=1), meshes.verts_packed_to_mesh_idx(), len(meshes))


def mesh_normal_consistency(meshes: Meshes) -> Float[Tensor, ""]:
    """Compute the mean over meshes of the mean of 1 - cos of the angle between neighboring faces' normals.

    0 on a flat surface, whichever way its faces turn. Edges of one face alone count for nothing; of more than two faces
    with one edge all pairs count. A face without area has cos 0 with all others.
    """
    check_meshes(meshes)
    edge, face = meshes.topology.edges_beside_faces
    start, end = (take_rows(meshes.verts, side) for side in meshes.edges_packed()[edge].T)
    # Two of three terms are those of the edge's own vertices: 0, but in the gradient of a face that names one twice.
    corners = (take_rows(meshes.verts, corner) for corner in meshes.faces_packed()[face].T)
    normals = torch.stack([torch.linalg.cross(end - start, corner - start) for corner in corners]).sum(dim=0)
    one, other = (take_rows(normals, side) for side in meshes.topology.pairs_at_edges.T)
    bends = 1 - F.cosine_similarity(one, -other, dim=1)  # seen along the edge, the two faces turn opposite ways
    owner = meshes.edges_packed_to_mesh_idx()[edge[meshes.topology.pairs_at_edges[:, 0]]]
    return _mean_of_means(bends, owner, len(meshes))


def _neighbor_means(meshes: Meshes, weights: Float[Tensor, " E"] | None) -> Float[Tensor, "V 3"]:
    """Return the mean of each vertex's neighbors; where weights sum to 0 or less, the sum times that."""
    to, source = torch.cat((meshes.edges_packed(), meshes.edges_packed().flip(1))).unbind(dim=1)
    weights = meshes.verts.new_ones(len(to)) if weights is None else weights.repeat(2)
    total = meshes.verts.new_zeros(len(meshes.verts)).index_add(0, to, weights)[:, None]
    return neighbor_sum(meshes.verts, to, source, weights) * torch.where(total > 0, 1 / total, total)


def _mean_curvatures(meshes: Meshes) -> Float[Tensor, "V 3"]:
    """Return mean curvature normals, halved: Desbrun et al., eq. 14."""
    weights, areas = _cotangents(meshes)
    ends, count = meshes.edges_packed(), len(meshes.verts)
    # Summed in the order of a sparse matrix: what rounding leaves of faces without area is then that of pytorch3d.
    places = torch.cat((ends, ends.flip(1))).T
    laplacian = torch.sparse_coo_tensor(places, weights.repeat(2), (count, count), check_invariants=False)
    total = torch.sparse.sum(laplacian, dim=1).to_dense()[:, None]
    return (laplacian @ meshes.verts - total * meshes.verts) * torch.where(areas > 0, 0.25 / areas, 0)[:, None]


@torch.no_grad()
def _cotangents(meshes: Meshes) -> tuple[Float[Tensor, " E"], Float[Tensor, " V"]]:
    """Return (Half the cotangents of the angles opposite to each edge, areas of the faces around each vertex)."""
    corners = take_rows(meshes.verts, meshes.faces_packed())
    lengths = (corners.roll(-1, 1) - corners.roll(1, 1)).norm(dim=2)  # of the sides opposite to each corner
    a, b, c = lengths.unbind(dim=1)
    half = (a + b + c) / 2
    areas = (half * (half - a) * (half - b) * (half - c)).clamp(min=1e-12).sqrt()  # Heron
    cotangents = (lengths.roll(-1, 1).square() + lengths.roll(1, 1).square() - lengths.square()) / areas[:, None] / 4
    weights = areas.new_zeros(len(meshes.edges_packed()))
    around = areas.new_zeros(len(meshes.verts))
    return (
        weights.index_add(0, meshes.faces_packed_to_edges_packed().flatten(), cotangents.flatten()),
        around.index_add(0, meshes.faces_packed().flatten(), areas.repeat_interleave(3)),
    )


def _mean_of_means(values: Float[Tensor, " R"], owner: Int[Tensor, " R"], count: int) -> Float[Tensor, ""]:
    """Return mean over all meshes of the mean of what each owns; those that own nothing count with 0."""
    shares = 1 / torch.bincount(owner, minlength=count)[owner]
    return (values * shares).sum() / max(count, 1)
