"""How boxes are learned: corners in metres, one group of numbers at a time (Simonelli et al., ICCV 2019).

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
"""The losses, and which numbers of a box each one judges."""


def cube_losses(
    found: Cubes,
    truth: Cubes,
    sides: Float[Tensor, "N 2"],
    uncertainty: Float[Tensor, " N"] | None,
    config: LossConfig,
    depth: DepthCode = "direct",
) -> dict[str, Float[Tensor, ""]]:
    """Means over the regions: `xy`, `z`, `dims`, `pose`, and as configured `joint` and `uncertainty`.

    `sides` of the regions and what the `depth` number means matter where numbers are judged by themselves.
    """
    nearest = config.disentangled and config.corners == "nearest"
    if config.disentangled:
        rows = corner_losses(found, truth, nearest)
    else:
        rows = number_losses(found, truth, sides, depth)
    if config.joint:
        rows["joint"] = corner_distance(found.corners, truth.corners, nearest)
    if config.inverse_depth:
        rows = {name: value / truth.depth.clamp(min=math.e).log() for name, value in rows.items()}
    if uncertainty is None:
        return {name: safe_mean(value) for name, value in rows.items()}
    certain = math.sqrt(2) * (-uncertainty).exp()  # its own loss makes u the log of the error that is to be expected
    rows = {name: value * certain for name, value in rows.items()}
    return {name: safe_mean(value) for name, value in {**rows, "uncertainty": uncertainty}.items()}


def corner_losses(found: Cubes, truth: Cubes, nearest: bool) -> dict[str, Float[Tensor, " N"]]:
    """By group: how far the corners of the true box move, in metres, when its numbers of that group are as found."""
    corners = truth.corners
    moved = {name: truth.taking(found, *numbers).corners for name, numbers in GROUPS.items()}
    return {name: corner_distance(theirs, corners, nearest and name == "pose") for name, theirs in moved.items()}


def number_losses(
    found: Cubes, truth: Cubes, sides: Float[Tensor, "N 2"], depth: DepthCode
) -> dict[str, Float[Tensor, " N"]]:
    """By group: how far its numbers are off. Pixels by the sides of the region, logs of sizes, 1 - cos of the angle."""
    apart = found.depth.log() - truth.depth.log() if depth in ("log", "box") else found.depth - truth.depth
    cosine = ((found.rotation * truth.rotation).sum(dim=(1, 2)) - 1) / 2  # of the angle of F R^T, from its trace
    return {
        "xy": ((found.pixels - truth.pixels) / sides.clamp(min=1e-3)).abs().mean(dim=1),
        "z": apart.abs(),
        "dims": (found.size.log() - truth.size.log()).abs().mean(dim=1),
        "pose": 1 - cosine,
    }


def corner_distance(found: Float[Tensor, "N 8 3"], truth: Float[Tensor, "N 8 3"], nearest: bool) -> Float[Tensor, " N"]:
    """Mean of the absolute differences of 8 x 3 coordinates.

    With `nearest` the chamfer distance: from each corner to the nearest one of the other box, both ways, as the sum
    over x, y, z and the mean over corners.
    """
    if not nearest:
        return (found - truth).abs().mean(dim=(1, 2))
    apart = (found[:, :, None] - truth[:, None]).abs().sum(dim=-1)
    return apart.amin(dim=2).mean(dim=1) + apart.amin(dim=1).mean(dim=1)


def turned(
    truth: Float[Tensor, "N 3 3"], found: Float[Tensor, "N 3 3"], symmetry: Int[Tensor, " N"]
) -> Float[Tensor, "N 3 3"]:
    """The true rotation after that turn about the height axis, of those that the symmetry allows, nearest to `found`.

    `symmetry` n allows turns by 360 / n degrees, 0 every one (see `Vocabulary.symmetry`). Nearest is the turn t with
    the largest trace of (R Ry(t))^T F = (A00 + A22) cos t + (A02 - A20) sin t + A11, where A = R^T F.
    """
    apart = truth.mT @ found.detach()
    angle = torch.atan2(apart[:, 0, 2] - apart[:, 2, 0], apart[:, 0, 0] + apart[:, 2, 2])
    step = 2 * math.pi / symmetry.clamp(min=1)
    angle = torch.where(symmetry == 0, angle, (angle / step).round() * step)
    return truth @ axis_angle_to_matrix(angle[:, None] * angle.new_tensor([0.0, 1.0, 0.0]))
