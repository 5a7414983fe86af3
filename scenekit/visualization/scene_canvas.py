"""The canvas that tasks draw on: it takes pixels of the scene, whatever the size of the image.

Letters: H W pixels of the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import SupportsFloat

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from scenekit.scene import Scene
from scenekit.structures.geometry import Size
from scenekit.visualization.canvas import Style, draw_smooth, enlarge_mask, fill
from scenekit.visualization.palette import Color
from scenekit.visualization.text_labels import Rect, Tag, draw_tags

Layer = Callable[[Image.Image, Scene], Image.Image]
"""(image, scene) -> a new image of the same size; the image may be a multiple of the size of the scene."""


@dataclass(eq=False)
class Canvas:
    """An image that may be several times as large as its scene, and ways to draw on it in pixels of the scene.

    Small images are enlarged before anything is drawn, so that text and lines stay fine. Coordinates are x, y in pixels
    of the scene, as in `scene.objects.boxes`; colors are RGB, 0 to 255. Widths and the height of type suit the image.
    """

    image: Image.Image
    """What has been drawn so far; a function that works on the pixels themselves sets it anew, in the same size."""
    size: Size
    """Height and width of the scene, in pixels."""

    @property
    def scale(self) -> tuple[float, float]:
        """Factors for x and y from pixels of the scene to pixels of `image`."""
        return self.image.width / self.size[1], self.image.height / self.size[0]

    def box(self, box: Iterable[SupportsFloat], color: Color, text: str = "") -> None:
        """Draw a frame, with a text at it.

        Args:
            box: x0, y0, x1, y1; half-open.
            color: Of the frame, and of the plate on which the text stands.
            text: A name or number; none if empty. It is left out where other texts leave no room.
        """
        x0, y0, x1, y1 = rect = self.rect(box)
        self._join([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], color)
        if text:
            self.image = draw_tags(self.image, [Tag(text, color, rect)])

    def line(self, points: Iterable[Iterable[SupportsFloat]], color: Color) -> None:
        """Draw lines from point to point.

        Args:
            points: x, y of each.
            color: Of the lines.
        """
        sx, sy = self.scale
        self._join([(float(x) * sx, float(y) * sy) for x, y in points], color)

    def point(self, point: Iterable[SupportsFloat], color: Color) -> None:
        """Draw a dot.

        Args:
            point: x, y.
            color: Of the dot.
        """
        (sx, sy), (x, y) = self.scale, map(float, point)
        radius = 1.7 * Style.of(self.image).line

        def paint(layer: ImageDraw.ImageDraw, zoom: int) -> None:
            layer.circle((zoom * x * sx, zoom * y * sy), zoom * radius, fill=color)

        self.image = draw_smooth(self.image, paint)

    def texts(self, texts: Sequence[tuple[Iterable[SupportsFloat], str, Color]]) -> None:
        """Write texts at boxes so that they do not cover each other.

        Args:
            texts: For each: the box that it names (x0, y0, x1, y1), the text, the color of its plate. The first ones
                choose their place first; one that finds no room is left out.
        """
        self.image = draw_tags(self.image, [Tag(text, color, self.rect(box)) for box, text, color in texts])

    def fill(self, mask: Bool[np.ndarray, "H W"], color: Color, opacity: float = 0.45) -> None:
        """Fill the pixels of a mask with a translucent color.

        Args:
            mask: In pixels of the scene.
            color: Of the fill.
            opacity: 0 to 1.
        """
        if mask.any():
            self.image = self.image.copy()
            fill(self.image, *enlarge_mask(mask, self.image.size), color, opacity)

    def rect(self, box: Iterable[SupportsFloat]) -> Rect:
        """Return the pixels of `image` that a box of the scene covers.

        Args:
            box: x0, y0, x1, y1 in pixels of the scene; half-open.

        Returns:
            x0, y0, x1, y1 within the image, the last pixel included, as Pillow counts.
        """
        (sx, sy), (x0, y0, x1, y1) = self.scale, map(float, box)
        right, bottom = self.image.width - 1.0, self.image.height - 1.0
        x, y = min(max(x0 * sx, 0.0), right), min(max(y0 * sy, 0.0), bottom)
        return x, y, min(max(x1 * sx - 1, x), right), min(max(y1 * sy - 1, y), bottom)

    def _join(self, places: Sequence[tuple[float, float]], color: Color) -> None:
        """Draw lines between places in pixels of `image`."""
        width = Style.of(self.image).line

        def paint(layer: ImageDraw.ImageDraw, zoom: int) -> None:
            layer.line([(zoom * x, zoom * y) for x, y in places], fill=color, width=zoom * width, joint="curve")

        self.image = draw_smooth(self.image, paint)


def on_canvas(layer: Layer) -> Callable[[Canvas, Scene], None]:
    """Make a function for `TaskSpec.draw` of one that draws on images of any multiple of the size of the scene.

    Args:
        layer: (image, scene) -> a new image of the same size. It scales what it draws itself.

    Returns:
        (canvas, scene): draws the layer on the canvas.
    """
    return partial(_draw_layer, layer)  # unlike a function made here, it can be sent to another process


def _draw_layer(layer: Layer, canvas: Canvas, scene: Scene) -> None:
    canvas.image = layer(canvas.image, scene)
