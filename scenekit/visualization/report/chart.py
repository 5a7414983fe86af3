"""Charts of lines as SVG in a page: their colors follow the page, light or dark, and nothing is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from scenekit.visualization.palette import label_color, to_hex

Points: TypeAlias = Sequence[tuple[int | float, int | float]]

SIZE = (380.0, 210.0)
"""Width and height of a chart, in units that are pixels on a narrow screen."""

MARGIN = (46.0, 10.0, 20.0, 24.0)
"""Left, top, right and bottom of the axes: room for the numbers."""

MOST_POINTS = 240
"""More points of a line are replaced by means of neighbors."""

MARKED = 12
"""Lines of up to so many points have a mark at each of them."""

DECADES = 30.0
"""From which ratio of the largest to the least value on the axis is logarithmic, if all values are above 0."""

TICKS = 5
"""About how many numbers stand at an axis."""


@dataclass(frozen=True)
class Axis:
    """A range of numbers and where they are drawn."""

    low: float
    """The first number."""
    high: float
    """The last number."""
    start: float
    """Where the first number is drawn."""
    stop: float
    """Where the last number is drawn."""
    logarithmic: bool = False
    """Whether equal distances are equal factors."""
    least: float = 0.0
    """Least distance of two numbers that stand at the axis."""

    def place(self, value: float) -> float:
        """Return where a number is drawn.

        Args:
            value: The number.

        Returns:
            The place, in units of the chart.
        """
        low, high, own = (math.log(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return self.start + (self.stop - self.start) * (own - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers within the range."""
        return powers(self.low, self.high) if self.logarithmic else round_numbers(self.low, self.high, self.least)


def chart(title: str, lines: Mapping[str, Points], *, y_range: tuple[float, float] | None = None) -> str:
    """Draw lines over steps, with their names below.

    Args:
        title: What stands above.
        lines: Points (step, value) by the name of the line; those that are not finite are left out.
        y_range: Range of the vertical axis; None for that of the values.

    Returns:
        A figure; empty text where there is no point.
    """
    floats = {name: [(float(step), float(value)) for step, value in points] for name, points in lines.items()}
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in floats.items()}
    shown = {name: thinned(points) for name, points in finite.items() if points}
    if not shown:
        return ""
    x, y = axes(list(shown.values()), y_range)
    colors = {name: to_hex(label_color(number)) for number, name in enumerate(shown)}
    drawn = "".join(line(name, points, colors[name], x, y) for name, points in shown.items())
    names = "".join(f'<li><i style="background:{colors[name]}"></i>{escape(name)}</li>' for name in shown)
    width, height = SIZE
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">{grid(x, y)}{drawn}</svg>'
        f'<ul class="legend">{names}</ul></figure>'
    )


def axes(lines: Sequence[Points], y_range: tuple[float, float] | None) -> tuple[Axis, Axis]:
    """Return the axes that hold lines.

    Args:
        lines: Points of each line; at least one point.
        y_range: Range of the vertical axis; None for that of the values.

    Returns:
        The horizontal and the vertical axis.
    """
    steps = [step for points in lines for step, _ in points]
    values = [value for points in lines for _, value in points]
    least, most = min(values), max(values)
    logarithmic = y_range is None and least > 0 and most / least >= DECADES
    low, high = y_range or ((least, most) if logarithmic else (min(least, 0.0), max(most, 0.0)))
    left, top, right, bottom = MARGIN
    horizontal = Axis(*widened(min(steps), max(steps)), left, SIZE[0] - right, least=1.0)
    return horizontal, Axis(*widened(low, high), SIZE[1] - bottom, top, logarithmic)


def widened(low: float, high: float) -> tuple[float, float]:
    """Return a range that is not empty."""
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def grid(x: Axis, y: Axis) -> str:
    """Return the lines of the grid and the numbers at the axes."""
    rules = "".join(f'<path d="M{x.start:.0f} {y.place(v):.1f}H{x.stop:.0f}"/>' for v in y.ticks)
    beside = "".join(
        f'<text x="{x.start - 6:.0f}" y="{y.place(v) + 4:.1f}" class="at-y">{tick(v)}</text>' for v in y.ticks
    )
    below = "".join(f'<text x="{x.place(v):.1f}" y="{SIZE[1] - 7:.0f}" class="at-x">{tick(v)}</text>' for v in x.ticks)
    return f'<g class="grid">{rules}</g>{beside}{below}'


def line(name: str, points: Points, color: str, x: Axis, y: Axis) -> str:
    """Return one line, with marks where its points are few."""
    spots = [(x.place(step), y.place(value)) for step, value in points]
    way = " ".join(f"{left:.1f},{top:.1f}" for left, top in spots)
    marks = "".join(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.5" fill="{color}"/>' for left, top in spots)
    drawn = f'<polyline points="{way}" stroke="{color}"><title>{escape(name)}</title></polyline>'
    return drawn + (marks if len(spots) <= MARKED else "")


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """Return at most so many points: each the mean of as many neighbors."""
    each = math.ceil(len(points) / most)
    groups = [points[start : start + each] for start in range(0, len(points), max(each, 1))]
    return points if each <= 1 else [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def round_numbers(low: float, high: float, least: float = 0.0) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten in a range, at least so far from each other."""
    rough = max((high - low) / TICKS, least)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return powers of ten in a range, with 2 and 5 times them where they are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first < TICKS - 1 else (1,)
    step = (last - first) // (TICKS + 1) + 1
    numbers = (factor * 10.0**exponent for exponent in range(first, last + 1, step) for factor in factors)
    return [number for number in numbers if low * (1 - 1e-9) <= number <= high * (1 + 1e-9)]


def tick(value: float) -> str:
    """Return a number as it stands at an axis."""
    rounded = float(f"{value:.6g}")
    if abs(rounded) >= 1e4 and rounded % 1000 == 0:
        return f"{rounded / 1000:,.0f}k"
    return f"{rounded:g}".replace("-", "−")
