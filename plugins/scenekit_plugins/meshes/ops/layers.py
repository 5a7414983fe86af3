"""Layers and meshes built on the mesh operations of the backend in use.

Letters: N meshes, of them V vertices, F faces, E edges, C channels in, K channels out; W vertices after subdivision.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.structures import Meshes
from scenekit_plugins.meshes import ops
from scenekit_plugins.meshes.ops.checks import require_one_of

_NEAR, _FAR = 0.5257, 0.8507
"""The icosahedron's coordinates besides 0, to the four digits of pytorch3d: its spheres and ours are then equal."""


class GraphConv(nn.Module):
    """y_i = w0(x_i) + sum over the neighbors j of w1(x_j), both with a bias: eq. 1 of Gkioxari et al., Mesh R-CNN.

    `init` "normal" draws weights with a standard deviation of 0.01 and no bias; "zero" makes all weights zero and
    leaves the biases as torch draws them. `directed`: an edge (a, b) adds to a alone, what b has. Meshes in place of
    edges stand for their own.
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

    def forward(self, verts: Float[Tensor, "V C"], edges: Int[Tensor, "E 2"] | Meshes) -> Float[Tensor, "V K"]:
        """Compute new features of vertices from the rows that each edge joins."""
        if verts.ndim != 2 or verts.shape[1] != self.input_dim:
            raise InputError(f"features must be [V {self.input_dim}], got {list(verts.shape)}")
        own: Tensor = self.w0(verts)
        return own.add_(ops.gather_scatter(self.w1(verts), edges, self.directed))


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
        """Return finer meshes, and with features those of all vertices, packed; new ones have the mean of their edge.

        The vertices of each mesh come first, then the middles of its edges in the order of `edges_packed()`. Features
        are those of the packed vertices, or by mesh where all have as many vertices.
        """
        if self.faces is not None and not torch.equal(meshes.faces, self.faces.repeat(len(meshes), 1)):
            raise InputError("meshes that all have the faces of the one given to SubdivideMeshes expected, got others")
        return ops.subdivide_meshes(meshes, feats.flatten(0, 1) if feats is not None and feats.ndim == 3 else feats)


def ico_sphere(level: int = 0, device: torch.device | str | None = None) -> Meshes:
    """Return a sphere of radius 1 about 0: an icosahedron, subdivided `level` times, vertices moved to the sphere."""
    if level < 0:
        raise InputError(f"the level of a sphere must be 0 or more, got {level}")
    mesh = Meshes.from_lists([_icosahedron_verts().to(device)], [_icosahedron_faces().to(device)])
    for _ in range(level):
        finer = ops.subdivide_meshes(mesh)
        assert isinstance(finer, Meshes)
        mesh = finer.with_verts(finer.verts / finer.verts.norm(dim=1, keepdim=True))
    return mesh


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
