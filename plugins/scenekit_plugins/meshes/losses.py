"""Losses of Mesh R-CNN (Gkioxari et al., 2019, section 3.3); their weights are in the task's record.

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


def voxel_loss(logits: Float[Tensor, "N D H W"], target: Float[Tensor, "N D H W"]) -> Float[Tensor, ""]:
    """Compute binary cross-entropy, a mean over all cells.

    Args:
        logits: Logits of the cells.
        target: Occupancy of the cells.

    Returns:
        The loss.
    """
    return safe_mean(F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none"))


def extent_loss(logs: Float[Tensor, " N"], target: Float[Tensor, " N"], beta: float) -> Float[Tensor, ""]:
    """Compute the smooth L1 loss of the logarithm of the depth extent.

    Args:
        logs: Predicted logarithms.
        target: Depth extents relative to the height of the box.
        beta: Where the loss turns from L2 to L1.

    Returns:
        The loss.
    """
    return safe_mean(F.smooth_l1_loss(logs.float(), target.log(), beta=beta, reduction="none"))


def mesh_losses(
    stages: Sequence[Meshes], target: Meshes, samples: int, source: torch.Generator | None = None
) -> dict[str, Float[Tensor, ""]]:
    """Compute losses of meshes, summed over stages.

    They are the chamfer distance, the difference of normals at nearest points, and squared lengths of edges.

    All are 0 without a mesh, or without a face in the initial ones, as of voxels that are NaN; if a vertex is not
    finite all are NaN, so that the training loop reports it, or skips the step in half precision.

    Args:
        stages: Meshes after each stage, in the cube of the frustum.
        target: Ground truth, in the cube of the frustum.
        samples: Points on each surface that are compared.
        source: Random number generator of the points.

    Returns:
        The losses `chamfer`, `normal` and `edge`.
    """
    zero = torch.stack([stage.verts.sum() for stage in stages]).sum() * 0.0
    losses = {"chamfer": zero, "normal": zero, "edge": zero}
    if len(target) == 0 or stages[0].isempty() or not bool(zero.isfinite()):
        return losses
    target_points, target_normals = sample_points_from_meshes(target, samples, return_normals=True, generator=source)
    for stage in stages:
        points, normals = sample_points_from_meshes(stage, samples, return_normals=True, generator=source)
        distances = chamfer_distance(points, target_points, x_normals=normals, y_normals=target_normals)
        for name, loss in zip(losses, (*distances, mesh_edge_loss(stage)), strict=True):
            assert isinstance(loss, Tensor)
            losses[name] = losses[name] + loss
    return losses
