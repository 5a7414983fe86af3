"""What the networks of Mesh R-CNN learn (Gkioxari et al., 2019, section 3.3); weights are those of the task's record.

Letters: N regions, D H W cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from scenekit.ops.losses import safe_mean
from scenekit.structures import Meshes
from scenekit_plugins.meshes.ops import chamfer_distance, mesh_edge_loss, sample_points_from_meshes


def voxel_loss(logits: Float[Tensor, "N D H W"], truth: Float[Tensor, "N D H W"]) -> Float[Tensor, ""]:
    """Binary cross-entropy, a mean over all cells."""
    return safe_mean(F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none"))


def extent_loss(logs: Float[Tensor, " N"], truth: Float[Tensor, " N"], beta: float) -> Float[Tensor, ""]:
    """Smooth L1 of the logarithm of the depth extent relative to the height of the box."""
    return safe_mean(F.smooth_l1_loss(logs.float(), truth.log(), beta=beta, reduction="none"))


def mesh_losses(
    stages: Sequence[Meshes], truth: Meshes, samples: int, chance: torch.Generator | None = None
) -> dict[str, Float[Tensor, ""]]:
    """Chamfer distance, normals of nearest points, and squared lengths of edges, summed over the stages.

    All in the cube of the frustum, at `samples` points of each surface that `chance` draws. All are 0 without a mesh,
    or without a face to start from, which voxels that are NaN do not make; where a vertex is not finite all are NaN, so
    that the training loop says so, or in half precision skips the step.
    """
    zero = torch.stack([stage.verts.sum() for stage in stages]).sum() * 0.0
    losses = {"chamfer": zero, "normal": zero, "edge": zero}
    if len(truth) == 0 or stages[0].isempty() or not bool(zero.isfinite()):
        return losses
    true_points, true_normals = sample_points_from_meshes(truth, samples, return_normals=True, generator=chance)
    for stage in stages:
        points, normals = sample_points_from_meshes(stage, samples, return_normals=True, generator=chance)
        distances = chamfer_distance(points, true_points, x_normals=normals, y_normals=true_normals)
        for name, loss in zip(losses, (*distances, mesh_edge_loss(stage)), strict=True):
            assert isinstance(loss, Tensor)
            losses[name] = losses[name] + loss
    return losses
