"""How far 3D boxes are off those of the objects that they stand for: turn, place and size.

Letters: P pairs of a true box and a found one, K turns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from scenekit.data.sample import Sample
from scenekit.errors import InputError
from scenekit.evaluation.matching import matched_rows
from scenekit.evaluation.omni3d_scenes import boxes3d_of, scores_of
from scenekit.keys import BOXES3D, OBJECTS
from scenekit.ops.rotations import axis_angle_to_matrix
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.vocabulary import Vocabulary

ERRORS = ("yaw error (deg)", "center error (m)", "depth error", "size error")
"""Depth and size are relative to the true ones; size is the mean over width, height and length."""


class BoxErrors:
    """Accumulates images; `result` gives medians over all pairs that were found.

    A detection stands for an object of its class from IoU 0.5 in the image; best scores choose first, and an object
    is taken once. Yaw is compared up to the symmetry that the vocabulary states of a class: not at all where every turn
    looks the same.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.things = vocabulary.things
        self.orders = torch.tensor([vocabulary.symmetry.get(name, 1) for name in self.things], dtype=torch.int64)
        self._labels: list[Int[np.ndarray, " P"]] = []
        self._errors: list[Float[np.ndarray, "P 4"]] = []

    def update(self, truth: Sample, prediction: Scene) -> None:
        """Take in one image; one without labels of 3D boxes is passed over."""
        if BOXES3D in truth.supervision.keys and OBJECTS in truth.supervision.streams:
            true, found = boxes3d_of(truth.scene), boxes3d_of(prediction)
            objects, detections = truth.scene.objects, prediction.objects
            asked = true.valid & truth.scene.rows_with(BOXES3D) & ~objects.crowd & ~objects.ignore
            answered = found.valid & prediction.rows_with(BOXES3D)
            true_rows, rows = matched_rows(objects, detections, asked, answered, scores_of(prediction))
            labels = objects.labels[true_rows]
            self._labels.append(labels.numpy())
            self._errors.append(box_errors(true[true_rows], found[rows], self.orders[labels]).numpy())

    def merge(self, other: BoxErrors) -> None:
        """Take in everything that another one saw."""
        if other.things != self.things or not torch.equal(other.orders, self.orders):
            raise InputError("errors over different classes or symmetries cannot be merged")
        self._labels += other._labels
        self._errors += other._errors

    def result(self) -> dict[str, Any]:
        """Medians by the names of `ERRORS`, how many pairs were `matched`, and the same `per_category`.

        Yaw over all classes is that of the classes with a front. NaN where there is nothing to measure.
        """
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *self._labels])
        errors = np.concatenate([np.zeros((0, len(ERRORS))), *self._errors])
        per_category = {name: _medians(errors[labels == label]) for label, name in enumerate(self.things)}
        with_front = errors.copy()
        with_front[self.orders.numpy()[labels] != 1, 0] = np.nan
        return {**_medians(with_front), "per_category": per_category}


def box_errors(true: Boxes3D, found: Boxes3D, orders: Int[Tensor, " P"]) -> Float[Tensor, "P 4"]:
    """The four `ERRORS` of each pair; `orders` are those of the classes' symmetry."""
    center = (found.center - true.center).norm(dim=1)
    depth = (found.center[:, 2] - true.center[:, 2]).abs() / true.center[:, 2].abs()
    size = ((found.size - true.size).abs() / true.size).mean(dim=1)
    return torch.stack((yaw_errors(true.rotation, found.rotation, orders), center, depth, size), dim=1)


def yaw_errors(
    true: Float[Tensor, "P 3 3"], found: Float[Tensor, "P 3 3"], orders: Int[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """Degrees, 0 to 180, between the headings: yaw as `Boxes3D.roll_pitch_yaw` has it.

    With order n the smallest over turns of the object by 360 / n degrees about its own height axis; NaN with 0.
    """
    errors = torch.full((len(true),), torch.nan)
    for order in {*orders.tolist()} - {0}:
        rows = orders == order
        angles = torch.arange(order) * (2 * math.pi / order)
        turns = axis_angle_to_matrix(angles[:, None] * torch.tensor([0.0, 1.0, 0.0]))
        headings = _heading(found[rows, None] @ turns)  # [P K]
        apart = headings - _heading(true[rows])[:, None]
        errors[rows] = torch.remainder(apart + math.pi, 2 * math.pi).sub(math.pi).abs().amin(dim=1).rad2deg()
    return errors


def _heading(rotation: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B"]:
    """Yaw: where the length axis points, seen from above."""
    return torch.atan2(-rotation[..., 2, 0], rotation[..., 0, 0])


def _medians(errors: Float[np.ndarray, "P 4"]) -> dict[str, Any]:
    known = [column[~np.isnan(column)] for column in errors.T]
    medians = [float(np.median(column)) if len(column) else float("nan") for column in known]
    return {**dict(zip(ERRORS, medians, strict=True)), "matched": len(errors)}
