"""Where the objects and relations of a scene graph stand in its image; equal graphs give equal images.

Objects start where they are in the photograph and are then pushed apart. An arrow takes the way, and its text the
place, that cover the least of what is there already; where texts find no room the image grows.

Letters: N objects, M rectangles, P points of a line. Lengths are units of the image, about pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from scenekit.visualization.canvas import font
from scenekit.visualization.text_labels import Rect

RADIUS = 15.0
NODE_TEXT, EDGE_TEXT = 14, 13
"""Height of the type at objects and at arrows."""

WIDER = 1.12
"""Browsers choose their own typeface; it is taken to be as much wider than the one measured here."""

GAP, ROOMY_GAP = 26.0, 0.3
"""Between the plates of two objects: at least, so that an arrow passes; and as part of the room there is for each."""

LEAST_SIZE = (640.0, 400.0)
CROWDING = 0.14
"""Part of the image that the plates of the objects may fill."""

GROWTH, MOST_GROWTHS = 1.15, 6
ROUNDS = 600
"""Of pushing objects apart; a crowd of 40 needs about 100."""

BENDS = (0.0, 0.1, -0.1, 0.2, -0.2, 0.35, -0.35)
"""Height of an arc over its chord, as part of the chord's length; of that of a long chord's first LONG units."""

LONG = 320.0

FRACTIONS = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
"""Of the way, where a text may stand, the best first."""

STEPS = 25
"""Points of an arc."""


@dataclass(frozen=True)
class Spot:
    """An object: the center of its disc; its text stands below on a plate."""

    center: tuple[float, float]
    text: str

    @property
    def disc(self) -> Rect:
        """The square around the disc."""
        (x, y), r = self.center, RADIUS
        return x - r, y - r, x + r, y + r

    @property
    def plate(self) -> Rect:
        """The place of the text."""
        (x, y), width = self.center, text_width(self.text, NODE_TEXT)
        return x - width / 2, y + RADIUS, x + width / 2, y + RADIUS + 1.35 * NODE_TEXT


@dataclass(frozen=True)
class Link:
    """What is to be drawn between two objects, by their places in the list of objects; `mutual` has two heads."""

    start: int
    end: int
    text: str
    mutual: bool = False


@dataclass(frozen=True)
class Arrow:
    """A link, its way [P 2], and where its text stands."""

    link: Link
    way: Float[np.ndarray, "P 2"]
    plate: Rect


@dataclass(frozen=True)
class Layout:
    """An image of `size` (width, height)."""

    size: tuple[float, float]
    spots: Sequence[Spot]
    arrows: Sequence[Arrow]


def arrange(centers: Float[np.ndarray, "N 2"], names: Sequence[str], links: Sequence[Link]) -> Layout:
    """Lay out objects with `centers` in the image (as parts of its width and height) and their `links`.

    It grows until no text of an arrow lies on an object, or it is several times as large.
    """
    size = first_size(names)
    for _ in range(MOST_GROWTHS):
        spots = spread(centers, names, size)
        arrows = route(spots, links, size)
        things = obstacles(spots)
        if not any(covered(arrow.plate, things).any() for arrow in arrows):
            break
        size = (size[0] * GROWTH, size[1] * GROWTH)
    return Layout(size, spots, arrows)


def text_width(text: str, height: int) -> float:
    """Return the width of a text."""
    return WIDER * font(height).getlength(text) + 0.5 * height


def first_size(names: Sequence[str]) -> tuple[float, float]:
    """Return room for so many objects, wider than high."""
    needed = sum((width + GAP) * (height + GAP) for width, height in footprints(names)) / CROWDING
    width = max(LEAST_SIZE[0], (1.45 * needed) ** 0.5)
    return width, max(LEAST_SIZE[1], needed / width)


def footprints(names: Sequence[str]) -> Float[np.ndarray, "N 2"]:
    """Return width and height of a disc with its text below."""
    widths = [max(text_width(name, NODE_TEXT), 2 * RADIUS) for name in names]
    height = 2 * RADIUS + 1.35 * NODE_TEXT
    return np.array([(width, height) for width in widths]).reshape(-1, 2)


def spread(centers: Float[np.ndarray, "N 2"], names: Sequence[str], size: tuple[float, float]) -> list[Spot]:
    """Return places of objects, pushed apart until there is a gap between each two."""
    extent = footprints(names)
    low, high = extent / 2 + 4, np.array(size) - extent / 2 - 4
    place = low + filling(centers) * (high - low)
    gap = max(GAP, ROOMY_GAP * (size[0] * size[1] / max(len(names), 1)) ** 0.5)
    for _ in range(ROUNDS):
        push = pushes(place, extent + gap)
        if not push.any():
            break
        place = (place + push).clip(low, high)
    down = 1.35 * NODE_TEXT / 2
    return [Spot((float(x), float(y) - down), name) for (x, y), name in zip(place, names, strict=True)]


def filling(centers: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Return centers in the same order from left to right and from top to bottom that use the room better.

    Half of a place is that among the others, so that no two are the same.
    """
    ranks = centers.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    low, high = centers.min(axis=0, initial=1), centers.max(axis=0, initial=0)
    scaled = ((centers - low) / (high - low).clip(min=1e-9)).clip(0, 1)
    filled: Float[np.ndarray, "N 2"] = 0.5 * scaled + 0.5 * (ranks + 0.5) / max(len(centers), 1)
    return filled


