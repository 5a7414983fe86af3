"""Panoptic segments drawn over the image."""

from __future__ import annotations

from PIL import Image

from scenekit.keys import PANOPTIC
from scenekit.scene import Scene
from scenekit.structures.panoptic import Panoptic, Segment
from scenekit.visualization.canvas import enlarge_map, paint_map
from scenekit.visualization.draw import MAP_OPACITY, around, named_regions, object_colors
from scenekit.visualization.palette import Color, object_color, stuff_color
from scenekit.visualization.text_labels import Tag, draw_tags


def draw_panoptic(image: Image.Image, scene: Scene, *, labels: bool = True) -> Image.Image:
    """Draw every segment tinted, objects in their own color and stuff in that of its label, with names.

    Args:
        image: The image; it may be a multiple of the size of the scene.
        scene: A scene with panoptic segments.
        labels: Whether to write class names.

    Returns:
        A new image of the same size.
    """
    panoptic = scene[PANOPTIC]
    ids = panoptic.ids.cpu().numpy()
    colors = segment_colors(scene, panoptic)
    drawn = paint_map(image, enlarge_map(ids, image.size), colors, MAP_OPACITY)
    names = {segment.id: scene.vocabulary.labels[segment.label] for segment in panoptic.segments}
    segments = ((value, ids == value) for value in names)
    tags = [
        Tag(names[value], colors[value], around(spot), spot) for value, spot in named_regions(image, scene, segments)
    ]
    return draw_tags(drawn, tags) if labels else drawn


def segment_colors(scene: Scene, panoptic: Panoptic) -> dict[int, Color]:
    """Return the color of each segment by its id: that of its object, or of its label."""
    of_objects = object_colors(scene)

    def color(segment: Segment) -> Color:
        if segment.object is not None:
            return of_objects[segment.object]
        if segment.is_thing:
            return object_color(segment.label, segment.id)
        return stuff_color(segment.label, scene.vocabulary.labels[segment.label])

    return {segment.id: color(segment) for segment in panoptic.segments}
