"""Charts of lines over a number: axes with ticks, lines with points, and their names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from scenekit.visualization.canvas import draw_smooth, font
from scenekit.visualization.palette import BLACK, Color, label_color

PANEL_SIZE = (440, 340)
"""Width and height of a panel with its axes, in pixels."""

MARGIN = (58, 34, 16, 50)
"""Left, top, right, bottom of a panel's axes, in pixels: room for the numbers and names."""

TEXT, LINE, DOT = 13, 2.5, 3.0
"""Height of the type, width of a line and radius of a point, in pixels."""

GRID: Color = (226, 228, 232)


@dataclass(frozen=True)
class Panel:
    """One pair of axes; the vertical one is from 0 to 1."""

    title: str
    """What stands above."""
    x_name: str
    """What the horizontal axis means."""
    lines: Mapping[str, Sequence[tuple[float, float]]]
    """Points (x, y) of each line by its name; those that are not finite are left out."""
    ticks: Sequence[float]
    """Numbers on the horizontal axis, which spans them."""
    logarithmic: bool = False
    """Whether the horizontal axis is logarithmic."""

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is in the panel.

        Args:
            x: On the horizontal axis.
            y: 0 to 1.

        Returns:
            Pixels from its left and its top.
        """
        low, high, own = (math.log(v) if self.logarithmic else v for v in (self.ticks[0], self.ticks[-1], x))
        left, top, right, bottom = MARGIN
        width, height = PANEL_SIZE[0] - left - right, PANEL_SIZE[1] - top - bottom
        return left + width * (own - low) / (high - low), top + height * (1 - y)


def draw_panels(panels: Sequence[Panel]) -> Image.Image:
    """Draw charts side by side.

    Args:
        panels: The charts.

    Returns:
        The image, RGB.
    """
    image = Image.new("RGB", (PANEL_SIZE[0] * len(panels), PANEL_SIZE[1]), "white")
    for number, panel in enumerate(panels):
        image.paste(_drawn(panel), (PANEL_SIZE[0] * number, 0))
    return image


def _drawn(panel: Panel) -> Image.Image:
    image = Image.new("RGB", PANEL_SIZE, "white")
    _draw_axes(ImageDraw.Draw(image), panel)

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        for number, points in enumerate(_finite(panel)):
            color = label_color(number)
            spots = [(x * scale, y * scale) for x, y in (panel.place(*point) for point in points)]
            if spots:  # Pillow fails to join lines of no points
                layer.line(spots, fill=color, width=round(LINE * scale), joint="curve")
            for x, y in spots:
                radius = DOT * scale
                layer.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    image = draw_smooth(image, paint)
    _draw_legend(ImageDraw.Draw(image), panel)
    return image


def _finite(panel: Panel) -> Iterator[list[tuple[float, float]]]:
    for points in panel.lines.values():
        yield [point for point in points if all(map(math.isfinite, point))]


def _draw_axes(draw: ImageDraw.ImageDraw, panel: Panel) -> None:
    type_face = font(TEXT)
    for x in panel.ticks:
        (place, bottom), (_, top) = panel.place(x, 0.0), panel.place(x, 1.0)
        draw.line((place, top, place, bottom), fill=GRID)
        draw.text((place, bottom + 6), f"{x:g}", fill=BLACK, font=type_face, anchor="ma")
    for step in range(6):
        y = step / 5
        (left, place), (right, _) = panel.place(panel.ticks[0], y), panel.place(panel.ticks[-1], y)
        draw.line((left, place, right, place), fill=GRID if step else BLACK)
        draw.text((left - 7, place), f"{y:.1f}", fill=BLACK, font=type_face, anchor="rm")
    draw.text((PANEL_SIZE[0] / 2, 8), panel.title, fill=BLACK, font=font(TEXT + 2), anchor="ma")
    draw.text((PANEL_SIZE[0] / 2, PANEL_SIZE[1] - 8), panel.x_name, fill=BLACK, font=type_face, anchor="md")


def _draw_legend(draw: ImageDraw.ImageDraw, panel: Panel) -> None:
    """Write the names of the lines where they leave most room: at the left above, or at the right above."""
    type_face, line = font(TEXT), TEXT + 5
    middle = PANEL_SIZE[0] / 2
    heights = [(panel.place(*point), point[1]) for points in _finite(panel) for point in points]
    highest = [max((y for (x, _), y in heights if (x > middle) == right), default=0.0) for right in (False, True)]
    width = max((draw.textlength(name, font=type_face) for name in panel.lines), default=0.0) + 26
    left, right = MARGIN[0] + 10, PANEL_SIZE[0] - MARGIN[2] - 6 - width
    x, y = (left if highest[0] <= highest[1] else right), float(MARGIN[1] + 6)
    for number, name in enumerate(panel.lines):
        draw.line((x, y + line / 2, x + 18, y + line / 2), fill=label_color(number), width=3)
        draw.text((x + 24, y + line / 2), name, fill=BLACK, font=type_face, anchor="lm")
        y += line
