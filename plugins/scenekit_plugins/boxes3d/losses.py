"""Losses of boxes: corners in metres, one group of numbers at a time (Simonelli et al., ICCV 2019).

Letters: N regions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.ops.losses import safe_mean
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit_plugins.boxes3d.coding import Cubes
from scenekit_plugins.boxes3d.config import DepthCode, LossConfig

GROUPS: Mapping[str, tuple[str, ...]] = {"xy": ("pixels",), "z": ("depth",), "dims": ("size",), "pose": ("rotation",)}
"""The numbers of a box that each loss compares."""


def cube_losses(
    predicted: Cubes,
    target: Cubes,
    sides: Float[Tensor, "N 2"],
    uncertainty: Float[Tensor, " N"] | None,
    config: LossConfig,
    depth: DepthCode = "direct",
) -> dict[str, Float[Tensor, ""]]:
    """Compute means over the regions: `xy`, `z`, `dims`, `pose`, and as configured `joint` and `uncertainty`.

    Args:
        predicted: Predicted boxes.
        target: Ground truth.
        sides: Width and height of the regions, for losses of the numbers themselves.
        uncertainty: Predicted uncertainty; None without one.
        config: Options of the losses.
        depth: Meaning of the depth, for losses of the numbers themselves.

    Returns:
        The losses by name.
    """
    nearest = config.disentangled and config.corners == "nearest"
    if config.disentangled:
        rows = corner_losses(predicted, target, nearest)
    else:
        rows = number_losses(predicted, target, sides, depth)
    if config.joint:
        rows["joint"] = corner_distance(predicted.corners, target.corners, nearest)
    if config.inverse_depth:
        rows = {name: value / target.depth.clamp(min=math.e).log() for name, value in rows.items()}
    if uncertainty is None:
        return {name: safe_mean(value) for name, value in rows.items()}
    certain = math.sqrt(2) * (-uncertainty).exp()  # its own loss makes u the log of the expected error
    rows = {name: value * certain for name, value in rows.items()}
    return {name: safe_mean(value) for name, value in {**rows, "uncertainty": uncertainty}.items()}


def corner_losses(predicted: Cubes, target: Cubes, nearest: bool) -> dict[str, Float[Tensor, " N"]]:
    """Compute how far the corners of the ground truth move when one group of numbers is replaced by the prediction.

    Args:
        predicted: Predicted boxes.
        target: Ground truth.
        nearest: Whether the pose is compared by nearest corners.

    Returns:
        Distance in metres, by group.
    """
    corners = target.corners
    moved = {name: target.replaced(predicted, *numbers).corners for name, numbers in GROUPS.items()}
    return {name: corner_distance(theirs, corners, nearest and name == "pose") for name, theirs in moved.items()}


def number_losses(
    predicted: Cubes, target: Cubes, sides: Float[Tensor, "N 2"], depth: DepthCode
) -> dict[str, Float[Tensor, " N"]]:
    """Compute errors of the numbers themselves, by group.

    Args:
        predicted: Predicted boxes.
        target: Ground truth.
        sides: Width and height of the regions.
        depth: Meaning of the depth.

    Returns:
        Errors: pixels by the sides of the region, metres or logarithms of depth, logarithms of sizes, 1 - cos of the
        angle.
    """
    apart = predicted.depth.log() - target.depth.log() if depth in ("log", "box") else predicted.depth - target.depth
    cosine = ((predicted.rotation * target.rotation).sum(dim=(1, 2)) - 1) / 2  # of the angle of F R^T, from its trace
    return {
        "xy": ((predicted.pixels - target.pixels) / sides.clamp(min=1e-3)).abs().mean(dim=1),
        "z": apart.abs(),
        "dims": (predicted.size.log() - target.size.log()).abs().mean(dim=1),
        "pose": 1 - cosine,
    }


def corner_distance(
    predicted: Float[Tensor, "N 8 3"], target: Float[Tensor, "N 8 3"], nearest: bool
) -> Float[Tensor, " N"]:
    """Compute the mean absolute difference of the coordinates of 8 corners.

    Args:
        predicted: Corners of predicted boxes.
        target: Corners of the ground truth.
        nearest: Whether to compute the chamfer distance instead: from each corner to the nearest one of the other box,
            both ways, as the sum over x, y, z and the mean over corners.

    Returns:
        Distances, in metres.
    """
    if not nearest:
        return (predicted - target).abs().mean(dim=(1, 2))
    apart = (predicted[:, :, None] - target[:, None]).abs().sum(dim=-1)
    return apart.amin(dim=2).mean(dim=1) + apart.amin(dim=1).mean(dim=1)


def turned(
    target: Float[Tensor, "N 3 3"], predicted: Float[Tensor, "N 3 3"], symmetry: Int[Tensor, " N"]
) -> Float[Tensor, "N 3 3"]:
    """Turn ground-truth rotations about the height axis to the nearest one that the symmetry allows.

    Nearest is the turn t with the largest trace of (R Ry(t))^T F = (A00 + A22) cos t + (A02 - A20) sin t + A11, where A
    = R^T F.

    Args:
        target: Ground-truth rotations R.
        predicted: Predicted rotations F.
        symmetry: n allows turns by 360 / n degrees, 0 every one (see `Vocabulary.symmetry`).

    Returns:
        The turned rotations.
    """
    apart = target.mT @ predicted.detach()
    angle = torch.atan2(apart[:, 0, 2] - apart[:, 2, 0], apart[:, 0, 0] + apart[:, 2, 2])
    step = 2 * math.pi / symmetry.clamp(min=1)
    angle = torch.where(symmetry == 0, angle, (angle / step).round() * step)
    return target @ axis_angle_to_matrix(angle[:, None] * angle.new_tensor([0.0, 1.0, 0.0]))
