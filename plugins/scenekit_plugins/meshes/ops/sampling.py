"""Features at vertices, and points on surfaces. Letters: N meshes, V vertices, F faces, S samples, C channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.gathering import take_rows
from scenekit.ops.triangles import face_areas_normals
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.checks import check_maps, check_sampled

_OFTEN = (True, "bilinear", "border", True)
"""How Mesh R-CNN samples at packed vertices: return_packed, interp_mode, padding_mode, align_corners."""


def mesh_face_areas_normals(
    verts: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]
) -> tuple[Float[Tensor, " F"], Float[Tensor, "F 3"]]:
    """Return areas and unit normals of faces that index packed vertices; the normal of one without area is 0."""
    return face_areas_normals(verts, faces)


def vert_align(
    feats: Tensor | Sequence[Tensor],
    verts: Float[Tensor, "N V 3"] | Meshes,
    return_packed: bool = False,
    interp_mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = True,
) -> Float[Tensor, "N V C"] | Float[Tensor, "_ C"]:
    """Return features [N C H W] at the (x, y) of each vertex, (-1, -1) top left, (1, 1) bottom right; z does not count.

    Several feature maps are sampled alike and their channels follow one another. Vertices come as [N V 3] or as meshes,
    whose rows without a vertex are zeros; with `return_packed` the rows of all meshes follow one another.
    """
    maps = [feats] if isinstance(feats, Tensor) else list(feats)
    check_maps(maps, verts)
    if isinstance(verts, Meshes) and (return_packed, interp_mode, padding_mode, align_corners) == _OFTEN:
        return torch.cat([_interpolated(map, verts) for map in maps], dim=1)
    points = verts.verts_padded() if isinstance(verts, Meshes) else verts
    grid = points[:, None, :, :2]
    sampled = [
        F.grid_sample(map, grid.to(map.dtype), mode=interp_mode, padding_mode=padding_mode, align_corners=align_corners)
        for map in maps
    ]
    found = torch.cat(sampled, dim=1)[:, :, 0].transpose(1, 2)  # [N V C]
    if not isinstance(verts, Meshes):
        return found.flatten(0, 1) if return_packed else found
    mask = verts.verts_mask()
    return found[mask] if return_packed else found * mask[..., None]


def _interpolated(map: Float[Tensor, "N C H W"], meshes: Meshes) -> Float[Tensor, "V C"]:
    """Return bilinear features at packed vertices, those of the border beyond it: a sum of four rows of pixels each."""
    height, width = map.shape[2:]
    last = map.new_tensor([width - 1, height - 1])
    places = torch.minimum(((meshes.verts[:, :2].to(map.dtype) + 1) / 2 * last).clamp(min=0), last)
    low = places.detach().nan_to_num().floor()  # a vertex that is NaN has features that are
    x, y = (places - low).unbind(dim=1)
    (left, top), (right, bottom) = low.long().unbind(dim=1), torch.minimum(low + 1, last).long().unbind(dim=1)
    corners = torch.stack((top * width + left, top * width + right, bottom * width + left, bottom * width + right), 1)
    rows = corners + (meshes.verts_packed_to_mesh_idx() * height * width)[:, None]
    weights = torch.stack(((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y), dim=1)
    pixels = map.permute(0, 2, 3, 1).reshape(-1, map.shape[1])
    return F.embedding_bag(rows, pixels, mode="sum", per_sample_weights=weights)


@overload
def sample_points_from_meshes(
    meshes: Meshes,
    num_samples: int = ...,
    return_normals: Literal[False] = False,
    return_textures: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor: ...


@overload
def sample_points_from_meshes(
    meshes: Meshes,
    num_samples: int = ...,
    *,
    return_normals: Literal[True],
    return_textures: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]: ...


def sample_points_from_meshes(
    meshes: Meshes,
    num_samples: int = 10000,
    return_normals: bool = False,
    return_textures: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "N S 3"] | tuple[Float[Tensor, "N S 3"], Float[Tensor, "N S 3"]]:
    """Sample points uniformly on the surface of each mesh, and with `return_normals` the unit normals of their faces.

    Gradients go to the vertices, through points and normals. A mesh without faces gives zeros, and one whose faces
    have no area gives points on those faces; meshes that all have no faces, or NaN in a vertex, are an InputError.
    """
    check_sampled(meshes, return_textures)
    areas, face_normals = face_areas_normals(meshes.verts, meshes.faces_packed())
    faces = _faces_by_area(areas.detach(), meshes, num_samples, generator)
    weights = _barycentric(faces, meshes.verts.dtype, generator)
    corners = take_rows(meshes.verts, take_rows(meshes.faces_packed(), faces))  # [N S 3 3]
    filled = (meshes.num_faces_per_mesh() > 0)[:, None, None]
    points = (weights[..., None] * corners).sum(dim=2) * filled
    if not return_normals:
        return points
    return points, take_rows(face_normals, faces) * filled


def _faces_by_area(
    areas: Float[Tensor, " F"], meshes: Meshes, count: int, generator: torch.Generator | None
) -> Int[Tensor, "N S"]:
    """Sample packed faces of each mesh in proportion to their area; some face where the mesh has none."""
    owner, offset = meshes.faces_packed_to_mesh_idx(), meshes.faces_offset
    weights = areas.double()
    total = weights.new_zeros(len(meshes)).index_add(0, owner, weights)
    weights = torch.where(total[owner] > 0, weights, 1.0)
    ends = F.pad(weights.cumsum(0), (1, 0))  # the surfaces of all meshes laid out along one line
    low, high = ends[offset[:-1]][:, None], ends[offset[1:]][:, None]
    place = low + (high - low) * _uniform((len(meshes), count), areas.device, torch.float64, generator)
    faces = torch.searchsorted(ends[1:], place, right=True)
    last = (offset[1:, None] - 1).clamp(min=0)
    return torch.minimum(torch.maximum(faces, offset[:-1, None].clamp(max=len(areas) - 1)), last)


def _barycentric(
    faces: Int[Tensor, "N S"], dtype: torch.dtype, generator: torch.Generator | None
) -> Float[Tensor, "N S 3"]:
    """Return weights of a face's corners for uniform points: Osada et al., Shape Distributions, 2002, eq. 1."""
    u, v = _uniform((2, *faces.shape), faces.device, dtype, generator)
    root = u.sqrt()
    return torch.stack((1 - root, root * (1 - v), root * v), dim=-1)


def _uniform(
    shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, generator: torch.Generator | None
) -> Tensor:
    """Return numbers in [0, 1), drawn on the device of the generator."""
    where = device if generator is None else generator.device
    return torch.rand(shape, dtype=dtype, device=where, generator=generator).to(device)
