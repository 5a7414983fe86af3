"""The operations by pytorch3d itself, under the same names and with the same checks of what comes in.

Imported only where this backend is asked for. Meshes are ours on both sides.
"""

from __future__ import annotations

from typing import Any

import pytorch3d.loss
import pytorch3d.ops
import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import (
    KNN,
    Align,
    PointReduction,
    Reduction,
    Term,
    check_clouds,
    check_edges,
    check_grids,
    check_laplacian,
    check_maps,
    check_meshes,
    check_neighbors,
    check_normals_and_weights,
    check_reductions,
    check_sampled,
    check_subdivided,
)


def cubify(
    voxels: Tensor,
    thresh: float,
    *,
    feats: Tensor | None = None,
    device: torch.device | str | None = None,
    align: Align = "topleft",
) -> Meshes | tuple[Meshes, Tensor]:
    """Compute `voxels.cubify`."""
    check_grids(voxels, feats, align)
    grids = voxels.to(device or voxels.device).float().nan_to_num(nan=-torch.inf)
    meshes = (
        Meshes.from_pytorch3d(pytorch3d.ops.cubify(grids, thresh, align=align))
        if len(grids)
        else Meshes.from_lists([], [])
    )
    if feats is None:
        return meshes
    return meshes, feats.to(grids.device).transpose(0, 1).flatten(1).T[
        _cells_of_faces(grids, thresh, len(meshes.faces))
    ]


def _cells_of_faces(grids: Tensor, thresh: float, count: int) -> Tensor:
    """Return numbers of the cells that faces bound; pytorch3d gives features no gradient, and has one align only."""
    if count == 0:
        return torch.zeros(0, dtype=torch.int64, device=grids.device)
    numbers = torch.arange(grids.numel(), dtype=torch.float64, device=grids.device).view(grids[:, None].shape)
    found: Tensor = pytorch3d.ops.cubify(grids, thresh, feats=numbers, align="center").textures.atlas_packed()
    return found.flatten().long()


def vert_align(
    feats: Any,
    verts: Tensor | Meshes,
    return_packed: bool = False,
    interp_mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = True,
) -> Tensor:
    """Compute `sampling.vert_align`."""
    maps = [feats] if isinstance(feats, Tensor) else list(feats)
    check_maps(maps, verts)
    points = verts.to_pytorch3d() if isinstance(verts, Meshes) else verts
    found: Tensor = pytorch3d.ops.vert_align(maps, points, return_packed, interp_mode, padding_mode, align_corners)
    return found if return_packed or isinstance(verts, Tensor) else found * verts.verts_mask()[..., None]


def sample_points_from_meshes(
    meshes: Meshes,
    num_samples: int = 10000,
    return_normals: bool = False,
    return_textures: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Compute `sampling.sample_points_from_meshes`."""
    check_sampled(meshes, return_textures)
    areas = meshes.verts.new_zeros(len(meshes)).index_add(
        0, meshes.faces_packed_to_mesh_idx(), meshes.faces_areas_packed().detach()
    )
    if bool(((areas == 0) & (meshes.num_faces_per_mesh() > 0)).any()):
        raise InputError("pytorch3d samples no mesh whose faces have no area: use the backend torch")
    with torch.random.fork_rng(enabled=generator is not None):
        if generator is not None:
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        found = pytorch3d.ops.sample_points_from_meshes(meshes.to_pytorch3d(), num_samples, return_normals)
    return found  # type: ignore[no-any-return]


def mesh_face_areas_normals(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `sampling.mesh_face_areas_normals`."""
    areas, normals = pytorch3d.ops.mesh_face_areas_normals(verts, faces)
    return areas, normals


def gather_scatter(input: Tensor, edges: Tensor | Meshes, directed: bool = False, backward: bool = False) -> Tensor:
    """Compute `graph.gather_scatter`."""
    edges = edges.edges_packed() if isinstance(edges, Meshes) else edges
    check_edges(edges)
    edges = edges.flip(1) if directed and backward else edges
    found: Tensor = pytorch3d.ops.graph_conv.gather_scatter(input, edges, directed)
    return found


def chamfer_distance(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor | None = None,
    y_lengths: Tensor | None = None,
    x_normals: Tensor | None = None,
    y_normals: Tensor | None = None,
    weights: Tensor | None = None,
    batch_reduction: Reduction = "mean",
    point_reduction: PointReduction = "mean",
    norm: int = 2,
    single_directional: bool = False,
    abs_cosine: bool = True,
) -> tuple[Term, Term | None]:
    """Compute `chamfer.chamfer_distance`."""
    check_reductions(batch_reduction, point_reduction, x_normals is not None or y_normals is not None)
    check_clouds(x, y, x_lengths, y_lengths, norm)
    check_normals_and_weights(x, y, x_normals, y_normals, weights)
    given = (x_lengths, y_lengths, x_normals, y_normals, weights, batch_reduction, point_reduction)
    loss, normals = pytorch3d.loss.chamfer_distance(x, y, *given, norm, single_directional, abs_cosine)
    return loss, normals


def knn_points(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None = None,
    lengths2: Tensor | None = None,
    norm: int = 2,
    K: int = 1,
    version: int = -1,
    return_nn: bool = False,
    return_sorted: bool = True,
) -> KNN:
    """Compute `neighbors.knn_points`."""
    check_neighbors(p1, p2, lengths1, lengths2, norm, K)
    found = pytorch3d.ops.knn_points(p1, p2, lengths1, lengths2, norm, K, version, return_nn, return_sorted)
    return KNN(found.dists, found.idx, found.knn)


def subdivide_meshes(meshes: Meshes, feats: Tensor | None = None) -> Meshes | tuple[Meshes, Tensor]:
    """Compute `subdivision.subdivide_meshes`."""
    check_subdivided(meshes, feats)
    module = pytorch3d.ops.SubdivideMeshes()
    if feats is None:
        return Meshes.from_pytorch3d(module(meshes.to_pytorch3d()))
    finer, finer_feats = module(meshes.to_pytorch3d(), feats)
    return Meshes.from_pytorch3d(finer), finer_feats


def mesh_edge_loss(meshes: Meshes, target_length: float = 0.0) -> Tensor:
    """Compute `losses.mesh_edge_loss`."""
    check_meshes(meshes)
    return _scalar(pytorch3d.loss.mesh_edge_loss(meshes.to_pytorch3d(), target_length))


def mesh_laplacian_smoothing(meshes: Meshes, method: str = "uniform") -> Tensor:
    """Compute `losses.mesh_laplacian_smoothing`."""
    check_laplacian(meshes, method)
    return _scalar(pytorch3d.loss.mesh_laplacian_smoothing(meshes.to_pytorch3d(), method))


def mesh_normal_consistency(meshes: Meshes) -> Tensor:
    """Compute `losses.mesh_normal_consistency`."""
    check_meshes(meshes)
    return _scalar(pytorch3d.loss.mesh_normal_consistency(meshes.to_pytorch3d()))


def _scalar(loss: Tensor) -> Tensor:
    """Return the scalar of a loss; of empty meshes pytorch3d returns a tensor of one zero instead."""
    return loss.sum()
