"""How long edges are and how smooth surfaces. Letters: N meshes, V vertices, F faces, E edges."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops.backend import with_backends
from scenekit_plugins.meshes.ops.checks import require_usable


@with_backends
def mesh_edge_loss(meshes: Meshes, target_length: float = 0.0) -> Float[Tensor, ""]:
    """Mean over meshes of the mean over their edges of (length - target)^2; meshes without edges count with 0."""
    require_usable(meshes)
    ends = meshes.verts[meshes.edges_packed()]
    lengths = (ends[:, 0] - ends[:, 1]).norm(dim=1)
    weights = 1 / meshes.num_edges_per_mesh()[meshes.edges_packed_to_mesh_idx()]
    return ((lengths - target_length).square() * weights).sum() / max(len(meshes), 1)
