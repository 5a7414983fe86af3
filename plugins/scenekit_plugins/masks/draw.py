"""Masks drawn over the image. Letters: H W pixels of the scene."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from PIL import Image

from scenekit.keys import MASKS
from scenekit.scene import Scene
from scenekit.visualization.canvas import Style, enlarge_mask, fill, inner_edge, scale_of
from scenekit.visualization.draw import object_colors, object_rects, object_texts
from scenekit.visualization.palette import Color
from scenekit.visualization.text_labels import Tag, draw_tags, roomiest_spot

MASK_OPACITY = 0.45


def draw_masks(image: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Draw each object's mask as a translucent fill, outlined just inside its border; large masks lie under small ones.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with masks.
        labels: Whether to write class names and scores.

    Returns:
        A new image of the same size.
    """
    drawn = image.convert("RGB")
    colors, texts, spots = object_colors(scene), object_texts(scene), {}
    masks, scale = scene[MASKS], scale_of(image, scene)
    areas, rows = masks.area.tolist(), scene.rows_with(MASKS).nonzero()[:, 0].tolist()
    for row in sorted(rows, key=lambda row: -areas[row]):
        mask = masks[[row]].dense[0].numpy()
        if mask.any():
            fill_mask(drawn, mask, colors[row])
            spots[row] = roomiest_spot(mask, scale)
    rects = object_rects(image, scene)
    tags = [Tag(texts[row], colors[row], rects[row], spots[row]) for row in rows if row in spots and row in rects]
    return draw_tags(drawn, tags) if labels else drawn


def fill_mask(image: Image.Image, mask: Bool[np.ndarray, "H W"], color: Color) -> None:
    """Fill and outline one mask, in place."""
    region, corner = enlarge_mask(mask, image.size)
    fill(image, region, corner, color, MASK_OPACITY)
    fill(image, inner_edge(region, Style.of(image).line), corner, color, 1.0)
