"""3D boxes drawn over the image. Letters: N boxes; corners are numbered as `Boxes3D.corners` gives them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from scenekit.ops.boxes3d import CUBOID_EDGES
from scenekit.scene import Scene
from scenekit.visualization.camera_view import View, camera_tags
from scenekit.visualization.canvas import Style, draw_smooth
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import BLACK, Color
from scenekit.visualization.plan import FACES, strokes
from scenekit.visualization.text_labels import Rect, Tag, draw_tags
from scenekit_plugins.boxes3d.cuboids import cuboid_text, distances, drawable_cuboids, has_front

FRONT = FACES[0]

EDGES = tuple((first, second) for first, second in CUBOID_EDGES.tolist())

FRONT_OPACITY, HIDDEN_OPACITY = 85, 150
"""Of 255: the fill of the front, and the edges on the far side of a box."""


def draw_boxes3d(image: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Draw 3D boxes as frames, the near ones over the far ones, with class name, score and distance in metres.

    The front of each that has one is filled (see `Vocabulary.symmetry`); edges on its far side are thin. Parts behind
    the camera are cut off. Boxes that are not finite or have no extent are left out. Without a camera the default one
    is assumed, and the image states it.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with 3D boxes.
        labels: Whether to write class names, scores and distances.

    Returns:
        A new image of the same size.
    """
    view = View.of(image, scene)
    rows, boxes = drawable_cuboids(scene)
    far = distances(boxes)
    order = sorted(range(len(rows)), key=lambda i: -far[i])
    corners, colors = boxes.corners.detach().cpu().double().numpy(), object_colors(scene)
    frames, fronted = [(corners[i], colors[rows[i]]) for i in order], has_front(scene)
    fronts = [frame for frame, i in zip(frames, order, strict=True) if fronted[rows[i]]]

    def paint(layer: ImageDraw.ImageDraw, scale: int) -> None:
        for frame, color in fronts:
            if len(front := view.clipped(frame[list(FRONT)])) > 2:
                layer.polygon(strokes(front, scale), fill=(*color, FRONT_OPACITY))
        for frame, color in frames:
            paint_edges(layer, view, frame, color, scale * Style.of(image).line, scale)

    drawn = draw_smooth(image, paint) if frames else image.convert("RGB")
    return draw_tags(drawn, [*camera_tags(view), *cuboid_tags(view, scene)]) if labels else drawn


def paint_edges(
    layer: ImageDraw.ImageDraw, view: View, corners: Float[np.ndarray, "8 3"], color: Color, line: int, scale: int
) -> None:
    """Draw the edges of one box: the far side thin, then the near side with a dark rim."""
    near = near_side(corners)
    for edge in sorted(EDGES, key=near.__contains__):
        if len(ends := view.clipped(corners[list(edge)])):
            if edge in near:
                layer.line(strokes(ends, scale), (*BLACK, 130), line + 2, joint="curve")
                layer.line(strokes(ends, scale), color, line, joint="curve")
            else:
                layer.line(strokes(ends, scale), (*color, HIDDEN_OPACITY), max(line // 2, 1))


def near_side(corners: Float[np.ndarray, "8 3"]) -> set[tuple[int, int]]:
    """Return the edges of those faces whose outside the camera sees; all of them, where it stands in the box."""
    middle = corners.mean(axis=0)
    faces = [set(face) for face in FACES if (at := corners[list(face)].mean(axis=0)) @ (at - middle) < 0]
    return {edge for edge in EDGES if not faces or any(set(edge) <= face for face in faces)}


def cuboid_tags(view: View, scene: Scene) -> Iterator[Tag]:
    """Yield the text at each box in view, the nearest first."""
    rows, boxes = drawable_cuboids(scene)
    names, colors, far = scene.names(), object_colors(scene), distances(boxes)
    for i in sorted(range(len(rows)), key=lambda i: far[i]):
        rect = rect_in_view(view, boxes.corners[i].detach().cpu().double().numpy())
        if rect is not None:
            yield Tag(cuboid_text(names[rows[i]], boxes, i, view.assumed), colors[rows[i]], rect)


def rect_in_view(view: View, corners: Float[np.ndarray, "8 3"]) -> Rect | None:
    """Return the rectangle around the visible part of a box; None where there is none."""
    parts = [view.clipped(corners[list(face)]) for face in FACES]
    pixels = np.concatenate(parts)
    if not len(pixels):
        return None
    (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
    width, height = view.size
    rect = (max(float(x0), 0.0), max(float(y0), 0.0), min(float(x1), width - 1.0), min(float(y1), height - 1.0))
    return rect if rect[0] < rect[2] and rect[1] < rect[3] else None
