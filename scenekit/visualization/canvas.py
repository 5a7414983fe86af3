"""The surface that layers draw on: an image that may be several times as large as its scene.

Small images are enlarged before anything is drawn, so that text and lines stay fine. Layers therefore take the scale
from their image. Letters: H W pixels of the scene, h w pixels of the image, r c rows and
columns of a part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from scenekit.scene import Scene
from scenekit.visualization.palette import WHITE, Color

DRAWN_SIDE = 900
"""The longer side that enlarging aims at, in pixels."""

MAX_ENLARGEMENT = 4

SMOOTH_PIXELS = 4_000_000
"""Up to here lines are drawn at twice the resolution and averaged; larger images look smooth anyway."""

SMALL_IDS = 4096
"""A map whose ids span fewer numbers than this is painted by a table of all of them."""

SEAM_SOFTNESS, SEAM_STRENGTH = 0.8, 190
"""Blur (pixels) and opacity (of 255) of the lines between regions: without blur they are staircases."""


@dataclass(frozen=True)
class Style:
    """Sizes that suit an image."""

    text: int
    """Height of the type, in pixels of the image."""
    line: int
    """Width of lines, in pixels of the image."""

    @classmethod
    def of(cls, image: Image.Image) -> Style:
        """Return sizes in proportion to an image, within limits.

        Args:
            image: The image; of long thin ones the shorter side counts.

        Returns:
            The sizes.
        """
        side = min(max(image.size), 3 * min(image.size))
        return cls(text=min(max(round(side / 42), 11), 64), line=min(max(round(side / 350), 1), 10))


def enlarged(image: Image.Image) -> Image.Image:
    """Resize a small image by a whole factor, so that annotations have room.

    Args:
        image: The image.

    Returns:
        The enlarged image, or a copy of a large one.
    """
    factor = min(max(round(DRAWN_SIDE / max(image.size)), 1), MAX_ENLARGEMENT)
    if factor == 1:
        return image.copy()
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def scale_of(image: Image.Image, scene: Scene) -> tuple[float, float]:
    """Return the factors from pixels of the scene to pixels of the image.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: The scene.

    Returns:
        Factors for x and y.
    """
    return image.width / scene.size[1], image.height / scene.size[0]


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own typeface, so that images look the same everywhere.

    Args:
        size: The height of the type, in pixels.

    Returns:
        The typeface.
    """
    return ImageFont.load_default(size)


def draw_smooth(image: Image.Image, paint: Callable[[ImageDraw.ImageDraw, int], None]) -> Image.Image:
    """Draw antialiased vector strokes over an image.

    Args:
        image: The image.
        paint: (layer, scale): draws on a transparent layer that is `scale` times as large as the image.

    Returns:
        A new image of the same size, RGB.
    """
    scale = 2 if image.width * image.height <= SMOOTH_PIXELS else 1
    layer = Image.new("RGBA", (image.width * scale, image.height * scale))
    paint(ImageDraw.Draw(layer), scale)
    drawn = image.convert("RGB") if image.mode != "RGB" else image.copy()
    painted = layer.getbbox()
    if painted is None:
        return drawn
    x0, y0, x1, y1 = painted[0] // scale, painted[1] // scale, -(-painted[2] // scale), -(-painted[3] // scale)
    part = layer.crop((x0 * scale, y0 * scale, x1 * scale, y1 * scale))
    if scale > 1:
        part = part.resize((x1 - x0, y1 - y0), Image.Resampling.BOX)
    under = drawn.crop((x0, y0, x1, y1)).convert("RGBA")
    drawn.paste(Image.alpha_composite(under, part).convert("RGB"), (x0, y0))
    return drawn


def fill(
    image: Image.Image, region: Bool[np.ndarray, "r c"], corner: tuple[int, int], color: Color, opacity: float
) -> None:
    """Fill the pixels of a region with a translucent color, in place.

    Args:
        image: The image.
        region: A part of a mask.
        corner: x, y of the top left pixel of that part.
        color: RGB, 0 to 255.
        opacity: 0 to 1.
    """
    alpha = Image.fromarray((region * round(255 * opacity)).astype(np.uint8))
    image.paste(color, (*corner, corner[0] + alpha.width, corner[1] + alpha.height), alpha)


def inner_edge(region: Bool[np.ndarray, "r c"], width: int) -> Bool[np.ndarray, "r c"]:
    """Return the pixels of a region that are close to its border.

    Args:
        region: The region; the border of the array counts as outside.
        width: The width of the edge, in pixels.

    Returns:
        The edge.
    """
    padded = Image.fromarray(np.pad(region, 1).astype(np.uint8) * 255)
    core = padded
    for _ in range(width):
        core = core.filter(ImageFilter.MinFilter(3))
    edge: Bool[np.ndarray, "r c"] = np.asarray(ImageChops.subtract(padded, core))[1:-1, 1:-1] > 0
    return edge


