"""Cameras of a map: what each of them had in view.

Letters: V views, P points, B boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from scenekit.structures.geometry import Size

NEAR = 0.2
"""Metres before the camera from which on objects are in view."""

SMALLEST = 0.025
"""An object whose diagonal shows less than this share of the longer side of the image is too far away to be missed."""

MARGIN = 0.02
"""Share of the image at its border where the center of an object does not count as in view."""

THROUGH = 0.05
"""Metres by which the ray to an object must pass through another box for it to be hidden."""


@dataclass(frozen=True, eq=False)
class View:
    """The camera of one scene of a map."""

    time: float
    """Seconds on the clock of the stream."""
    pose: Float[np.ndarray, "4 4"]
    """Camera to world, in metres."""
    matrix: Float[np.ndarray, "3 3"]
    """K in pixels of the image."""
    size: Size
    """Height and width of the image, in pixels."""
    assumed: bool = False
    """Whether the focal length is a guess."""
    number: int = 0
    """Number of the image within its stream."""

    @property
    def position(self) -> Float[np.ndarray, "3"]:
        """The camera in the world, in metres."""
        return self.pose[:3, 3]

    def contains(self, points: Float[np.ndarray, "P 3"], diagonals: Float[np.ndarray, " P"]) -> Bool[np.ndarray, " P"]:
        """Return which objects are in view, as far as the camera alone tells: inside the image, and not too small.

        Args:
            points: Centers of objects in the world, in metres.
            diagonals: Diagonals of their boxes, in metres.

        Returns:
            True for those in view.
        """
        local = (points - self.position) @ self.pose[:3, :3]
        depth = np.maximum(local[:, 2], 1e-9)
        pixels = (local @ self.matrix.T)[:, :2] / depth[:, None]
        height, width = self.size
        border = MARGIN * max(self.size)
        inside = ((pixels > border) & (pixels < np.array([width, height]) - border)).all(axis=1)
        shown = diagonals * self.matrix[0, 0] / depth
        seen: Bool[np.ndarray, " P"] = inside & (local[:, 2] > NEAR) & (shown > SMALLEST * max(self.size))
        return seen

    def hidden(
        self,
        points: Float[np.ndarray, "P 3"],
        centers: Float[np.ndarray, "B 3"],
        sizes: Float[np.ndarray, "B 3"],
        rotations: Float[np.ndarray, "B 3 3"],
    ) -> Bool[np.ndarray, " P"]:
        """Return which points lie behind a box; boxes around a point, or around the camera, do not hide it.

        Args:
            points: Points in the world, in metres.
            centers: Centers of boxes in the world, in metres.
            sizes: Width, height and length of the boxes, in metres.
            rotations: World from box.

        Returns:
            True for hidden points.
        """
        half = sizes[:, [2, 1, 0]] / 2
        start = np.einsum("bi,bij->bj", self.position - centers, rotations)  # [B 3]
        end = np.einsum("pbi,bij->pbj", points[:, None] - centers, rotations)  # [P B 3]
        step = end - start
        step = np.where(np.abs(step) < 1e-12, 1e-12, step)
        first, second = (-half - start) / step, (half - start) / step
        enters = np.minimum(first, second).max(axis=2)
        leaves = np.maximum(first, second).min(axis=2)
        passed = np.minimum(leaves, 1.0) - enters
        within = (np.abs(end) <= half).all(axis=2)
        covered = (enters > 0) & (passed * np.linalg.norm(step, axis=2) > THROUGH) & ~within
        hidden: Bool[np.ndarray, " P"] = covered.any(axis=1)
        return hidden


def positions_of(views: Sequence[View]) -> Float[np.ndarray, "V 3"]:
    """Return the path of the camera, in metres."""
    return np.array([view.position for view in views]).reshape(-1, 3)
