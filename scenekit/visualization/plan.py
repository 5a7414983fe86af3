"""Plans: a sheet seen from above, in metres, with a grid, and boxes as their outlines.

Letters: n points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from scenekit.visualization.canvas import Style, draw_smooth, font
from scenekit.visualization.palette import Color

SIDE, SHORTEST = 900, 480
"""The longer side of the image, and the least of the other one, in pixels."""

PAPER: Color = (248, 249, 251)
GRID: Color = (221, 225, 231)
FAINT: Color = (108, 114, 124)

FACES = ((1, 2, 6, 5), (0, 3, 7, 4), (0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (3, 2, 6, 7))
"""Corners of each face of a box in turn; the first face is the front, where the object's x points."""


@dataclass(frozen=True)
class Sheet:
    """Where metres are in the image: `low` (right, forward) lies at the lower left corner."""

    low: tuple[float, float]
    """Metres at the lower left corner."""
    pixels_per_metre: float
    """The scale."""
    size: tuple[int, int]
    """Width and height of the image, in pixels."""

    @classmethod
    def around(cls, points: Float[np.ndarray, "n 2"], side: int = SIDE) -> Sheet:
        """Create a sheet that shows all of these points with room around them.

        Args:
            points: Metres to the right and forward.
            side: The longer side of the image, in pixels.

        Returns:
            The sheet.
        """
        low, high = points.min(axis=0), points.max(axis=0)
        room = 0.08 * max(high - low)
        low, high = low - room, high + room
        scale = side / float(max(high - low))
        size = np.maximum((high - low) * scale, SHORTEST).round()
        low = (low + high) / 2 - size / scale / 2
        return cls((float(low[0]), float(low[1])), scale, (int(size[0]), int(size[1])))

    @property
    def high(self) -> tuple[float, float]:
        """Metres at the upper right corner."""
        width, height = self.size
        return self.low[0] + width / self.pixels_per_metre, self.low[1] + height / self.pixels_per_metre

    def pixels(self, plan: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Convert metres to pixels of the sheet: right is right, forward is up.

        Args:
            plan: Metres to the right and forward.

        Returns:
            Pixels (x, y).
        """
        right, forward = np.moveaxis((plan - np.array(self.low)) * self.pixels_per_metre, -1, 0)
        return np.stack((right, self.size[1] - forward), axis=-1)


def grid_step(metres: float) -> float:
    """Return a round length of which about eight fit: 1, 2 or 5 times a power of ten.

    Args:
        metres: The whole length.

    Returns:
        The length in metres.
    """
    power = 10.0 ** math.floor(math.log10(metres / 8))
    return min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(metres / 8 / step)))


def grid_lines(sheet: Sheet) -> Iterator[tuple[Float[np.ndarray, "2 2"], str]]:
    """Yield lines in pixels, each with its metres: first those of equal right, then those of equal forward.

    Args:
        sheet: The sheet.

    Yields:
        Both ends, and the text at the line.
    """
    step = grid_step(max(sheet.size) / sheet.pixels_per_metre)
    (right, forward), (most_right, most_forward) = sheet.low, sheet.high
    for n in range(math.ceil(right / step), math.floor(most_right / step) + 1):
        yield sheet.pixels(np.array([[n * step, forward], [n * step, most_forward]])), f"{n * step:g} m"
    for n in range(math.ceil(forward / step), math.floor(most_forward / step) + 1):
        yield sheet.pixels(np.array([[right, n * step], [most_right, n * step]])), f"{n * step:g} m"


def draw_grid(image: Image.Image, sheet: Sheet) -> Image.Image:
    """Draw the grid with its metres.

    Args:
        image: An image of the size of the sheet.
        sheet: The sheet.

    Returns:
        A new image.
    """

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        for line, _ in grid_lines(sheet):
            layer.line(strokes(line, scale), GRID, scale)

    drawn = draw_smooth(image, paint)
    pen, text = ImageDraw.Draw(drawn), font(round(0.8 * Style.of(drawn).text))
    for line, name in grid_lines(sheet):
        upright = line[0, 0] == line[1, 0]
        left, bottom = (line[0, 0] + 4, sheet.size[1] - 3) if upright else (3, line[0, 1] - 2)
        if left + text.getlength(name) < sheet.size[0]:
            pen.text((left, bottom), name, FAINT, text, "ls")
    return drawn


def paint_footprint(
    layer: ImageDraw.ImageDraw, corners: Float[np.ndarray, "8 2"], color: Color, line: int, scale: int
) -> None:
    """Draw the outline of a box from above, filled.

    Args:
        layer: The layer.
        corners: The corners of the box in pixels of the sheet, in the order of `Boxes3D.corners`.
        color: The color of the outline; the fill is lighter.
        line: Width of the line, in pixels of the layer.
        scale: How many times as large as the sheet the layer is.
    """
    faces = [strokes(corners[list(face)], scale) for face in FACES]
    for face in faces:
        layer.line([*face, face[0], face[1]], color, 2 * line, joint="curve")
    for face in faces:
        layer.polygon(face, fill=tuple((level + 2 * paper) // 3 for level, paper in zip(color, PAPER, strict=True)))


def strokes(pixels: Float[np.ndarray, "n 2"], scale: int) -> list[tuple[float, float]]:
    """Return points for Pillow on an enlarged layer, where whole numbers are the middles of pixels.

    Args:
        pixels: Points in pixels of the image.
        scale: How many times as large as the image the layer is.

    Returns:
        Points of the layer.
    """
    return [(float(x), float(y)) for x, y in pixels * scale - 0.5]


def with_footer(image: Image.Image, text: str) -> Image.Image:
    """Draw a line of text below an image.

    Args:
        image: The image.
        text: The text.

    Returns:
        A new image, a little higher.
    """
    size = Style.of(image).text
    whole = Image.new("RGB", (image.width, image.height + 2 * size), PAPER)
    whole.paste(image)
    ImageDraw.Draw(whole).text((0.6 * size, image.height + size), text, FAINT, font(round(0.9 * size)), "lm")
    return whole
