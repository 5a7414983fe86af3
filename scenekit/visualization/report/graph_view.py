"""The scene graph of a report, beside the image that its objects are in."""

from __future__ import annotations

from html import escape

from PIL import Image

from scenekit.graph.build import Graph, has_edges
from scenekit.scene import Scene
from scenekit.visualization.draw import draw_boxes, object_colors, object_rects
from scenekit.visualization.graph.drawing import graph_note, graph_svg
from scenekit.visualization.text_labels import Tag, draw_tags


def graph_view(graph: Graph, image: str, ground_truth: Scene | None) -> str:
    """Return the graph beside its image; that of the ground truth can be unfolded below.

    Args:
        graph: The graph of the scene.
        image: HTML of the image.
        ground_truth: The ground truth, if there is one.

    Returns:
        HTML of this part of the report.
    """
    folded = ""
    if ground_truth is not None and has_edges(ground_truth):
        there = ground_truth.graph()
        folded = f"<details><summary>ground truth: {escape(graph_note(there))}</summary>{graph_svg(there)}</details>"
    title = f'<h3>Scene graph</h3><p class="note">{escape(graph_note(graph))}</p>'
    return f'<section class="graph">{title}<div class="beside">{image}{graph_svg(graph)}</div>{folded}</section>'


def numbered(image: Image.Image, scene: Scene) -> Image.Image:
    """Draw the boxes of the objects with the numbers that they have in the graph and in the tables."""
    rects, colors = object_rects(image, scene), object_colors(scene)
    tags = [Tag(f"{row} {scene.names()[row]}", colors[row], rect) for row, rect in rects.items()]
    return draw_tags(draw_boxes(image, scene, labels=False), tags)
