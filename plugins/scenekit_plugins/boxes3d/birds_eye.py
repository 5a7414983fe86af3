"""The scene from above: where objects stand, how large they are and where they face, in metres.

Letters: N boxes, n points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw

from scenekit.keys import BOXES3D
from scenekit.scene import Scene
from scenekit.structures.boxes3d import Boxes3D
from scenekit.structures.cameras import Camera
from scenekit.visualization.camera_view import ASSUMED, camera_of
from scenekit.visualization.canvas import Style, draw_smooth
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import BLACK, Color
from scenekit.visualization.plan import PAPER, Sheet, draw_grid, grid_step, paint_footprint, strokes, with_footer
from scenekit.visualization.text_labels import Tag, draw_tags
from scenekit_plugins.boxes3d.cuboids import distances, drawable_cuboids, has_front, metres_text
from scenekit_plugins.boxes3d.draw import FRONT

IN_VIEW: Color = (236, 240, 246)

EMPTY_METRES = 5.0
"""How far the image of a scene without boxes reaches."""

FARTHEST = 4.0
"""Boxes that are more than this many times as far as the middle one are not shown: they would dwarf the others."""

ARROW_NECK, ARROW_TIP = 4, 9
"""How far in front of a box the head of its arrow begins and ends, in widths of a line."""

UPRIGHT = 0.5
"""Cosine between the down axes of a box and of the camera from which on the box tells where down is."""


@dataclass(frozen=True)
class Ground:
    """A plane seen from above: unit vectors to the `right` and `forward`, in the camera frame."""

    right: Float[np.ndarray, "3"]
    forward: Float[np.ndarray, "3"]

    @classmethod
    def under(cls, boxes: Boxes3D) -> Ground:
        """Return the plane that most boxes stand on; level with the camera where no box is nearly upright."""
        downs = boxes.rotation[:, :, 1].detach().cpu().double().numpy()
        downs = downs[downs[:, 1] > UPRIGHT]
        down = downs.mean(axis=0) if len(downs) else np.array([0.0, 1.0, 0.0])
        right = np.cross(down, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return cls(right, np.cross(right, down / np.linalg.norm(down)))

    def plan(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 2"]:
        """Return metres to the right and forward of the camera."""
        seen: Float[np.ndarray, "*n 2"] = points @ np.stack((self.right, self.forward), axis=1)
        return seen


def draw_birds_eye(scene: Scene, *, labels: bool = True, beside: Scene | None = None) -> Image.Image:
    """Draw the scene's 3D boxes from above, with a grid in metres and the camera's field of view.

    The camera is at the dark triangle and looks up the image. The direction of view is down as upright boxes define it,
    so that a tilted camera still gives a plan; an arrow leaves each box at its front, if it has one. Boxes that are not
    finite or have no extent are left out, and so are those much farther than most (the line below counts them). Without
    a camera the default one is assumed, which that line states too.

    Args:
        scene: A scene with 3D boxes.
        labels: Whether to write class names and distances.
        beside: Another scene of the same image whose boxes would fit, too, so that both drawings have one scale.

    Returns:
        The drawing.
    """
    rows, boxes = drawable_cuboids(scene)
    near = not_far_off(distances(boxes))
    ground, plans = Ground.under(boxes), plans_of(boxes, near)
    shown = [plans, *([] if beside is None or BOXES3D not in beside else [plans_of(*near_boxes(beside))])]
    sheet = Sheet.around(reach(np.concatenate(shown)))
    drawn = draw_ground(sheet, ground, camera_of(scene), scene.size)
    colors, fronts = object_colors(scene), has_front(scene)

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        line = scale * Style.of(drawn).line
        for plan, row in zip(plans, (rows[i] for i in near), strict=True):
            paint_footprint(layer, sheet.pixels(plan), colors[row], line, scale)
            if fronts[row]:
                paint_arrow(layer, sheet.pixels(plan), colors[row], line, scale)

    drawn = draw_smooth(drawn, paint)
    margin = ARROW_TIP * Style.of(drawn).line
    drawn = draw_tags(drawn, list(footprint_tags(scene, sheet, plans, near, margin))) if labels else drawn
    return with_footer(drawn, footer(sheet, len(rows) - len(near), camera_of(scene).assumed))


def near_boxes(scene: Scene) -> tuple[Boxes3D, list[int]]:
    """Return the boxes of a scene that can be drawn, and which of them are shown."""
    _, boxes = drawable_cuboids(scene)
    return boxes, not_far_off(distances(boxes))


def plans_of(boxes: Boxes3D, shown: list[int]) -> Float[np.ndarray, "N 8 2"]:
    """Return the corners of the `shown` boxes on the plane that all boxes stand on."""
    return Ground.under(boxes).plan(boxes[shown].corners.detach().cpu().double().numpy())


def reach(plans: Float[np.ndarray, "N 8 2"]) -> Float[np.ndarray, "n 2"]:
    """Return points that a sheet shows: the corners of boxes, and the camera."""
    if not len(plans):
        return np.array([[-1.0, 0.0], [1.0, EMPTY_METRES]])
    return np.concatenate((plans.reshape(-1, 2), np.zeros((1, 2))))


def not_far_off(metres: list[float]) -> list[int]:
    """Return which distances are not many times the middle one."""
    limit = FARTHEST * float(np.median(metres)) if metres else 0.0
    return [i for i, distance in enumerate(metres) if distance <= limit]


def draw_ground(sheet: Sheet, ground: Ground, camera: Camera, size: tuple[int, int]) -> Image.Image:
    """Return an empty sheet: grid, the camera and its field of view; `size` (height, width) is that of its image."""
    image = Image.new("RGB", sheet.size, PAPER)
    edges = ground.plan(border_rays(camera, size))
    far = 2 * math.dist(sheet.low, sheet.high)
    wedge = sheet.pixels(np.concatenate((np.zeros((1, 2)), far * edges)))
    half = Style.of(image).text * 0.6
    x, y = sheet.pixels(np.zeros(2))
    body = np.array([[x, y - 1.6 * half], [x + half, y], [x - half, y]])

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        layer.polygon(strokes(wedge, scale), fill=IN_VIEW)

    def paint_camera(layer: ImageDraw.ImageDraw, scale: int) -> None:
        layer.polygon(strokes(body, scale), fill=BLACK)

    return draw_smooth(draw_grid(draw_smooth(image, paint), sheet), paint_camera)


def border_rays(camera: Camera, size: tuple[int, int]) -> Float[np.ndarray, "2 3"]:
    """Return the directions of the left and right border of the image, half way up."""
    height, width = size
    pixels = torch.tensor([[0.0, height / 2], [width, height / 2]]).to(camera.matrix)
    rays = camera.unproject(pixels, torch.ones(2).to(pixels)).double().cpu().numpy()
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def paint_arrow(
    layer: ImageDraw.ImageDraw, corners: Float[np.ndarray, "8 2"], color: Color, line: int, scale: int
) -> None:
    """Draw an arrow from the middle of a box out of its front."""
    middle, front, ahead = facing(corners)
    if math.dist(middle, front) > 1:
        across = np.array([-ahead[1], ahead[0]]) * 2.5 * line / scale
        tip, neck = front + ahead * ARROW_TIP * line / scale, front + ahead * ARROW_NECK * line / scale
        layer.line(strokes(np.stack((middle, neck)), scale), color, line)
        layer.polygon(strokes(np.stack((tip, neck + across, neck - across)), scale), fill=color)


def facing(corners: Float[np.ndarray, "8 2"]) -> tuple[Float[np.ndarray, "2"], ...]:
    """Return the middle of a box, the middle of its front, and the direction from one to the other."""
    middle, front = corners.mean(axis=0), corners[list(FRONT)].mean(axis=0)
    return middle, front, (front - middle) / max(math.dist(middle, front), 1e-6)


def footprint_tags(
    scene: Scene, sheet: Sheet, plans: Float[np.ndarray, "N 8 2"], shown: list[int], arrow: int
) -> Iterator[Tag]:
    """Yield class name and distance of each `shown` box, beside the arrow, which is so many pixels long."""
    rows, boxes = drawable_cuboids(scene)
    names, colors, far, fronts = scene.names(), object_colors(scene), distances(boxes), has_front(scene)
    for plan, i in zip(plans, shown, strict=True):
        pixels = sheet.pixels(plan)
        if fronts[rows[i]]:
            _, front, ahead = facing(pixels)
            pixels = np.concatenate((pixels, [front + arrow * ahead]))
        (x0, y0), (x1, y1) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
        text = f"{names[rows[i]]} · {metres_text(far[i], camera_of(scene).assumed)}"
        yield Tag(text, colors[rows[i]], (x0, y0, x1, y1))


def footer(sheet: Sheet, left_out: int, assumed: bool) -> str:
    """Return the notes on the sheet."""
    step = grid_step(max(sheet.size) / sheet.pixels_per_metre)
    away = f"{left_out} much farther, not shown" if left_out else ""
    return " · ".join(filter(None, ("from above", f"grid {step:g} m", away, ASSUMED if assumed else "")))
