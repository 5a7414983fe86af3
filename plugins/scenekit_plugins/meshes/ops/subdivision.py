"""Finer meshes, and spheres made by them.

Letters: N meshes, of them V vertices, F faces, E edges, C features before; W vertices and G faces after.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.ops.gathering import take_rows
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.backend import with_backends
from scenekit_plugins.meshes.ops.checks import require_usable

_NEAR, _FAR = 0.5257, 0.8507
"""The icosahedron's coordinates besides 0, to the four digits of pytorch3d: its spheres and ours are then equal."""


class SubdivideMeshes(nn.Module):
    """Four faces of each: every edge gets a vertex in its middle.

    `SubdivideMeshes(meshes)` takes only batches of meshes that all have the faces of the first of these, and raises
    InputError for others. Nothing is quicker for it: what is known of the edges is kept with the meshes.
    """

    faces: Tensor | None

    def __init__(self, meshes: Meshes | None = None) -> None:
        super().__init__()
        if meshes is not None and len(meshes) == 0:
            raise InputError("a mesh expected whose faces all others share, got none")
        self.register_buffer("faces", None if meshes is None else meshes.faces_of(0), persistent=False)

    def forward(
        self, meshes: Meshes, feats: Float[Tensor, "V C"] | Float[Tensor, "N _ C"] | None = None
    ) -> Meshes | tuple[Meshes, Float[Tensor, "W C"]]:
        """Finer meshes, and with features of the vertices those of the new ones, packed, where edges have the mean.

        The vertices of each mesh come first, then the middles of its edges in the order of `edges_packed()`. Features
        are those of the packed vertices, or by mesh where all have as many vertices.
        """
        if self.faces is not None and not torch.equal(meshes.faces, self.faces.repeat(len(meshes), 1)):
            raise InputError("meshes that all have the faces of the one given to SubdivideMeshes expected, got others")
        return subdivide_meshes(meshes, feats.flatten(0, 1) if feats is not None and feats.ndim == 3 else feats)


@with_backends
def subdivide_meshes(
    meshes: Meshes, feats: Float[Tensor, "V C"] | None = None
) -> Meshes | tuple[Meshes, Float[Tensor, "W C"]]:
    """What `SubdivideMeshes()(meshes, feats)` gives."""
    check_subdivided(meshes, feats)
    edges_offset = F.pad(meshes.num_edges_per_mesh().cumsum(0), (1, 0))
    verts_to = torch.arange(len(meshes.verts), device=meshes.device) + edges_offset[meshes.verts_packed_to_mesh_idx()]
    edges = torch.arange(len(meshes.edges_packed()), device=meshes.device)
    edges_to = edges + meshes.verts_offset[1:][meshes.edges_packed_to_mesh_idx()]
    order = torch.cat((verts_to, edges_to)).argsort()
    offset = meshes.verts_offset + edges_offset
    faces = _quartered(meshes, verts_to, edges_to) - offset[meshes.faces_packed_to_mesh_idx()][:, None, None]
    finer = Meshes(_with_middles(meshes.verts, meshes, order), _by_mesh(faces, meshes), offset, meshes.faces_offset * 4)
    return finer if feats is None else (finer, _with_middles(feats, meshes, order))


def check_subdivided(meshes: Meshes, feats: Tensor | None) -> None:
    """Raise unless the meshes are in order and the features go with them."""
    require_usable(meshes)
    if feats is not None and len(feats) != len(meshes.verts):
        raise InputError(f"a row of features for each of {len(meshes.verts)} vertices expected, got {len(feats)}")


def ico_sphere(level: int = 0, device: torch.device | str | None = None) -> Meshes:
    """A sphere of radius 1 about 0: an icosahedron, subdivided `level` times, its vertices moved out to the sphere."""
    if level < 0:
        raise InputError(f"the level of a sphere must be 0 or more, got {level}")
    mesh = Meshes.from_lists([_icosahedron_verts().to(device)], [_icosahedron_faces().to(device)])
    for _ in range(level):
        finer = subdivide_meshes(mesh)
        assert isinstance(finer, Meshes)
        mesh = finer.with_verts(finer.verts / finer.verts.norm(dim=1, keepdim=True))
    return mesh


def _with_middles(values: Float[Tensor, "V C"], meshes: Meshes, order: Int[Tensor, " W"]) -> Float[Tensor, "W C"]:
    return take_rows(torch.cat((values, take_rows(values, meshes.edges_packed()).mean(dim=1))), order)


def _quartered(meshes: Meshes, verts_to: Int[Tensor, " V"], edges_to: Int[Tensor, " E"]) -> Int[Tensor, "F 4 3"]:
    """The four faces of each: at its three vertices, and in the middle."""
    a, b, c = verts_to[meshes.faces_packed()].unbind(dim=1)
    bc, ca, ab = edges_to[meshes.faces_packed_to_edges_packed()].unbind(dim=1)
    quarters = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (bc, ca, ab))
    return torch.stack([torch.stack(quarter, dim=1) for quarter in quarters], dim=1)


def _by_mesh(faces: Int[Tensor, "F 4 3"], meshes: Meshes) -> Int[Tensor, "G 3"]:
    """First the first quarters of all faces of a mesh, then the second ones, and so on."""
    owner = meshes.faces_packed_to_mesh_idx()
    rank = owner[:, None] * 4 + torch.arange(4, device=meshes.device)
    return faces.view(-1, 3)[rank.view(-1).argsort(stable=True)]


def _icosahedron_verts() -> Float[Tensor, "12 3"]:
    signs = torch.tensor([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]) * torch.tensor([_NEAR, _FAR])
    corners = F.pad(signs, (0, 1))  # of the golden rectangle in the plane of x and y; the others are its turns
    return torch.cat((corners, corners.roll(1, 1), corners.roll(2, 1)))


def _icosahedron_faces() -> Int[Tensor, "20 3"]:
    return torch.tensor(
        [
            *([0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2]),
            *([10, 7, 6], [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9]),
            *([4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1]),
        ]
    )
