"""From metres to the pixels of an image: the camera of a drawing, and the visible part of a shape.

Letters: n points of a shape, m points of what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from scenekit.scene import Scene
from scenekit.structures.cameras import Camera
from scenekit.visualization.canvas import scale_of
from scenekit.visualization.palette import WHITE
from scenekit.visualization.text_labels import Tag

NEAR = 0.05
"""Metres before the camera where shapes are cut off: what is nearer, or behind it, has no place in the image."""

MARGIN = 16.0
"""Pixels beyond the border of the image where shapes are cut off, so that no cut shows."""

ASSUMED = "camera assumed: metres are a guess"
"""Note in drawings whose camera is unknown."""


@dataclass(frozen=True)
class View:
    """The camera of an image."""

    matrix: Float[np.ndarray, "3 3"]
    """K in pixels of the image."""
    size: tuple[int, int]
    """Width and height of the image, in pixels."""
    assumed: bool = False
    """Whether the camera is assumed."""

    @classmethod
    def of(cls, image: Image.Image, scene: Scene) -> View:
        """Return the scene's camera, or the default one, for an image that may be a multiple of the scene's size."""
        camera = camera_of(scene)
        matrix = np.diag((*scale_of(image, scene), 1.0)) @ camera.matrix.double().cpu().numpy()
        return cls(matrix, image.size, camera.assumed)

    def homogeneous(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Return K X of points in the camera frame: pixels times depth, and depth."""
        projected: Float[np.ndarray, "*n 3"] = points @ self.matrix.T
        return projected

    def clipped(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 2"]:
        """Return the pixels of the visible part of a flat convex shape, or of a line given by two points; maybe none.

        The shape is cut at the near plane and just beyond the borders of the image. A cut line goes to and fro.
        """
        width, height = self.size
        part = self.homogeneous(points)
        planes = (
            (0, 0, 1, -NEAR),
            (1, 0, MARGIN, 0),
            (-1, 0, width + MARGIN, 0),
            (0, 1, MARGIN, 0),
            (0, -1, height + MARGIN, 0),
        )
        for *normal, offset in planes:
            part = cut(part, part @ normal + offset)
        pixels: Float[np.ndarray, "m 2"] = part[:, :2] / part[:, 2:]
        return pixels


def cut(points: Float[np.ndarray, "n 3"], inside: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m 3"]:
    """Return the part of a convex shape where `inside`, a linear function given at its points, is 0 or more.

    Sutherland and Hodgman, "Reentrant polygon clipping", 1974.
    """
    kept = []
    for i in range(len(points)):
        a, b = inside[i - 1], inside[i]
        if (a < 0) != (b < 0):
            kept.append(points[i - 1] + (points[i] - points[i - 1]) * (a / (a - b)))
        if b >= 0:
            kept.append(points[i])
    return np.array(kept).reshape(-1, 3)


def camera_of(scene: Scene) -> Camera:
    """Return the scene's camera; without one the default camera for its size, which is an assumed one."""
    return Camera.default(*scene.size) if scene.camera is None else scene.camera


def camera_tags(view: View) -> Iterator[Tag]:
    """Yield a note for the lower left corner of an image whose camera is assumed."""
    if view.assumed:
        bottom = float(view.size[1])
        yield Tag(ASSUMED, WHITE, (0.0, bottom, 0.0, bottom))
