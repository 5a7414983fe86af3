"""Parts of the report that are said in words: attributes, captions, described regions, relations and their graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from PIL import Image

from scenekit.graph.build import PREDICATE, SCORE, Graph
from scenekit.keys import ATTRIBUTES, CAPTIONS, PHRASE_CAPTIONS, PHRASES, RELATIONS
from scenekit.scene import Scene
from scenekit.visualization.draw import draw_boxes, object_colors, object_rects
from scenekit.visualization.graph.drawing import by_certainty, graph_note, graph_svg
from scenekit.visualization.report.tables import Column, known, labelled, section, table
from scenekit.visualization.text_labels import Tag, draw_tags

MOST_ATTRIBUTES, LIKELY = 6, 0.5
"""Attributes that are named of an object, and the least probability of each."""

MOST_RELATIONS, MOST_PHRASES = 20, 20
"""Rows of the tables."""


def attribute_cells(scene: Scene) -> list[str]:
    """The likely attributes of each object, the likeliest first, with their probability where it is not 1."""
    names, cells = scene.vocabulary.attributes, []
    for row in scene[ATTRIBUTES].tolist():
        likely = sorted((-p, name) for p, name in zip(row, names, strict=True) if p >= LIKELY)[:MOST_ATTRIBUTES]
        cells.append(escape(", ".join(name if p == -1 else f"{name} {-p:.2f}" for p, name in likely)))
    return known(cells, scene, ATTRIBUTES)


def caption_cells(scene: Scene) -> list[str]:
    """The first description of each object."""
    return known([escape(texts[0]) if texts else "" for texts in scene[CAPTIONS].texts], scene, CAPTIONS)


def described_table(scene: Scene) -> str:
    """The regions that somebody or something described, the surest first, with what was said."""
    if PHRASE_CAPTIONS not in scene:
        return ""
    regions, captions = scene.regions(PHRASES), scene[PHRASE_CAPTIONS]
    scores = None if regions.scores is None else regions.scores.nan_to_num(0).tolist()
    there = [row for row, texts in enumerate(captions.texts) if texts]
    rows = (there if scores is None else sorted(there, key=lambda row: -scores[row]))[:MOST_PHRASES]
    if not rows:
        return section("Described regions", '<p class="note">none found</p>')
    columns = [Column("description", [escape(captions.texts[row][0]) for row in rows])]
    if scores is not None:
        columns.append(Column("score", [f"{scores[row]:.2f}" for row in rows], numeric=True))
    boxes = regions.boxes.tolist()
    cells = [", ".join(f"{value:.0f}" for value in boxes[row]) for row in rows]
    columns.append(Column("box x0, y0, x1, y1", cells, numeric=True))
    return section("Described regions", worded(columns) + remainder(len(rows), len(there)))


def relations_table(scene: Scene, graph: Graph) -> str:
    """Subject, predicate, object and score, the surest first."""
    if RELATIONS not in scene:
        return ""
    edges = by_certainty(graph)[:MOST_RELATIONS]
    if not edges:
        return section("Relations", '<p class="note">none found</p>')
    colors, names = object_colors(scene), scene.names()

    def cell(row: int) -> str:
        return labelled(colors[row], f"{names[row]} {row}")

    columns = [
        Column("subject", [cell(subject) for subject, *_ in edges]),
        Column("predicate", [escape(relation[PREDICATE]) for *_, relation in edges]),
        Column("object", [cell(target) for _, target, *_ in edges]),
    ]
    scores = [relation.get(SCORE) for *_, relation in edges]
    if any(score is not None for score in scores):
        columns.append(Column("score", list(map(score_text, scores)), numeric=True))
    return section("Relations", table(columns) + remainder(len(edges), graph.number_of_edges()))


def graph_view(graph: Graph, image: str, truth: Scene | None) -> str:
    """The graph beside the image that its objects are in; that of the ground truth can be unfolded below."""
    folded = ""
    if truth is not None and RELATIONS in truth:
        there = truth.graph()
        folded = f"<details><summary>ground truth: {escape(graph_note(there))}</summary>{graph_svg(there)}</details>"
    title = f'<h3>Scene graph</h3><p class="note">{escape(graph_note(graph))}</p>'
    return f'<section class="graph">{title}<div class="beside">{image}{graph_svg(graph)}</div>{folded}</section>'


def numbered(image: Image.Image, scene: Scene) -> Image.Image:
    """The boxes of the objects with the numbers that they have in the graph and in the tables."""
    rects, colors = object_rects(image, scene), object_colors(scene)
    tags = [Tag(f"{row} {scene.names()[row]}", colors[row], rect) for row, rect in rects.items()]
    return draw_tags(draw_boxes(image, scene, labels=False), tags)


def worded(columns: Sequence[Column]) -> str:
    """A table in which texts may take several lines."""
    return f'<div class="folded">{table(columns)}</div>'


def remainder(shown: int, there: int) -> str:
    """`and 12 more`, where there are more."""
    return f'<p class="note">and {there - shown:,} more</p>' if there > shown else ""


def score_text(score: float | None) -> str:
    """Two digits; nothing where nothing is known."""
    return "" if score is None or math.isnan(score) else f"{score:.2f}"
