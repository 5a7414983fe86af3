"""Relations as arrows from subject to object, with the predicate on them. Letters: R relations."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from scenekit.keys import RELATIONS
from scenekit.scene import Scene
from scenekit.structures import Relations
from scenekit.visualization.canvas import Style, draw_smooth
from scenekit.visualization.draw import draw_boxes, object_colors, object_rects
from scenekit.visualization.palette import BLACK, WHITE
from scenekit.visualization.text_labels import Rect, Tag, draw_tags

MOST_ARROWS = 12
"""More than these cross each other beyond recognition; the graph and the tables have them all."""

SHORT = 8
"""Arrows below so many heights of the text are not written upon."""

Point = tuple[float, float]


def draw_relations(image: Image.Image, scene: Scene) -> Image.Image:
    """Draw the likely relations with the best scores, one for each two objects, over the objects' boxes."""
    rects, colors, line = object_rects(image, scene), object_colors(scene), Style.of(image).line
    drawn = draw_boxes(image, scene, labels=False)
    arrows = [
        (row, *_between(rects[subject], rects[target]), predicate)
        for row, subject, target, predicate in _shown(scene[RELATIONS])
        if subject in rects and target in rects
    ]
    subjects = scene[RELATIONS].subject.tolist()

    def paint(layer: ImageDraw.ImageDraw, zoom: int) -> None:
        for row, start, end, _ in arrows:
            for width, color in ((line + 2, (*BLACK, 150)), (line, (*colors[subjects[row]], 255))):
                _paint_arrow(layer, _zoomed(start, zoom), _zoomed(end, zoom), zoom * width, zoom * 5 * line, color)

    names = scene.vocabulary.predicates
    labels = [Tag(name, colors[row], rects[row]) for row, name in enumerate(scene.names()) if row in rects]
    text = Style.of(image).text
    plates = [Tag(names[p], colors[subjects[row]], _around(start, end, text)) for row, start, end, p in arrows]
    notes = _notes(int(scene[RELATIONS].likely.sum()) - len(arrows), image.height)
    return draw_tags(draw_smooth(drawn, paint) if arrows else drawn, [*notes, *labels, *plates])


def _notes(left_out: int, height: int) -> list[Tag]:
    """Return a note for the lower left corner that says why likely relations have no arrow."""
    if left_out <= 0:
        return []
    text = f"{left_out} more without an arrow: only the best of each pair, at most {MOST_ARROWS}"
    return [Tag(text, WHITE, (0.0, float(height), 0.0, float(height)))]


def _shown(relations: Relations) -> list[tuple[int, int, int, int]]:
    """Return (row, subject, object, predicate) of the relations with an arrow, the best first."""
    columns = (relations.subject.tolist(), relations.object.tolist(), relations.predicate.tolist())
    shown: dict[frozenset[int], tuple[int, int, int, int]] = {}
    for row in relations.likely.nonzero()[:, 0].tolist():
        subject, target, predicate = (column[row] for column in columns)
        shown.setdefault(frozenset((subject, target)), (row, subject, target, predicate))
    return list(shown.values())[:MOST_ARROWS]


def _between(subject: Rect, target: Rect) -> tuple[Point, Point]:
    """Return the middle parts of the line from one middle to the other."""
    (ax, ay), (bx, by) = _middle(subject), _middle(target)
    return (ax + 0.15 * (bx - ax), ay + 0.15 * (by - ay)), (ax + 0.85 * (bx - ax), ay + 0.85 * (by - ay))


def _middle(rect: Rect) -> Point:
    return (rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2


def _around(start: Point, end: Point, text: int) -> Rect:
    """Return what the predicate is written beside: the middle of an arrow, or all of one that it would hide."""
    if math.dist(start, end) < SHORT * text:
        return min(start[0], end[0]), min(start[1], end[1]), max(start[0], end[0]), max(start[1], end[1])
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    return x, y, x, y


def _zoomed(point: Point, zoom: int) -> Point:
    return zoom * point[0], zoom * point[1]


def _paint_arrow(
    layer: ImageDraw.ImageDraw, start: Point, end: Point, width: int, head: int, color: tuple[int, ...]
) -> None:
    """Draw a line with a point of `head` pixels at its end."""
    layer.line([*start, *end], fill=color, width=width)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    wings = [(end[0] - head * math.cos(angle + turn), end[1] - head * math.sin(angle + turn)) for turn in (-0.4, 0.4)]
    layer.polygon([end, *wings], fill=color)
