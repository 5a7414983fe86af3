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


def draw_masks(picture: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Each object's mask as a translucent fill, outlined just inside its border; large masks lie under small ones."""
    drawn = picture.convert("RGB")
    colors, texts, spots = object_colors(scene), object_texts(scene), {}
    masks, scale = scene[MASKS], scale_of(picture, scene)
    areas, rows = masks.area.tolist(), scene.rows_with(MASKS).nonzero()[:, 0].tolist()
    for row in sorted(rows, key=lambda row: -areas[row]):
        mask = masks[[row]].dense[0].numpy()
        if mask.any():
            fill_mask(drawn, mask, colors[row])
            spots[row] = roomiest_spot(mask, scale)
    rects = object_rects(picture, scene)
    tags = [Tag(texts[row], colors[row], rects[row], spots[row]) for row in rows if row in spots and row in rects]
    return draw_tags(drawn, tags) if labels else drawn


def fill_mask(picture: Image.Image, mask: Bool[np.ndarray, "H W"], color: Color) -> None:
    """Fill and outline one mask, in place."""
    region, corner = enlarge_mask(mask, picture.size)
    fill(picture, region, corner, color, MASK_OPACITY)
    fill(picture, inner_edge(region, Style.of(picture).line), corner, color, 1.0)
