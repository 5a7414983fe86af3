"""When, and from where, an image of a stream was taken; and the images of a stream with what came with each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops.rotations.matrices import is_rotation
from scenekit.structures.cameras import Camera

POSE_TOLERANCE = 1e-3
"""Largest deviation of an entry of R R^T in the rotation of a pose."""


@dataclass(frozen=True, eq=False)
class Moment:
    """When, and from where, an image of a stream was taken."""

    time: float
    """Seconds on the clock of the stream."""
    number: int
    """Number of the image within its stream, counted from 0; images that were skipped count."""
    pose: Float[Tensor, "4 4"] | None = None
    """From the camera frame to that of the world, in metres; None where it is unknown."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.time):
            raise InputError(f"the time of an image must be a finite number of seconds, got {self.time}")
        if self.number < 0:
            raise InputError(f"images of a stream are numbered from 0, got {self.number}")
        if self.pose is not None:
            check_pose(self.pose)

    def mirrored(self) -> Moment:
        """Return the moment of the mirrored image: the world is reflected with it (x -> -x).

        Returns:
            The moment, with the pose S T S for S = diag(-1, 1, 1, 1).
        """
        if self.pose is None:
            return self
        signs = self.pose.new_tensor([-1.0, 1.0, 1.0, 1.0])
        return replace(self, pose=signs[:, None] * self.pose * signs)


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One image of a stream, with what came with it; `SceneModel.predict` takes it in place of an image.

    ```python
    frame = sk.VideoFrame(image, sk.Moment(time=1.25, number=31, pose=camera_to_world), camera=K)
    scene = model.predict(frame)  # scene.moment and scene.camera are those of the frame
    ```
    """

    image: Any
    """The image, as `SceneModel.predict` takes it by itself."""
    moment: Moment | None = None
    """When, and from where, it was taken; None where that is unknown."""
    camera: Camera | None = None
    """The camera in pixels of the image; None where it is unknown."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What else came with the image, by the name of its modality, such as "depth"."""
    source: str | None = None
    """Where it comes from, such as the path of a video; it becomes the `path` of the scene."""


def check_pose(pose: Tensor) -> None:
    """Check that a matrix moves points from one right-handed frame to another.

    Args:
        pose: Camera to world.

    Raises:
        InputError: It has another shape, is not finite, its rotation is none, or its last row is not 0 0 0 1.
    """
    if pose.shape != (4, 4) or not pose.is_floating_point():
        raise InputError(f"a pose is a matrix [4, 4] of floats from camera to world, got {pose.dtype} {[*pose.shape]}")
    if not bool(pose.isfinite().all()):
        raise InputError("a pose must be finite; leave it out (None) where it is unknown")
    check_rigid(pose, "a pose")


def check_rigid(matrix: Float[Tensor, "4 4"], name: str) -> None:
    """Check that a matrix only turns and moves.

    Args:
        matrix: Transform of homogeneous points.
        name: What it is, in messages.

    Raises:
        InputError: It is not finite, its last row is not 0 0 0 1, or its upper left 3 x 3 is no rotation.
    """
    if not bool(matrix.isfinite().all()):
        raise InputError(f"{name} must be finite")
    if matrix[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise InputError(f"the last row of {name} must be 0 0 0 1, got {matrix[3].tolist()}; is the matrix transposed?")
    rotation = matrix[:3, :3]
    if not bool(is_rotation(rotation, POSE_TOLERANCE)):
        volume = float(torch.linalg.det(rotation.double()))
        raise InputError(
            f"the upper left 3 x 3 of {name} must be a rotation (R R^T = 1, determinant 1), got determinant {volume:g}"
            f" and rows of lengths {', '.join(f'{length:g}' for length in rotation.norm(dim=1).tolist())}"
        )
