"""Skeletons drawn over the image. Letters: K points of a skeleton."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int
from PIL import Image, ImageDraw

from scenekit.keys import KEYPOINTS
from scenekit.scene import Scene
from scenekit.structures.keypoints import ABSENT, VISIBLE
from scenekit.structures.vocabulary import Vocabulary
from scenekit.visualization.canvas import Style, draw_smooth, scale_of
from scenekit.visualization.draw import object_colors
from scenekit.visualization.palette import BLACK, WHITE


def draw_keypoints(image: Image.Image, scene: Scene) -> Image.Image:
    """Draw skeletons: limbs in the object's color, visible points filled with white, hidden ones with black.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with keypoints.

    Returns:
        A new image of the same size.
    """
    colors, scale = object_colors(scene), scale_of(image, scene)
    keypoints = scene[KEYPOINTS]
    xy = keypoints.xy.detach().cpu().double().numpy() * scale
    seen = np.where(np.isfinite(xy).all(axis=-1), keypoints.visibility.cpu().numpy(), ABSENT)
    edges = [_edges(scene.vocabulary, name) for name in scene.names()]
    width = Style.of(image).line

    def paint(layer: ImageDraw.ImageDraw, zoom: int) -> None:
        for row in scene.rows_with(KEYPOINTS).nonzero()[:, 0].tolist():
            for line, color in ((zoom * (width + 2), (*BLACK, 150)), (zoom * width, colors[row])):
                for a, b in limbs(edges[row], seen[row]):
                    layer.line([*(zoom * xy[row, a]), *(zoom * xy[row, b])], fill=color, width=round(line))
            for (x, y), visibility in zip(zoom * xy[row], seen[row], strict=True):
                if visibility != ABSENT:
                    inside = WHITE if visibility == VISIBLE else BLACK
                    layer.circle((x, y), zoom * 1.7 * width, inside, outline=colors[row], width=zoom * width)

    return draw_smooth(image, paint) if len(keypoints) else image.copy()


def limbs(edges: Sequence[tuple[int, int]], seen: Int[np.ndarray, " K"]) -> Iterator[tuple[int, int]]:
    """Yield pairs of points to join: the edges of a skeleton both of whose ends are present."""
    yield from ((a, b) for a, b in edges if seen[a] != ABSENT and seen[b] != ABSENT)


def _edges(vocabulary: Vocabulary, thing: str) -> list[tuple[int, int]]:
    """Return the edges of the skeleton of a thing, as places among the points of all things."""
    skeleton = vocabulary.skeletons.get(thing)
    if skeleton is None:
        return []
    place = dict(zip(skeleton.points, vocabulary.points_of(thing), strict=True))
    return [(place[a], place[b]) for a, b in skeleton.edges]
