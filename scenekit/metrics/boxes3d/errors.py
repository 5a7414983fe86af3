"""Errors of 3D boxes that are matched to ground-truth boxes: yaw, center, depth and size.

Letters: P pairs of a ground-truth box and a predicted one, C classes, K turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.structures.boxes3d import Boxes3D

ERRORS = ("yaw error (deg)", "center error (m)", "depth error", "size error")
"""Depth and size are relative to those of the targets; size is the mean over width, height and length."""


class Box3DErrors:
    """Accumulates matched pairs of boxes; `result` gives the medians of their errors.

    Args:
        classes: Their names, by label.
        symmetry: By label the order n of the rotational symmetry about the height axis: the class looks the same after
            a turn by 360 / n degrees. 1 for none; 0 where every turn looks the same, so that yaw is not measured.
    """

    def __init__(self, classes: Sequence[str], symmetry: Sequence[int]) -> None:
        self.classes = tuple(classes)
        self.symmetry: Int[Tensor, " C"] = torch.tensor(symmetry, dtype=torch.int64)
        self._labels: list[Int[np.ndarray, " P"]] = []
        self._errors: list[Float[np.ndarray, "P 4"]] = []

    def update(self, labels: Int[Tensor, " P"], targets: Boxes3D, predictions: Boxes3D) -> None:
        """Add matched pairs.

        Args:
            labels: The classes of the ground-truth boxes.
            targets: The ground-truth boxes.
            predictions: The box that is matched to each.
        """
        self._labels.append(labels.numpy())
        self._errors.append(box_errors(targets, predictions, self.symmetry[labels]).numpy())

    def merge(self, other: Box3DErrors) -> None:
        """Add the pairs of another instance.

        Args:
            other: One of the same classes and symmetries.

        Raises:
            InputError: Classes or symmetries differ.
        """
        if other.classes != self.classes or not torch.equal(other.symmetry, self.symmetry):
            raise InputError("errors over different classes or symmetries cannot be merged")
        self._labels += other._labels
        self._errors += other._errors

    def result(self) -> dict[str, Any]:
        """Compute the medians.

        Returns:
            Medians by the names of `ERRORS`, the number of pairs as `matched`, and the same `per_category`. Yaw over
            all classes is that of the classes without a symmetry. NaN where there is nothing to measure.
        """
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *self._labels])
        errors = np.concatenate([np.zeros((0, len(ERRORS))), *self._errors])
        per_category = {name: _medians(errors[labels == label]) for label, name in enumerate(self.classes)}
        with_front = errors.copy()
        with_front[self.symmetry.numpy()[labels] != 1, 0] = np.nan
        return {**_medians(with_front), "per_category": per_category}


def box_errors(targets: Boxes3D, predictions: Boxes3D, symmetry: Int[Tensor, " P"]) -> Float[Tensor, "P 4"]:
    """Compute the four `ERRORS` of each pair.

    Args:
        targets: Ground-truth boxes.
        predictions: The box that is matched to each.
        symmetry: The order of the symmetry of each pair's class; see `Box3DErrors`.

    Returns:
        Degrees, metres, and two ratios; yaw is NaN where the symmetry is 0.
    """
    center = (predictions.center - targets.center).norm(dim=1)
    depth = (predictions.center[:, 2] - targets.center[:, 2]).abs() / targets.center[:, 2].abs()
    size = ((predictions.size - targets.size).abs() / targets.size).mean(dim=1)
    return torch.stack((yaw_errors(targets.rotation, predictions.rotation, symmetry), center, depth, size), dim=1)


def yaw_errors(
    targets: Float[Tensor, "P 3 3"], predictions: Float[Tensor, "P 3 3"], symmetry: Int[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """Compute the angle between the headings: yaw as `Boxes3D.roll_pitch_yaw` has it.

    Args:
        targets: Rotations of the ground-truth boxes, camera from object.
        predictions: Rotations of the predicted boxes.
        symmetry: With order n the least error over turns of the box by 360 / n degrees about its height axis counts.

    Returns:
        Degrees, 0 to 180; NaN where the symmetry is 0.
    """
    errors = torch.full((len(targets),), torch.nan)
    for order in {*symmetry.tolist()} - {0}:
        rows = symmetry == order
        angles = torch.arange(order) * (2 * math.pi / order)
        turns = axis_angle_to_matrix(angles[:, None] * torch.tensor([0.0, 1.0, 0.0]))
        headings = _heading(predictions[rows, None] @ turns)  # [P K]
        difference = headings - _heading(targets[rows])[:, None]
        errors[rows] = torch.remainder(difference + math.pi, 2 * math.pi).sub(math.pi).abs().amin(dim=1).rad2deg()
    return errors


def _heading(rotation: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B"]:
    """Return the yaw: where the length axis points, seen from above."""
    return torch.atan2(-rotation[..., 2, 0], rotation[..., 0, 0])


def _medians(errors: Float[np.ndarray, "P 4"]) -> dict[str, Any]:
    known = [column[~np.isnan(column)] for column in errors.T]
    medians = [float(np.median(column)) if len(column) else float("nan") for column in known]
    return {**dict(zip(ERRORS, medians, strict=True)), "matched": len(errors)}
