"""A map from above: objects as oriented boxes with their names, the path of the camera, a scale bar.

Letters: n points, m points with those that a sheet shows at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw

from scenekit.structures.boxes3d import Boxes3D
from scenekit.visualization.camera_view import ASSUMED
from scenekit.visualization.canvas import Style, draw_smooth, font
from scenekit.visualization.palette import BLACK, Color, object_color
from scenekit.visualization.plan import FAINT, PAPER, Sheet, draw_grid, grid_step, paint_footprint, strokes, with_footer
from scenekit.visualization.text_labels import Tag, draw_tags
from scenekit.world.frames import leveled
from scenekit.world.map_object import MapObject
from scenekit.world.views import positions_of

if TYPE_CHECKING:
    from scenekit.world.world import World

SIDE = 1200
"""The longer side of the drawing, in pixels."""

EMPTY_METRES = 5.0
"""How far the drawing of an empty map reaches."""

PATH: Color = (92, 103, 122)
CANDIDATE: Color = (168, 174, 184)

FRONT = [1, 5]
"""Ends of the front of a box, as corners from above."""


def draw_map(world: World, *, labels: bool = True, candidates: bool = False) -> Image.Image:
    """Draw a map; see `World.draw`."""
    shown, faint = by_height(world, world.objects), world.candidates if candidates else ()
    plans, faint_plans = [plan_of(world, item) for item in shown], [plan_of(world, item) for item in faint]
    path = positions_of(world.views) @ leveled(world.options.up)[:2].T
    points = np.concatenate([*plans, *faint_plans, path]) if len(shown) or len(faint) or len(path) else None
    sheet = Sheet.around(np.array([[0.0, 0.0], [EMPTY_METRES] * 2]) if points is None else reach(points), SIDE)
    drawn = draw_grid(Image.new("RGB", sheet.size, PAPER), sheet)
    colors = [color_of(world, item) for item in shown]

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        line = scale * Style.of(drawn).line
        paint_path(layer, sheet.pixels(path), line, scale)
        for plan in faint_plans:
            paint_outline(layer, sheet.pixels(plan), line, scale)
        for item, plan, color in zip(shown, plans, colors, strict=True):
            paint_footprint(layer, sheet.pixels(plan), color, line, scale)
            if world.vocabulary.symmetry.get(item.label, 1) == 1:
                layer.line(strokes(sheet.pixels(plan)[FRONT], scale), color, 5 * line)
        paint_camera(layer, world, sheet, scale)

    drawn = draw_smooth(drawn, paint)
    if labels:
        drawn = draw_tags(drawn, list(tags(shown, plans, colors, sheet, drawn)), most_covered=0.0)
    return draw_scale_bar(with_footer(drawn, footer(world, len(faint))), sheet)


def by_height(world: World, items: Sequence[MapObject]) -> list[MapObject]:
    """Return objects from the ground up, so that what stands on others is drawn over them."""
    up = np.array(world.options.up)
    return sorted(items, key=lambda item: float(item.position @ up))


def plan_of(world: World, item: MapObject) -> Float[np.ndarray, "8 2"]:
    """Return the corners of an object's box from above, in metres to the right and forward."""
    parts = (torch.from_numpy(np.array(part))[None] for part in (item.position, item.size, item.rotation))
    corners: Float[np.ndarray, "8 2"] = Boxes3D(*parts).corners[0].numpy() @ leveled(world.options.up)[:2].T
    return corners


def reach(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 2"]:
    """Return points that a sheet shows: at least a metre around the middle."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.concatenate((points, middle + np.array([[-0.5, -0.5], [0.5, 0.5]])))


def color_of(world: World, item: MapObject) -> Color:
    """Return the color of an object, a shade of that of its class."""
    return object_color(world.vocabulary.things.index(item.label), item.identity)


def paint_path(layer: ImageDraw.ImageDraw, path: Float[np.ndarray, "n 2"], line: int, scale: int) -> None:
    """Draw the path of the camera, with a dot at its beginning."""
    if len(path) > 1:
        layer.line(strokes(path, scale), PATH, line, joint="curve")
    for x, y in strokes(path[:1], scale):
        layer.circle((x, y), 2.5 * line, fill=PAPER, outline=PATH, width=line)


def paint_outline(layer: ImageDraw.ImageDraw, corners: Float[np.ndarray, "8 2"], line: int, scale: int) -> None:
    """Draw an unconfirmed object: the outline of its floor."""
    floor = strokes(corners[[2, 3, 7, 6]], scale)
    layer.line([*floor, floor[0]], CANDIDATE, max(line // 2, 1), joint="curve")


def paint_camera(layer: ImageDraw.ImageDraw, world: World, sheet: Sheet, scale: int) -> None:
    """Draw where the camera was last, and where it looked."""
    if not world.views:
        return
    level, pose = leveled(world.options.up), world.views[-1].pose
    place, ahead = sheet.pixels(level[:2] @ pose[:3, 3]), (level @ pose[:3, 2])[:2] * (1, -1)
    length = float(np.linalg.norm(ahead))
    half = 0.01 * SIDE
    if length > 1e-6:
        ahead, across = ahead / length, np.array([-ahead[1], ahead[0]]) / length
        body = np.stack((place + 1.6 * half * ahead, place + half * across, place - half * across))
        layer.polygon(strokes(body, scale), fill=BLACK)


def tags(
    shown: Sequence[MapObject],
    plans: Sequence[Float[np.ndarray, "8 2"]],
    colors: Sequence[Color],
    sheet: Sheet,
    image: Image.Image,
) -> Iterator[Tag]:
    """Yield the name of each object, those with the most sightings first: they choose their place first."""
    for row in sorted(range(len(shown)), key=lambda row: -shown[row].sightings):
        (x0, y0), (x1, y1) = (bound(sheet.pixels(plans[row]), axis=0).tolist() for bound in (np.min, np.max))
        yield Tag(shown[row].label, colors[row], (x0, y0, x1, y1))


def draw_scale_bar(image: Image.Image, sheet: Sheet) -> Image.Image:
    """Draw a bar of a round length in the lower right corner, below the sheet."""
    metres = grid_step(max(sheet.size) / sheet.pixels_per_metre)
    size = round(0.9 * Style.of(image).text)
    right, length, low = image.width - size, metres * sheet.pixels_per_metre, image.height - size
    line = max(Style.of(image).line, 2)

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        layer.line(strokes(np.array([[right - length, low], [right, low]]), scale), FAINT, line * scale)
        for x in (right - length, right):
            layer.line(strokes(np.array([[x, low - size / 3], [x, low + size / 3]]), scale), FAINT, line * scale)

    drawn = draw_smooth(image, paint)
    ImageDraw.Draw(drawn).text((right - length - size / 2, low), f"{metres:g} m", FAINT, font(size), "rm")
    return drawn


def footer(world: World, candidates: int) -> str:
    """Return the notes on the sheet."""
    count, scenes = len(world.objects), len(world.views)
    notes = ["from above", f"{count} object{'s' * (count != 1)} in {scenes} scene{'s' * (scenes != 1)}"]
    if candidates:
        notes.append(f"{candidates} unconfirmed, gray")
    if any(view.assumed for view in world.views):
        notes.append(ASSUMED)
    return " · ".join(notes)
