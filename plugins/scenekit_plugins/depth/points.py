"""Points of a scanner as depth of an image.

Letters: P points, H W pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import BeforeValidator, model_validator
from torch import Tensor

from scenekit.config import Config
from scenekit.errors import InputError, warn_once
from scenekit.hooks import InputImage
from scenekit.structures.moments import check_rigid
from scenekit_plugins.depth.files import load_array

_log = logging.getLogger(__name__)


def _as_lists(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | Tensor) else value


class PointOptions(Config):
    """Options of points."""

    to_camera: Annotated[tuple[tuple[float, ...], ...] | None, BeforeValidator(_as_lists)] = None
    """Rigid transform [3 4] or [4 4] from the frame of the points to the camera frame (x right, y down, z forward),
    metres; if null, the points are in the camera frame."""

    @model_validator(mode="after")
    def _rigid(self) -> PointOptions:
        rows = self.to_camera
        if rows is None:
            return self
        if len(rows) not in (3, 4) or any(len(row) != 4 for row in rows):
            raise ValueError(
                "points_to_camera: expected a transform [3 4] or [4 4] from the points' frame to the camera's"
            )
        check_rigid(torch.tensor([*rows, (0.0, 0.0, 0.0, 1.0)][:4], dtype=torch.float64), "points_to_camera")
        return self


def read_points(value: Any, options: PointOptions, image: InputImage) -> Float[Tensor, "1 H W"]:
    """Project points to the image.

    Args:
        value: Array or tensor [P 3] or with further columns, in metres; or a file: .npy, or .bin as KITTI has.
        options: The frame of the points.
        image: The image, with its camera.

    Returns:
        Metres along the optical axis of the nearest point at each pixel, NaN without points.

    Raises:
        InputError: The image has no camera, or these are no points.
    """
    if image.camera is None or image.camera.assumed:
        raise InputError(f"{image.name}: points need the camera of the image; pass its K as camera=")
    points = load_array(value, "points", image)
    if points.dim() != 2 or points.shape[1] < 3:
        raise InputError(f"{image.name}: points are [P, 3] or wider (x, y, z, ...), got {list(points.shape)}")
    points = points[:, :3].float()
    if options.to_camera is not None:
        points = transformed(points, options.to_camera)
    _note_ignored(points, image.camera.sees(points, image.size), image.name)
    return image.camera.depth(points, image.size)[None]


def _note_ignored(points: Float[Tensor, "P 3"], seen: Bool[Tensor, "P"], name: str) -> None:
    """Log how many points are of no use in an image, and why all are where none is."""
    outside = int((~seen).sum())
    if len(points) and not bool(points.isfinite().all(dim=1).any()):
        warn_once(_log, f"{name}: none of {len(points)} points is finite; the prediction is that without them")
    elif outside == len(points):
        warn_once(
            _log,
            f"{name}: none of {len(points)} points is in view; the prediction is that without them. Check"
            " points_to_camera: x is right, y down, z forward",
        )
    elif outside:
        _log.info("%s: %d of %d points are outside of the image, and ignored", name, outside, len(points))


def transformed(points: Float[Tensor, "P 3"], transform: Sequence[Sequence[float]]) -> Float[Tensor, "P 3"]:
    """Move points to another frame.

    Args:
        points: Points in metres.
        transform: Rows of [3 4] or [4 4].

    Returns:
        The points in that frame.
    """
    matrix = torch.tensor(transform).to(points)
    return points @ matrix[:3, :3].T + matrix[:3, 3]
