"""Which sightings are which objects of a map, and which objects of a map are one.

Letters: M objects of the map, K sightings, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from scenekit.ops.iou3d import box3d_overlap
from scenekit.structures.boxes3d import Boxes3D
from scenekit.world.fusion import FLOOR
from scenekit.world.options import WorldOptions

REACH = 0.4
"""Centers closer than this share of the mean half diagonal are those of one object, besides the expected errors."""

GATE = 2.0
"""How many times their expected error two sightings of one object may be apart."""

IMPOSSIBLE = 1e6
"""Cost of pairs that are not one object."""

OTHER_CLASS = 1.0
"""Cost of a pair of different classes, in units of the gate."""


@dataclass(frozen=True, eq=False)
class Solids:
    """Boxes in the world, as columns."""

    labels: Sequence[str]
    """Class names."""
    center: Float[np.ndarray, "M 3"]
    """Centers in metres."""
    size: Float[np.ndarray, "M 3"]
    """Width, height and length in metres."""
    rotation: Float[np.ndarray, "M 3 3"]
    """World from object."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Int[np.ndarray, " P"]) -> Solids:
        labels = [self.labels[row] for row in rows.tolist()]
        return Solids(labels, self.center[rows], self.size[rows], self.rotation[rows])

    @property
    def half_diagonal(self) -> Float[np.ndarray, " M"]:
        """Half the diagonals, in metres."""
        return np.asarray(np.linalg.norm(self.size, axis=1) / 2)


def overlaps(mine: Solids, theirs: Solids) -> Float[np.ndarray, "M K"]:
    """Compute the IoU of all pairs of boxes."""
    if not len(mine) or not len(theirs):
        return np.zeros((len(mine), len(theirs)))
    shared = box3d_overlap(corners_of(mine), corners_of(theirs), eps=1e-2)[1]
    return np.asarray(shared.numpy())


def corners_of(boxes: Solids) -> Float[Tensor, "M 8 3"]:
    """Return the corners of boxes, as `box3d_overlap` expects them."""
    parts = (torch.from_numpy(np.ascontiguousarray(part)) for part in (boxes.center, boxes.size, boxes.rotation))
    return Boxes3D(*parts).corners


def assigned(
    mine: Solids,
    theirs: Solids,
    camera: Float[np.ndarray, "3"],
    options: WorldOptions,
) -> Int[np.ndarray, " K"]:
    """Return the object of the map that each sighting is, -1 for a new one.

    The assignment has the least total cost: the distance of both centers in units of the gate, minus the IoU.

    Args:
        mine: Objects of the map.
        theirs: Sightings.
        camera: Where the camera was, in metres.
        options: What the map is built by.
    """
    near = nearby(mine, theirs, camera, options)
    result = np.full(len(theirs), -1)
    if not len(near):
        return result
    cost = costs(mine[near], theirs, camera, options)
    rows, columns = linear_sum_assignment(cost)
    for row, column in zip(rows, columns, strict=True):
        if cost[row, column] < IMPOSSIBLE:
            result[column] = near[row]
    return result


def nearby(
    mine: Solids, theirs: Solids, camera: Float[np.ndarray, "3"], options: WorldOptions
) -> Int[np.ndarray, " P"]:
    """Return the objects of the map near enough to a sighting to be it."""
    distance = np.linalg.norm(theirs.center - camera, axis=1)
    errors = GATE * (FLOOR + max(options.ray_error, options.lateral_error) * distance)
    reach = mine.half_diagonal[:, None] + theirs.half_diagonal + errors
    apart = np.linalg.norm(mine.center[:, None] - theirs.center, axis=2)
    return np.flatnonzero((apart < reach).any(axis=1))


def costs(
    mine: Solids, theirs: Solids, camera: Float[np.ndarray, "3"], options: WorldOptions
) -> Float[np.ndarray, "M K"]:
    """Return the cost of taking each sighting for each object of the map."""
    iou, apart = overlaps(mine, theirs), gated_distances(mine, theirs, camera, options)
    same = same_class(mine, theirs)
    one = np.where(same, (apart <= 1) | (iou >= max(options.overlap, 1e-9)), iou >= options.overlap_of_classes)
    cost = np.minimum(apart, 2.0) - 2 * iou + np.where(same, 0.0, OTHER_CLASS)
    return np.where(one, cost, IMPOSSIBLE)


def same_class(mine: Solids, theirs: Solids) -> Bool[np.ndarray, "M K"]:
    """Return which pairs are of one class."""
    pairs = [label == other for label in mine.labels for other in theirs.labels]
    return np.array(pairs, dtype=bool).reshape(len(mine), len(theirs))


def gated_distances(
    mine: Solids, theirs: Solids, camera: Float[np.ndarray, "3"], options: WorldOptions
) -> Float[np.ndarray, "M K"]:
    """Return the distances of centers in units of the gate: an ellipsoid along the ray of each sighting.

    Its half axes are a share of the size of the objects and the expected errors across and along the ray.
    """
    offset = theirs.center[None] - mine.center[:, None]
    sight = theirs.center - camera
    distance = np.linalg.norm(sight, axis=1)
    along = np.einsum("mki,ki->mk", offset, sight / np.maximum(distance, 1e-9)[:, None])
    across = np.sqrt(np.maximum((offset**2).sum(axis=2) - along**2, 0.0))
    size = REACH * (mine.half_diagonal[:, None] + theirs.half_diagonal) / 2
    gates = [size + GATE * (FLOOR + error * distance) for error in (options.lateral_error, options.ray_error)]
    gated: Float[np.ndarray, "M K"] = np.sqrt((across / gates[0]) ** 2 + (along / gates[1]) ** 2)
    return gated


def grown_together(
    mine: Solids,
    others: Solids,
    shared: Float[np.ndarray, " M"],
    camera: Float[np.ndarray, "3"],
    options: WorldOptions,
) -> Bool[np.ndarray, " M"]:
    """Return which of the others are the same object as the only one of `mine`.

    Objects that scenes show beside each other are two, unless their boxes overlap as solid objects cannot.

    Args:
        mine: One object of the map.
        others: Further ones, M.
        shared: Share of the sightings of the rarer one in scenes that show both.
        camera: From where, on average, the one object was sighted, in metres.
        options: What the map is built by.
    """
    iou = overlaps(others, mine)[:, 0]
    same = same_class(others, mine)[:, 0]
    near = (gated_distances(others, mine, camera, options)[:, 0] <= 1) | (iou >= max(options.overlap, 1e-9))
    grown = np.where(same, near, iou >= options.overlap_of_classes) & (shared <= options.together)
    result: Bool[np.ndarray, " M"] = grown | (iou >= options.overlap_of_classes)
    return result
