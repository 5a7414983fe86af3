"""Arguments of the mesh operations: their types, and checks that name what is wrong and what was expected.

Both backends run the same checks. Letters as in the modules of the operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.structures import Meshes

Align = Literal["topleft", "corner", "center"]
Reduction = Literal["mean", "sum"] | None
PointReduction = Literal["mean", "sum", "max"] | None
Term = Tensor | tuple[Tensor, Tensor]
"""A distance, or one per direction where nothing is reduced over points."""

LAPLACIANS = ("uniform", "cot", "cotcurv")


class KNN(NamedTuple):
    """Nearest points: distances (squared with norm 2), rows of the second cloud, and those points."""

    dists: Float[Tensor, "B P K"]
    idx: Int[Tensor, "B P K"]
    knn: Float[Tensor, "B P K D"] | None


def require_one_of(value: object, choices: tuple[object, ...], name: str) -> None:
    """Raise unless `value` is one of the choices."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def require_finite(value: Tensor, name: str) -> None:
    """Raise if a number is NaN or infinite."""
    if not bool(torch.isfinite(value).all()):
        rows = int((~torch.isfinite(value)).flatten(end_dim=-2).any(dim=-1).sum())
        raise InputError(f"{name} must be finite, got NaN or infinity in {rows} of them")


def check_meshes(meshes: Meshes) -> None:
    """Raise if a vertex is not finite, or a face names a vertex that its mesh does not have."""
    require_finite(meshes.verts, "vertices")
    if len(meshes.faces):
        counts = meshes.num_verts_per_mesh()[meshes.faces_packed_to_mesh_idx()][:, None]
        bad = (meshes.faces < 0) | (meshes.faces >= counts)
        if bool(bad.any()):
            row = int(bad.any(dim=1).nonzero()[0, 0])
            raise InputError(
                f"face {row} names vertices {meshes.faces[row].tolist()}, but its mesh has {int(counts[row])} vertices"
            )


def check_laplacian(meshes: Meshes, method: str) -> None:
    """Raise unless `mesh_laplacian_smoothing` can compute this Laplacian of these meshes."""
    require_one_of(method, LAPLACIANS, "method")
    check_meshes(meshes)


def check_sampled(meshes: Meshes, return_textures: bool) -> None:
    """Raise unless `sample_points_from_meshes` can sample these meshes."""
    if return_textures:
        raise InputError("meshes have no textures to sample: leave return_textures out")
    check_meshes(meshes)
    if meshes.isempty():
        raise InputError(f"meshes with faces expected to sample points from, got {len(meshes)} without any")


def check_subdivided(meshes: Meshes, feats: Tensor | None) -> None:
    """Raise unless the meshes are valid and have one row of features per vertex."""
    check_meshes(meshes)
    if feats is not None and len(feats) != len(meshes.verts):
        raise InputError(f"a row of features for each of {len(meshes.verts)} vertices expected, got {len(feats)}")


def check_edges(edges: Tensor) -> None:
    """Raise unless these are pairs of vertices."""
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputError(f"edges must be [E 2], got {list(edges.shape)}")


def check_maps(maps: Sequence[Tensor], points: Tensor | Meshes) -> None:
    """Raise unless `vert_align` can sample these feature maps at these points."""
    if not maps:
        raise InputError("at least one feature map [N C H W] expected, got none")
    if isinstance(points, Tensor) and (points.ndim != 3 or points.shape[-1] < 2):
        raise InputError(f"vertices must be [N V 3] or Meshes, got a tensor of shape {list(points.shape)}")
    for map in maps:
        if map.ndim != 4 or len(map) != len(points):
            raise InputError(f"features must be [N C H W] with N = {len(points)}, got {list(map.shape)}")


def check_grids(voxels: Tensor, feats: Tensor | None, align: str) -> None:
    """Raise unless `cubify` can extract a surface from these grids."""
    require_one_of(align, ("topleft", "corner", "center"), "align")
    if voxels.ndim != 4:
        raise InputError(f"voxels must be [N D H W], got a tensor of shape {list(voxels.shape)}")
    sizes = list(voxels.shape[1:])
    if min(sizes) < 1 or (align != "corner" and min(sizes) < 2):
        least = 1 if align == "corner" else 2
        raise InputError(f"grids of at least {least} cells along each axis expected for align={align!r}, got {sizes}")
    if feats is not None and (feats.ndim != 5 or (feats.shape[0], *feats.shape[2:]) != tuple(voxels.shape)):
        raise InputError(f"feats must be [N K D H W] for voxels {list(voxels.shape)}, got {list(feats.shape)}")


def check_neighbors(
    p1: Tensor, p2: Tensor, lengths1: Tensor | None, lengths2: Tensor | None, norm: int, K: int
) -> None:
    """Raise unless `knn_points` can compare these clouds and at least one neighbor is asked for."""
    check_clouds(p1, p2, lengths1, lengths2, norm)
    if K < 1:
        raise InputError(f"K must be at least 1, got {K}")


def check_clouds(x: Tensor, y: Tensor, x_lengths: Tensor | None, y_lengths: Tensor | None, norm: int) -> None:
    """Raise if two batches of clouds cannot be compared."""
    require_one_of(norm, (1, 2), "norm")
    if x.ndim != 3:
        raise InputError(f"points must be [B P D], got a tensor of shape {list(x.shape)}")
    shapes = f"{list(x.shape)} and {list(y.shape)}"
    if y.ndim != 3 or len(y) != len(x) or y.shape[2] != x.shape[2]:
        raise InputError(f"two batches of points alike but for their number expected, got {shapes}")
    if x.shape[1] == 0 or y.shape[1] == 0:
        raise InputError(f"at least one row per cloud expected, got {shapes}: lengths say how many count")
    for cloud, lengths in ((x, x_lengths), (y, y_lengths)):
        require_finite(cloud, "points")
        if lengths is not None and (lengths.shape != cloud.shape[:1] or bool((lengths > cloud.shape[1]).any())):
            raise InputError(
                f"a length of at most {cloud.shape[1]} for each of {len(cloud)} clouds expected, got {lengths.tolist()}"
            )


def check_reductions(batch_reduction: str | None, point_reduction: str | None, with_normals: bool) -> None:
    """Raise unless the reductions of `chamfer_distance` can be combined."""
    require_one_of(batch_reduction, ("mean", "sum", None), "batch_reduction")
    require_one_of(point_reduction, ("mean", "sum", "max", None), "point_reduction")
    if point_reduction is None and batch_reduction is not None:
        raise InputError(
            "point_reduction None leaves nothing to reduce over the batch: set batch_reduction to None too"
        )
    if point_reduction == "max" and with_normals:
        raise InputError('point_reduction "max" is a distance of positions alone: leave the normals out')


def check_normals_and_weights(
    x: Tensor, y: Tensor, x_normals: Tensor | None, y_normals: Tensor | None, weights: Tensor | None
) -> None:
    """Raise unless there is a normal per point and a weight per cloud."""
    for points, normals in ((x, x_normals), (y, y_normals)):
        if normals is not None and normals.shape != points.shape:
            raise InputError(f"a normal for each point expected, {list(points.shape)}, got {list(normals.shape)}")
    if weights is not None and (weights.shape != x.shape[:1] or bool((weights < 0).any())):
        raise InputError(f"weights must be {len(x)} numbers from 0 on, got {weights.tolist()}")
