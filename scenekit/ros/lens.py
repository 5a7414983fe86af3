"""The camera of a message CameraInfo: its intrinsics, and images without the distortion of its lens.

ROS counts pixels from the middle of the first one, scenekit from its corner: principal points differ by half a pixel.
Letters: H W height and width of the image in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError, listed
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size

HALF_PIXEL = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
"""Moves pixels as ROS counts them to those of scenekit."""

MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "fisheye")
"""Models of distortion; the last two are one."""

MOST_COEFFICIENTS = {"plumb_bob": 5, "rational_polynomial": 12, "equidistant": 4, "fisheye": 4}


@dataclass(frozen=True, eq=False)
class Lens:
    """A camera with its distortion, as ROS has them."""

    size: Size
    """Height and width of its images in pixels."""
    raw: Float[np.ndarray, "3 3"]
    """K of images as they are, pixels counted from the middle of the first one."""
    rectified: Float[np.ndarray, "3 3"]
    """K of rectified images, counted in the same way."""
    rotation: Float[np.ndarray, "3 3"]
    """Axes of the rectified camera from those of the raw one."""
    model: str = "plumb_bob"
    """Name of the model of distortion."""
    coefficients: tuple[float, ...] = ()
    """Its coefficients."""
    _grids: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def distorts(self) -> bool:
        """Whether rectified images differ from those as they are."""
        return any(self.coefficients) or not np.allclose(self.rotation, np.eye(3), atol=1e-9)

    def camera(self, rectified: bool) -> Camera:
        """Return the camera.

        Args:
            rectified: Whether it is that of rectified images.

        Returns:
            The camera, with pixels counted from the corner of the first one.
        """
        matrix = HALF_PIXEL @ (self.rectified if rectified else self.raw)
        return Camera(torch.from_numpy(matrix).float())

    def sources(self) -> Float[np.ndarray, "H W 2"]:
        """Compute where each pixel of a rectified image lies in the image as it is.

        Returns:
            Pixels (x, y), counted from the middle of the first one.
        """
        height, width = self.size
        x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
        rays = np.stack((x, y, np.ones_like(x)), -1) @ (np.linalg.inv(self.rectified).T @ self.rotation)
        distorted = distort(rays[..., :2] / rays[..., 2:], self.model, self.coefficients)
        pixels: np.ndarray = distorted @ self.raw[:2, :2].T + self.raw[:2, 2]
        return pixels

    def rectify(self, image: Shaped[np.ndarray, "H W *C"], mode: str = "bilinear") -> Shaped[np.ndarray, "H W *C"]:
        """Return an image without the distortion; pixels that look beside it are 0.

        Args:
            image: The image as it is.
            mode: How pixels are interpolated: "bilinear" or "nearest".

        Returns:
            The rectified image of the same type.
        """
        if "grid" not in self._grids:
            height, width = self.size
            relative = 2 * self.sources() / np.array([max(width - 1, 1), max(height - 1, 1)]) - 1
            self._grids["grid"] = torch.from_numpy(relative).float()[None]
        planes = torch.from_numpy(np.array(image)).reshape(*self.size, -1).permute(2, 0, 1).float()[None]
        moved = F.grid_sample(planes, self._grids["grid"], mode, align_corners=True)[0].permute(1, 2, 0).numpy()
        whole = moved.round() if image.dtype.kind in "ui" else moved
        return whole.astype(image.dtype).reshape(image.shape)


def lens_of(info: Any, size: Size, name: str) -> Lens | str:
    """Read the camera of a message CameraInfo.

    Args:
        info: The message.
        size: Height and width of the images, in pixels.
        name: Name of its topic in errors.

    Returns:
        The camera; or, in a line, why it is of no use: without calibration, or of images of another size.

    Raises:
        InputError: The model of distortion is unknown.
    """
    raw = np.asarray(_entry(info, "k"), float).reshape(3, 3)
    if not raw[0, 0] > 0 or not raw[1, 1] > 0 or not np.isfinite(raw).all():
        return f"{name}: K is not calibrated (fx {raw[0, 0]:g}, fy {raw[1, 1]:g}); images have no camera"
    expected, crop = _read_out(info)
    if expected != size and min(expected) > 0:
        return (
            f"{name}: it is of images of {expected[1]} x {expected[0]} pixels, those of the topic have"
            f" {size[1]} x {size[0]}; images have no camera"
        )
    projection = np.asarray(_entry(info, "p"), float).reshape(3, 4)[:, :3]
    rectified = projection if projection[0, 0] > 0 else raw
    rotation = np.asarray(_entry(info, "r"), float).reshape(3, 3)
    rotation = rotation if np.any(rotation) else np.eye(3)
    coefficients = tuple(map(float, _entry(info, "d")))
    _check_model(info.distortion_model, coefficients, name)
    return Lens(size, crop @ raw, crop @ rectified, rotation, info.distortion_model or "plumb_bob", coefficients)


def _entry(info: Any, name: str) -> Any:
    """Return a matrix of a CameraInfo; in ROS 1 their names are capital letters."""
    return getattr(info, name) if hasattr(info, name) else getattr(info, name.upper())


def _read_out(info: Any) -> tuple[Size, Float[np.ndarray, "3 3"]]:
    """Return the size of the images that are read out of the sensor, and what moves pixels of the sensor to theirs."""
    x, y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    region = info.roi
    width, height = (int(region.width) or int(info.width)), (int(region.height) or int(info.height))
    crop = np.array([[1 / x, 0, -region.x_offset / x], [0, 1 / y, -region.y_offset / y], [0, 0, 1.0]])
    return (height // y, width // x), crop


def _check_model(model: str, coefficients: tuple[float, ...], name: str) -> None:
    """Check that a model of distortion is known; without distortion it does not matter."""
    if not any(coefficients):
        return
    if model not in MODELS or any(coefficients[MOST_COEFFICIENTS[model] :]):
        raise InputError(
            f"{name}: the distortion {model!r} with {len(coefficients)} coefficients is unknown; expected"
            f" {listed(MODELS, len(MODELS))}. Use a topic of rectified images, as image_proc publishes them"
        )


def distort(xy: Float[np.ndarray, "*n 2"], model: str, coefficients: tuple[float, ...]) -> Float[np.ndarray, "*n 2"]:
    """Compute where points appear through a lens.

    Args:
        xy: Points at depth 1 of the camera.
        model: Name of the model of distortion.
        coefficients: k1 k2 p1 p2 k3 of "plumb_bob"; those with k4 k5 k6 s1 s2 s3 s4 of "rational_polynomial"; k1 k2 k3
            k4 of "equidistant"; those that are left out are 0.

    Returns:
        Points at depth 1.
    """
    if not any(coefficients):
        return xy
    if model in ("equidistant", "fisheye"):
        return _equidistant(xy, coefficients)
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = (*coefficients, *(0.0,) * 12)[:12]
    x, y = xy[..., 0], xy[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    moved_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    moved_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    return np.stack((moved_x, moved_y), -1)


def _equidistant(xy: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Move points by the angle to the optical axis: theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)."""
    radius = np.linalg.norm(xy, axis=-1, keepdims=True)
    theta = np.arctan(radius)
    k1, k2, k3, k4 = (*coefficients, *(0.0,) * 4)[:4]
    square = theta**2
    moved = theta * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    return xy * np.where(radius > 1e-12, moved / np.maximum(radius, 1e-12), 1.0)