def enlarge_mask(
    mask: Bool[np.ndarray, "H W"], size: tuple[int, int]
) -> tuple[Bool[np.ndarray, "r c"], tuple[int, int]]:
    """Resize a mask to the size of an image, with a smooth outline instead of a staircase.

    Args:
        mask: A mask that is not empty.
        size: Width and height of the image, in pixels.

    Returns:
        The part of the resized mask around its pixels, and x, y of the top left pixel of that part.
    """
    height, width = mask.shape
    x0, y0, x1, y1 = bounds(mask)
    x0, y0, x1, y1 = max(x0 - 2, 0), max(y0 - 2, 0), min(x1 + 2, width), min(y1 + 2, height)  # the filter reaches 2 out
    left, right = (round(x * size[0] / width) for x in (x0, x1))
    top, bottom = (round(y * size[1] / height) for y in (y0, y1))
    part = mask[y0:y1, x0:x1]
    return soft_mask(part, (max(right - left, 1), max(bottom - top, 1))) > 127, (left, top)


def soft_mask(mask: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """Resize a mask, antialiased.

    Args:
        mask: The mask.
        size: Width and height of the result, in pixels.

    Returns:
        How much of each pixel the mask covers, 0 to 255.
    """
    coverage = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(coverage if coverage.size == size else coverage.resize(size, Image.Resampling.BICUBIC))


def enlarge_map(ids: Int[np.ndarray, "H W"], size: tuple[int, int]) -> Int[np.ndarray, "h w"]:
    """Resize a map of ids; each pixel gets the id that covers most of it.

    Args:
        ids: The map.
        size: Width and height of the result, in pixels.

    Returns:
        The resized map.
    """
    if (ids.shape[1], ids.shape[0]) == size:
        return ids
    present = np.unique(ids)
    winner = np.full(size[::-1], present[0], dtype=ids.dtype)
    most = np.zeros(size[::-1], dtype=np.uint8)
    for value in present:
        coverage = soft_mask(ids == value, size)
        better = coverage > most
        winner[better], most[better] = value, coverage[better]
    return winner


def paint_map(
    image: Image.Image, ids: Int[np.ndarray, "h w"], colors: Mapping[int, Color], opacity: float
) -> Image.Image:
    """Fill every pixel whose id has a color; soft light lines separate neighboring ids.

    Args:
        image: The image.
        ids: A map in pixels of the image.
        colors: RGB by id.
        opacity: 0 to 1.

    Returns:
        A new image, RGB.
    """
    values, where = numbered_ids(ids)
    tints = np.array([colors.get(int(value), WHITE) for value in values], dtype=np.uint8)
    alphas = np.array([round(255 * opacity) if int(value) in colors else 0 for value in values], dtype=np.uint8)
    drawn = image.convert("RGB")
    drawn.paste(Image.fromarray(tints[where]), mask=Image.fromarray(alphas[where]))
    return draw_seams(drawn, ids)


def numbered_ids(ids: Int[np.ndarray, "h w"]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, "h w"]]:
    """Return the ids of a map and the place of each pixel's id among them; without sorting where the ids are small.

    Args:
        ids: The map.

    Returns:
        Ids, and a map of their places; small ids that no pixel has may be among them.
    """
    low, high = int(ids.min()), int(ids.max())
    if high - low < SMALL_IDS:
        return np.arange(low, high + 1), ids - low
    values, where = np.unique(ids, return_inverse=True)
    return values, where.reshape(ids.shape)


def draw_seams(image: Image.Image, ids: Int[np.ndarray, "h w"]) -> Image.Image:
    """Draw soft light lines between pixels of different ids.

    Args:
        image: The image.
        ids: A map in pixels of the image.

    Returns:
        A new image, RGB.
    """
    drawn = image.convert("RGB")
    seams = Image.fromarray(borders(ids).astype(np.uint8) * 255)
    soft = seams.filter(ImageFilter.GaussianBlur(SEAM_SOFTNESS)).point(lambda alpha: min(2 * alpha, SEAM_STRENGTH))
    drawn.paste(WHITE, mask=soft)
    return drawn


def bounds(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the bounding box of a mask.

    Args:
        mask: A mask that is not empty.

    Returns:
        x0, y0, x1, y1 in pixels, half-open.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def borders(ids: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose right or lower neighbor has another id.

    Args:
        ids: The map.

    Returns:
        True for each such pixel.
    """
    seams = np.zeros(ids.shape, dtype=bool)
    seams[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    seams[:-1] |= ids[:-1] != ids[1:]
    return seams


def drawable_boxes(scene: Scene) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
    """Yield the boxes of the objects that can be drawn: finite, with an area, and partly within the image.

    Args:
        scene: The scene.

    Yields:
        The row and the box, xyxy in pixels of the scene.
    """
    height, width = scene.size
    for row, (x0, y0, x1, y1) in enumerate(scene.objects.boxes.tolist()):
        if math.isfinite(x0 + y0 + x1 + y1) and max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height):
            yield row, (x0, y0, x1, y1)
