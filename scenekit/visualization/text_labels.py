"""Small name plates on an image, placed so that they do not cover each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw
from scipy import ndimage

from scenekit.visualization.canvas import Style, bounds, draw_smooth, font
from scenekit.visualization.palette import BLACK, Color, ink_on

Rect = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the image."""

Spot = tuple[float, float, float]
"""x, y of a place inside a region and its distance to the border of the region, in pixels of the image."""

MOST_COVERED = 0.4
"""A plate that nowhere has less of itself on other plates is left out; tables list the object all the same."""

SEARCHED_SIDE = 256
"""A region larger than this is searched for room in steps of several pixels."""


@dataclass(frozen=True)
class Tag:
    """A text to write at what it names, on a plate.

    On the tint of its own region a plate in `color` would hardly show: those with a spot are dark with a colored rim.
    """

    text: str
    """The text."""
    color: Color
    """Color of the plate, or of its rim."""
    box: Rect
    """The box of what the text names, in pixels of the image."""
    spot: Spot | None = None
    """A place inside it, for texts that fit there."""


def draw_tags(image: Image.Image, tags: Sequence[Tag], most_covered: float = MOST_COVERED) -> Image.Image:
    """Draw texts so that they do not cover each other.

    Args:
        image: The image.
        tags: The texts; earlier ones choose their place first, one without room is left out.
        most_covered: A text of which at least this share would lie on others is left out; 0 for any.

    Returns:
        A new image, RGB.
    """
    size = Style.of(image).text
    drawn = image.convert("RGB")
    plates = [(tag, plate_size(tag.text, size)) for tag in tags]
    for tag, rect in place(image.size, plates, most_covered):
        x, y = round(rect[0]), round(rect[1])
        under = drawn.crop((x, y, min(math.ceil(rect[2]), drawn.width), min(math.ceil(rect[3]), drawn.height)))
        drawn.paste(draw_smooth(under, partial(paint_plate, tag, size)), (x, y))
    return drawn


def paint_plate(tag: Tag, size: int, layer: ImageDraw.ImageDraw, scale: int) -> None:
    """Fill a whole layer with the plate of a text.

    Args:
        tag: The text.
        size: The height of the type, in pixels of the image.
        layer: The layer.
        scale: How many times as large as in the image the layer is.
    """
    width, height = layer.im.size
    ground = tag.color if tag.spot is None else BLACK
    corners = (0, 0, width - 1, height - 1)
    layer.rounded_rectangle(corners, scale * size / 4, (*ground, 225), tag.color, round(scale * size / 12))
    layer.text((width / 2, height / 2), tag.text, ink_on(ground), font(scale * size), anchor="mm")


def plate_size(text: str, size: int) -> tuple[float, float]:
    """Return the size of the plate of a text.

    Args:
        text: The text.
        size: The height of the type, in pixels.

    Returns:
        Width and height in pixels.
    """
    return font(size).getlength(text) + 0.7 * size, 1.45 * size


def place(
    image: tuple[int, int], tags: Sequence[tuple[Tag, tuple[float, float]]], most_covered: float = MOST_COVERED
) -> list[tuple[Tag, Rect]]:
    """Place each plate at the first free candidate, else at the least covered one.

    Args:
        image: Width and height of the image, in pixels.
        tags: Texts with the sizes of their plates.
        most_covered: As for `draw_tags`.

    Returns:
        Texts with their places; those without room are left out.
    """
    placed: list[tuple[Tag, Rect]] = []
    for tag, size in tags:
        candidates = [rect for rect in candidates_for(tag, size, image) if within(rect, image)]
        taken = [rect for _, rect in placed]
        covered = [sum(overlap(rect, other) for other in taken) / (size[0] * size[1]) for rect in candidates]
        if covered and (min(covered) < most_covered or min(covered) == 0):
            placed.append((tag, candidates[int(np.argmin(covered))]))
    return placed


def candidates_for(tag: Tag, size: tuple[float, float], image: tuple[int, int]) -> Iterator[Rect]:
    """Yield the places of a plate in order of preference: on the spot, above, below, in the corners and beside the box.

    Args:
        tag: The text.
        size: Width and height of the plate, in pixels.
        image: Width and height of the image, in pixels.

    Yields:
        Places; some may lie partly outside the image.
    """
    (width, height), (x0, y0, x1, y1) = size, tag.box
    if tag.spot is not None:
        x, y, room = tag.spot
        if room >= height / 2 and 2 * room >= 0.45 * width:
            yield shifted(x - width / 2, y - height / 2, size, image)
    roomy = x1 - x0 >= 1.5 * width and y1 - y0 >= 4 * height
    rows = (y0 - height, y0, y1 - height, y1) if roomy else (y0 - height, y1, y0, y1 - height)
    for top in rows:
        for left in (x0, x1 - width, (x0 + x1 - width) / 2):
            yield shifted(left, top, size, image, vertically=False)
    for left in (x1, x0 - width):
        for top in (y0, (y0 + y1 - height) / 2, y1 - height):
            yield shifted(left, top, size, image)


def shifted(
    left: float, top: float, size: tuple[float, float], image: tuple[int, int], vertically: bool = True
) -> Rect:
    """Move a plate into the image.

    Args:
        left: Its left border, in pixels.
        top: Its upper border, in pixels.
        size: Width and height of the plate, in pixels.
        image: Width and height of the image, in pixels.
        vertically: Whether to move it up and down too, not only sideways.

    Returns:
        The place.
    """
    left = min(max(left, 0.0), image[0] - size[0])
    if vertically:
        top = min(max(top, 0.0), image[1] - size[1])
    return left, top, left + size[0], top + size[1]


def within(rect: Rect, image: tuple[int, int]) -> bool:
    """Return whether a plate is completely within the image.

    Args:
        rect: The place of the plate.
        image: Width and height of the image, in pixels.

    Returns:
        Whether it is.
    """
    return rect[0] >= 0 and rect[1] >= 0 and rect[2] <= image[0] and rect[3] <= image[1]


def overlap(one: Rect, other: Rect) -> float:
    """Return the intersection of two rectangles.

    Args:
        one: A rectangle.
        other: Another one.

    Returns:
        The area in square pixels.
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def roomiest_spot(region: Bool[np.ndarray, "H W"], scale: tuple[float, float]) -> Spot:
    """Return the middle of the largest circle inside a region.

    Its longer side is searched at about SEARCHED_SIDE places.

    Args:
        region: A region that is not empty, in pixels of the scene.
        scale: Factors for x and y to pixels of the image.

    Returns:
        x, y and radius, in pixels of the image.
    """
    x0, y0, x1, y1 = bounds(region)
    part = region[y0:y1, x0:x1]
    step = max(1, max(part.shape) // SEARCHED_SIDE)
    distance = ndimage.distance_transform_edt(np.pad(part[::step, ::step], 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    x, y = (x0 + (float(column) + 0.5) * step) * scale[0], (y0 + (float(row) + 0.5) * step) * scale[1]
    return x, y, float(distance[row, column]) * step * min(scale)