def pushes(place: Float[np.ndarray, "N 2"], extent: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Return how far each rectangle of `extent` has to move from those that it overlaps, the shorter way."""
    apart = place[:, None] - place[None]
    lacking = (extent[:, None] + extent[None]) / 2 - np.abs(apart)
    overlapping = (lacking > 1e-6).all(axis=-1)
    np.fill_diagonal(overlapping, False)
    across = lacking[..., 0] < lacking[..., 1]
    axis = np.stack((across, ~across), axis=-1)
    step = 0.5 * lacking * np.sign(apart) * axis * overlapping[..., None]
    total: Float[np.ndarray, "N 2"] = step.sum(axis=1)
    return total


def obstacles(spots: Sequence[Spot]) -> Float[np.ndarray, "M 4"]:
    """Return discs and plates of the objects."""
    return np.array([rect for spot in spots for rect in (spot.disc, spot.plate)]).reshape(-1, 4)


def route(spots: Sequence[Spot], links: Sequence[Link], size: tuple[float, float]) -> list[Arrow]:
    """Return the arrows; short ones, which have little choice, are placed first."""
    things, plates = obstacles(spots), np.zeros((0, 4))
    ends = {(link.start, link.end) for link in links}

    def length(link: Link) -> float:
        return float(np.hypot(*np.subtract(spots[link.start].center, spots[link.end].center)))

    arrows: list[Arrow] = []
    for link in sorted(links, key=length):
        paired = link.start != link.end and (link.end, link.start) in ends
        arrow = best_arrow(spots, link, [bend for bend in BENDS if bend > 0 or not paired], things, plates, size)
        plates = np.vstack((plates, arrow.plate))
        arrows.append(arrow)
    return arrows


def best_arrow(
    spots: Sequence[Spot],
    link: Link,
    bends: Sequence[float],
    things: Float[np.ndarray, "M 4"],
    plates: Float[np.ndarray, "K 4"],
    size: tuple[float, float],
) -> Arrow:
    """Return the way and place of the text with the least cost; the first of equals."""
    one, other = spots[link.start], spots[link.end]
    ways = loops(one) if link.start == link.end else [arc(one.center, other.center, bend) for bend in bends]
    own = [2 * link.start, 2 * link.end]  # a line may touch the discs that it joins, but none of the texts
    others = np.delete(things, own, axis=0)
    found = []
    for detour, way in enumerate(ways):
        crossed = float(within(way, others).sum()) + 0.5 * float(within(way, plates).sum()) + 0.4 * detour
        for delay, fraction in enumerate(FRACTIONS):
            plate = plate_at(way, fraction, link.text)
            cost = crossed + 0.1 * delay + cost_of(plate, things, plates, size)
            found.append((cost, Arrow(link, way, plate)))
    return min(found, key=lambda entry: entry[0])[1]


def plate_at(way: Float[np.ndarray, "P 2"], fraction: float, text: str) -> Rect:
    """Return the place of a text on its way."""
    x, y = (float(value) for value in way[round(fraction * (len(way) - 1))])
    width, height = text_width(text, EDGE_TEXT) / 2, 0.65 * EDGE_TEXT
    return x - width, y - height, x + width, y + height


def cost_of(
    plate: Rect, things: Float[np.ndarray, "M 4"], plates: Float[np.ndarray, "K 4"], size: tuple[float, float]
) -> float:
    """Return the cost of a place for a text: outside and on objects is worst, then on other texts."""
    x0, y0, x1, y1 = plate
    outside = x0 < 0 or y0 < 0 or x1 > size[0] or y1 > size[1]
    area = (x1 - x0) * (y1 - y0)
    on_things, on_texts = (float(covered(plate, rects, margin=2.0).sum()) / area for rects in (things, plates))
    return 1000.0 * outside + 200.0 * on_things + 40.0 * on_texts


def arc(start: tuple[float, float], end: tuple[float, float], bend: float) -> Float[np.ndarray, "P 2"]:
    """Return a curve from the border of one disc to that of another, to its left (y points down) if `bend` > 0."""
    a, b = np.array(start), np.array(end)
    chord = b - a
    height = bend * min(1.0, LONG / max(float(np.hypot(*chord)), 1.0))
    top = (a + b) / 2 + 2 * height * np.array((chord[1], -chord[0]))
    t = np.linspace(0, 1, 16 * STEPS)[:, None]  # fine, as its ends are cut off at the discs
    points = (1 - t) ** 2 * a + 2 * t * (1 - t) * top + t**2 * b
    outside = np.minimum(np.linalg.norm(points - a, axis=1), np.linalg.norm(points - b, axis=1)) > RADIUS + 2
    kept = points[outside] if outside.sum() > 1 else points
    way: Float[np.ndarray, "P 2"] = kept[np.linspace(0, len(kept) - 1, STEPS).round().astype(int)]
    return way


def loops(spot: Spot) -> list[Float[np.ndarray, "P 2"]]:
    """Return ways from an object to itself: circles above it, and at either side."""
    angles = np.linspace(-0.72 * np.pi, 0.72 * np.pi, STEPS)
    ways = []
    for turn in (0.0, 0.4 * np.pi, -0.4 * np.pi):
        middle = np.array(spot.center) + 1.8 * RADIUS * np.array((np.sin(turn), -np.cos(turn)))
        ways.append(middle + RADIUS * np.stack((np.sin(angles + turn), -np.cos(angles + turn)), axis=1))
    return ways


def covered(rect: Rect, others: Float[np.ndarray, "M 4"], margin: float = 0.0) -> Float[np.ndarray, " M"]:
    """Return the area that a rectangle, with a margin around it, shares with each of the others."""
    low = np.maximum(np.array(rect[:2]) - margin, others[:, :2])
    high = np.minimum(np.array(rect[2:]) + margin, others[:, 2:])
    shared: Float[np.ndarray, " M"] = (high - low).clip(min=0).prod(axis=1)
    return shared


def within(points: Float[np.ndarray, "P 2"], rects: Float[np.ndarray, "M 4"]) -> Bool[np.ndarray, "P M"]:
    """Return which points lie in which rectangles."""
    above, below = points[:, None] >= rects[None, :, :2], points[:, None] <= rects[None, :, 2:]
    inside: Bool[np.ndarray, "P M"] = np.all(above & below, axis=-1)
    return inside
