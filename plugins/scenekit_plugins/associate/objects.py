"""What the tracker knows of the objects of an image, as arrays.

Letters: N objects, C channels of the appearance, S side of a mask in its box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from scenekit.keys import APPEARANCE, BOXES3D, MASKS, OBJECTS
from scenekit.scene import Scene
from scenekit.structures import Masks

SIDE = 24
"""Side of the grid that a mask is compared on."""

Grid = Bool[np.ndarray, "S S"]


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects of one image."""

    time: float
    """Seconds."""
    boxes: Float[np.ndarray, "N 4"]
    """Boxes, xyxy in pixels."""
    labels: Int[np.ndarray, " N"]
    """Labels."""
    scores: Float[np.ndarray, " N"]
    """Scores; 1 in ground truth."""
    tracked: Bool[np.ndarray, " N"]
    """Objects that may have a track: no groups, and with a box."""
    places: Float[np.ndarray, "N 3"] | None = None
    """Centers of 3D boxes in metres, NaN for an object without one; None without any."""
    far: Float[np.ndarray, " N"] | None = None
    """Their distance from the camera in metres."""
    in_world: bool = False
    """Whether the places are those of the world; else those of the camera."""
    looks: Float[np.ndarray, "N C"] | None = None
    """Unit vectors of the appearance, NaN for an object without one; None without any."""
    masks: Masks | None = None
    """Masks; None without any."""

    def __len__(self) -> int:
        return len(self.labels)

    def grid(self, row: int) -> Grid | None:
        """Return the mask of an object in its box.

        Args:
            row: The row of the object.

        Returns:
            A grid over the box; None where there is no mask.
        """
        if self.masks is None:
            return None
        mask, (x0, y0, _, _) = self.masks.cropped(row)
        if not mask.numel():
            return None
        box = self.boxes[row]
        steps = (np.arange(SIDE) + 0.5) / SIDE
        columns = np.floor(box[0] + steps * (box[2] - box[0]) - x0).astype(int)
        rows = np.floor(box[1] + steps * (box[3] - box[1]) - y0).astype(int)
        return _at(mask.numpy(), rows, columns)

    @classmethod
    def of(cls, scene: Scene) -> Detections:
        """Read a scene.

        Args:
            scene: The scene, with a moment.

        Returns:
            Its objects.
        """
        assert scene.moment is not None
        objects, pose = scene.objects, scene.moment.pose
        boxes = objects.boxes.double().numpy()
        scores = np.ones(len(objects)) if objects.scores is None else objects.scores.double().numpy()
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        places, far = None, None
        if BOXES3D in scene:
            there = (scene.rows_with(BOXES3D) & scene[BOXES3D].valid).numpy()
            center = scene[BOXES3D].center.double()
            far = center.norm(dim=1).numpy()
            moved = center if pose is None else center @ pose[:3, :3].double().T + pose[:3, 3].double()
            places = np.where(there[:, None], moved.numpy(), np.nan)
        return cls(
            scene.moment.time,
            boxes,
            objects.labels.numpy(),
            scores,
            sound & ~objects.crowd.numpy(),
            places,
            far,
            pose is not None,
            _looks(scene),
            scene[MASKS] if MASKS in scene and len(scene.regions(OBJECTS)) else None,
        )


def _looks(scene: Scene) -> Float[np.ndarray, "N C"] | None:
    if APPEARANCE not in scene:
        return None
    there = scene.rows_with(APPEARANCE)
    return torch.where(there[:, None], scene[APPEARANCE].double(), torch.nan).numpy()


def _at(grid: Bool[np.ndarray, "_ _"], rows: Int[np.ndarray, " _"], columns: Int[np.ndarray, " _"]) -> Grid:
    """Return the entries of a grid at rows and columns, False beyond it."""
    height, width = grid.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    values: Grid = inside & grid[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    return values


def grid_iou(first: Grid, box: Float[np.ndarray, "4"], second: Grid, other: Float[np.ndarray, "4"]) -> float:
    """Return the IoU of two masks that are grids over their boxes.

    Args:
        first: The one mask.
        box: Its box.
        second: The other mask.
        other: Its box.

    Returns:
        0 to 1, on a grid over both boxes.
    """
    low, high = np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])
    points = low + (np.arange(2 * SIDE)[:, None] + 0.5) / (2 * SIDE) * (high - low)
    views = []
    for grid, own in ((first, box), (second, other)):
        places = np.floor((points - own[:2]) / (own[2:] - own[:2]) * SIDE).astype(int)
        views.append(_at(grid, places[:, 1], places[:, 0]))
    either = int((views[0] | views[1]).sum())
    return float((views[0] & views[1]).sum() / either) if either else 0.0
