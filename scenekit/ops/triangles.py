"""Areas and normals of triangles. Letters: V vertices, F faces, whose rows index vertices counterclockwise."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.gathering import take_rows

EPSILON = 1e-6
"""Smallest length by which cross products and sums are divided, so that none gives NaN."""


def face_areas_normals(
    verts: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]
) -> tuple[Float[Tensor, " F"], Float[Tensor, "F 3"]]:
    """Compute areas and unit normals of faces.

    Args:
        verts: Vertices.
        faces: Vertex indices of each face.

    Returns:
        (areas, unit normals); a face without area has the normal 0.
    """
    cross = face_crosses(verts, faces)
    doubled = cross.norm(dim=1)
    return doubled / 2, cross / doubled.clamp(min=EPSILON)[:, None]


def vertex_normals(verts: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "V 3"]:
    """Compute unit normals of vertices as the area-weighted mean of their faces' normals.

    Args:
        verts: Vertices.
        faces: Vertex indices of each face.

    Returns:
        Unit normals, 0 for a vertex without faces.
    """
    cross = face_crosses(verts, faces)
    total = torch.zeros_like(verts).index_add(0, faces.reshape(-1), cross.repeat_interleave(3, dim=0))
    return F.normalize(total, dim=1, eps=EPSILON)


def face_crosses(verts: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "F 3"]:
    """Compute normals of faces whose length is twice the area.

    Args:
        verts: Vertices.
        faces: Vertex indices of each face.

    Returns:
        Cross products of two edges of each face.
    """
    a, b, c = take_rows(verts, faces).unbind(dim=1)
    cross: Tensor = torch.linalg.cross(b - a, c - a)
    return cross
