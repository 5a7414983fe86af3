"""Panoptic segments drawn over the image."""

from __future__ import annotations

from PIL import Image

from scenekit.keys import PANOPTIC
from scenekit.scene import Scene
from scenekit.visualization.canvas import enlarge_map, paint_map
from scenekit.visualization.draw import MAP_OPACITY, around, named_regions, segment_colors
from scenekit.visualization.text_labels import Tag, draw_tags


def draw_panoptic(picture: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Every segment tinted, objects in their own color and stuff in that of its label, with names."""
    panoptic = scene[PANOPTIC]
    ids = panoptic.ids.cpu().numpy()
    colors = segment_colors(scene, panoptic)
    drawn = paint_map(picture, enlarge_map(ids, picture.size), colors, MAP_OPACITY)
    names = {segment.id: scene.vocabulary.labels[segment.label] for segment in panoptic.segments}
    segments = ((value, ids == value) for value in names)
    tags = [
        Tag(names[value], colors[value], around(spot), spot) for value, spot in named_regions(picture, scene, segments)
    ]
    return draw_tags(drawn, tags) if labels else drawn
