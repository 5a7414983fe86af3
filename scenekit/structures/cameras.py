"""The pinhole camera: x right, y down, z forward, metres; homogeneous pixel = K X."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops import cameras
from scenekit.structures.geometry import Geometry

ASSUMED_FOCAL = 1.0
"""Focal length assumed where none is known, in units of the longer side of the image."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of one image.

    `matrix` is K [3 3] in pixels of the image (pixel (0, 0) covers [0, 1) x [0, 1)); `assumed` says that the focal
    length is a guess and metric values are only up to that guess.
    """

    matrix: Float[Tensor, "3 3"]
    assumed: bool = False

    def __post_init__(self) -> None:
        focal = (float(self.matrix[0, 0]), float(self.matrix[1, 1]))
        if not (torch.isfinite(self.matrix).all() and min(focal) > 0):
            raise InputError(f"a camera needs finite intrinsics with focal lengths above 0, got fx, fy = {focal}")
        if (last := self.matrix[2].tolist()) != [0.0, 0.0, 1.0]:
            raise InputError(f"the last row of a camera's matrix is 0 0 1, got {last}; is the matrix transposed?")

    @classmethod
    def of(cls, camera: object) -> Camera:
        """A camera as it is, or that of a matrix K, [3 3] of any kind; InputError for what is none."""
        if isinstance(camera, Camera):
            return camera
        try:
            rows = camera.detach().cpu() if isinstance(camera, Tensor) else np.asarray(camera)
            matrix = torch.as_tensor(rows, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(f"a Camera or its matrix K [3, 3] is expected, got {type(camera).__name__}") from None
        if matrix.shape != (3, 3):
            raise InputError(
                f"a Camera or its matrix K [3, 3] is expected, got shape {list(matrix.shape)};"
                " Camera.pinhole(focal, height, width) makes one of a focal length"
            )
        return cls(matrix)

    @classmethod
    def pinhole(cls, focal: float, height: int, width: int) -> Camera:
        """The camera with this focal length in pixels, whose principal point is the middle of the image."""
        return cls(torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]))

    @classmethod
    def default(cls, height: int, width: int) -> Camera:
        """A stated guess: focal length `ASSUMED_FOCAL` x the longer side, principal point in the middle."""
        return replace(cls.pinhole(ASSUMED_FOCAL * max(height, width), height, width), assumed=True)

    def project(self, xyz: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Pixels of points in the camera frame; points with z <= 0 have no meaningful pixel."""
        return cameras.project(xyz, self.matrix.to(xyz))

    def unproject(self, xy: Float[Tensor, "*n 2"], depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
        """The points at `depth`, metres along z, that are seen at pixels `xy`."""
        return cameras.unproject(xy, depth, self.matrix.to(xy))

    def points(self, depth: Float[Tensor, "H W"]) -> Float[Tensor, "H W 3"]:
        """The points of a depth map of this image, one for the middle of each pixel; NaN stays NaN."""
        rows, columns = (torch.arange(length).to(depth) + 0.5 for length in depth.shape)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.unproject(torch.stack((x, y), dim=-1), depth)

    def transformed(self, geometry: Geometry) -> Camera:
        """The camera of the image after a crop, resize and mirroring.

        Mirroring reflects the world too (x -> -x), so that the principal point moves and focal lengths stay positive.
        """
        (sx, sy), (x0, y0) = geometry.scale, geometry.window[:2]
        matrix = self.matrix.clone()
        matrix[0] = sx * (matrix[0] - x0 * matrix[2])
        matrix[1] = sy * (matrix[1] - y0 * matrix[2])
        if geometry.mirrored:
            matrix[0, 2] = geometry.size[1] - matrix[0, 2]
            matrix[0, 1] = -matrix[0, 1]
        return Camera(matrix, self.assumed)


CameraLike: TypeAlias = Camera | Tensor | ArrayLike
"""What `Camera.of` takes."""
