"""The pinhole camera: x right, y down, z forward, metres; homogeneous pixel = K X."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from torch import Tensor

from scenekit.errors import InputError
from scenekit.ops import cameras
from scenekit.structures.geometry import Geometry, Size

MIN_FOCAL = 0.1
"""Smallest focal length in units of the longer side of the image: below it a pinhole camera spans over 157 degrees."""

RELATIVE = 2.0
"""Largest coordinate of a principal point in units of the image's size."""

ASSUMED_FOCAL = 1.0
"""Focal length assumed where none is known, in units of the longer side of the image."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of one image.

    ```python
    camera = sk.Camera.pinhole(focal=720.0, height=375, width=1242)
    camera.project(torch.tensor([[0.0, 0.0, 10.0]]))  # the middle of the image
    ```
    """

    matrix: Float[Tensor, "3 3"]
    """K in pixels of the image; pixel (0, 0) covers [0, 1) x [0, 1)."""
    assumed: bool = False
    """Whether the focal length is a guess, so that metric values are only up to that guess."""

    def __post_init__(self) -> None:
        rows = self.matrix.tolist()  # all values at once: each by itself would wait for the device
        focal = (rows[0][0], rows[1][1])
        if not (all(map(math.isfinite, chain.from_iterable(rows))) and min(focal) > 0):
            raise InputError(f"camera intrinsics must be finite, with focal lengths above 0, got fx, fy = {focal}")
        if rows[2] != [0.0, 0.0, 1.0]:
            raise InputError(f"the last row of a camera matrix must be 0 0 1, got {rows[2]}; is the matrix transposed?")

    @classmethod
    def of(cls, camera: object) -> Camera:
        """Convert a camera or a matrix K to a camera.

        Args:
            camera: A Camera, which is returned as it is, or a matrix K: tensor, array or nested lists [3 3].

        Returns:
            The camera.

        Raises:
            InputError: If it is neither, or the intrinsics are invalid.
        """
        if isinstance(camera, Camera):
            return camera
        try:
            rows = camera.detach().cpu() if isinstance(camera, Tensor) else np.asarray(camera)
            matrix = torch.as_tensor(rows, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):
            raise InputError(f"expected a Camera or its matrix K [3, 3], got {type(camera).__name__}") from None
        if matrix.shape != (3, 3):
            raise InputError(
                f"expected a Camera or its matrix K [3, 3], got shape {list(matrix.shape)};"
                " create one with Camera.pinhole(focal, height, width)"
            )
        return cls(matrix)

    @classmethod
    def pinhole(cls, focal: float, height: int, width: int) -> Camera:
        """Create a camera whose principal point is the middle of the image.

        Args:
            focal: Focal length in pixels.
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            The camera.
        """
        return cls(torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]))

    @classmethod
    def default(cls, height: int, width: int) -> Camera:
        """Create an assumed camera: focal length `ASSUMED_FOCAL` x the longer side, principal point in the middle.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            The camera, with `assumed` set.
        """
        return replace(cls.pinhole(ASSUMED_FOCAL * max(height, width), height, width), assumed=True)

    def check(self, size: Size) -> None:
        """Check that the intrinsics are pixels of an image, not relative to its size.

        Args:
            size: Height and width of the image, in pixels.

        Raises:
            InputError: Focal lengths and principal point are about 1, as where pixels were divided by the image's size.
        """
        (fx, fy), (cx, cy) = self.matrix.diagonal()[:2].tolist(), self.matrix[:2, 2].tolist()
        if max(fx, fy) < MIN_FOCAL * max(size) and max(abs(cx), abs(cy)) <= RELATIVE <= max(size) / 8:
            raise InputError(
                f"camera intrinsics fx, fy, cx, cy = {fx:g}, {fy:g}, {cx:g}, {cy:g} are relative to the size of the"
                f" image; expected pixels of {size[1]} x {size[0]}: multiply the rows of K by width and height"
            )

    def project(self, xyz: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Project points to pixels.

        Args:
            xyz: Points in the camera frame, in metres. The pixels of points with z <= 0 are meaningless.

        Returns:
            Pixels (x, y).
        """
        return cameras.project(xyz, self.matrix.to(xyz))

    def unproject(self, xy: Float[Tensor, "*n 2"], depth: Float[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
        """Compute the points at which pixels with a known depth look.

        Args:
            xy: Pixels (x, y).
            depth: Metres along z.

        Returns:
            Points in the camera frame, in metres.
        """
        return cameras.unproject(xy, depth, self.matrix.to(xy))

    def points(self, depth: Float[Tensor, "H W"]) -> Float[Tensor, "H W 3"]:
        """Convert a depth map of the image to points.

        Args:
            depth: Metres along z, NaN where unknown.

        Returns:
            The point at the middle of each pixel, in metres; NaN stays NaN.
        """
        rows, columns = (torch.arange(length).to(depth) + 0.5 for length in depth.shape)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.unproject(torch.stack((x, y), dim=-1), depth)

    def sees(self, xyz: Float[Tensor, "P 3"], size: Size) -> Bool[Tensor, " P"]:
        """Return which points lie in the view of an image.

        Args:
            xyz: Points in the camera frame, in metres.
            size: Height and width of the image, in pixels.

        Returns:
            True for finite points in front of the camera whose pixel is one of the image.
        """
        column, row = self.project(xyz).floor().unbind(dim=1)
        inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
        return inside & xyz.isfinite().all(dim=1) & (xyz[:, 2] > 0)

    def depth(self, xyz: Float[Tensor, "P 3"], size: Size) -> Float[Tensor, "H W"]:
        """Convert points to a depth map; of several points in a pixel the nearest one counts.

        Args:
            xyz: Points in the camera frame, in metres. Those that the image does not see are ignored.
            size: Height and width of the image, in pixels.

        Returns:
            Metres along z, NaN at pixels without a point.
        """
        seen = xyz[self.sees(xyz, size)]
        column, row = self.project(seen).floor().long().unbind(dim=1)
        nearest = seen.new_full((size[0] * size[1],), torch.inf)
        nearest.scatter_reduce_(0, row * size[1] + column, seen[:, 2], "amin")
        return torch.where(nearest.isinf(), torch.nan, nearest).reshape(size)

    def transformed(self, geometry: Geometry) -> Camera:
        """Return the camera of a cropped, resized and flipped image.

        A flip reflects the world too (x -> -x), so that the principal point moves and focal lengths stay positive.

        Args:
            geometry: The crop, resize and flip.

        Returns:
            The camera of the result.
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
"""Types that `Camera.of` converts."""
