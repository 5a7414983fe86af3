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
        """Return the camera of an image of a scene.

        Args:
            image: The image; it may be a multiple of the size of the scene.
            scene: The scene; without a camera the default one is assumed.

        Returns:
            The camera in pixels of the image.
        """
        camera = camera_of(scene)
        matrix = np.diag((*scale_of(image, scene), 1.0)) @ camera.matrix.double().cpu().numpy()
        return cls(matrix, image.size, camera.assumed)

    def homogeneous(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Project points to homogeneous pixels, K X.

        Args:
            points: x, y, z in the camera frame, in metres.

        Returns:
            Pixels times depth, and depth.
        """
        projected: Float[np.ndarray, "*n 3"] = points @ self.matrix.T
        return projected

    def clipped(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 2"]:
        """Project the visible part of a flat convex shape, or of a line.

        The shape is cut at the near plane and just beyond the borders of the image. A cut line goes to and fro.

        Args:
            points: Corners of the shape, or two points of a line, in the camera frame, in metres.

        Returns:
            Corners in pixels; none where nothing is visible.
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
    """Cut a convex shape with a plane (Sutherland and Hodgman, "Reentrant polygon clipping", 1974).

    Args:
        points: The corners of the shape.
        inside: A linear function at each corner.

    Returns:
        The part of the shape where the function is 0 or more.
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
    """Return the camera of a scene.

    Args:
        scene: The scene.

    Returns:
        Its camera; without one the default camera for its size, which is assumed.
    """
    return Camera.default(*scene.size) if scene.camera is None else scene.camera


def camera_tags(view: View) -> Iterator[Tag]:
    """Yield a note for the lower left corner of an image whose camera is assumed.

    Args:
        view: The camera of the image.

    Yields:
        The note.
    """
    if view.assumed:
        bottom = float(view.size[1])
        yield Tag(ASSUMED, WHITE, (0.0, bottom, 0.0, bottom))
