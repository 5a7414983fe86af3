"""The image of a scene graph, as SVG that takes the colors of the page around it, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from scenekit.graph.build import BOX, IDENTITY, LABEL, PREDICATE, SCORE, VOCABULARY, Graph
from scenekit.graph.export import NOT_IN_XML
from scenekit.visualization.graph.layout import EDGE_TEXT, NODE_TEXT, RADIUS, Arrow, Layout, Link, Spot, arrange
from scenekit.visualization.palette import BLACK, Color, ink_on, object_color, to_hex
from scenekit.visualization.text_labels import Rect

MOST_NODES, MOST_PAIRS, MOST_PAIRS_EACH = 40, 36, 2
"""More objects, and more related pairs (in all, and for each object), are not drawn: they would be illegible."""

RIM = 3
"""Units beside the outermost line, which has a width."""

LONGEST = 24
"""Characters of a name, and of the predicates at one arrow, that are written out."""

STYLE = """
.scene-graph { width: 100%; height: auto; font-family: system-ui, sans-serif; text-anchor: middle;
  --g: var(--card, var(--color-background-primary, Canvas));
  --i: var(--ink, var(--color-foreground-primary, CanvasText)); }
.scene-graph text { fill: var(--i); stroke: var(--g); stroke-width: 5; stroke-linejoin: round; paint-order: stroke; }
.scene-graph circle + text { stroke: none; font-weight: 600; }
.scene-graph g { stroke-width: 1.6; }
"""
"""Colors are those of the report, else of the documentation, else of the browser: dark on light or light on dark.

Texts have a rim in the color of the ground, so that lines below do not disturb them.
"""


@dataclass(frozen=True)
class Drawn:
    """The part of a graph that is drawn."""

    rows: Sequence[int]
    """Rows of objects."""
    pairs: Mapping[tuple[int, int], Sequence[str]]
    """Predicates of each pair (places in `rows`)."""
    relations: int
    """How many relations these are."""


def graph_svg(graph: Graph) -> str:
    """Draw a scene's graph as `<svg>`, to stand in a page of HTML or alone.

    Objects are discs in the color that they have in other drawings, numbered by their rows, about where they are in the
    image; an arrow from subject to object has all predicates of the two. Of many objects and pairs those with the best
    scores are drawn; `graph_note` states how many.

    Args:
        graph: The graph of a scene.

    Returns:
        The SVG element.
    """
    drawn = chosen(graph)
    layout = layout_of(graph, drawn)
    colors = [color_of(graph, row) for row in drawn.rows]
    lines = "".join(line(arrow, colors[arrow.link.start]) for arrow in layout.arrows)
    texts = "".join(text_element(arrow.plate, EDGE_TEXT, arrow.link.text) for arrow in layout.arrows)
    discs = "".join(map(disc, layout.spots, drawn.rows, colors))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="scene-graph" role="img" viewBox="{view_box(layout)}">'
        f"<title>{escape(graph_note(graph))}</title><style>{STYLE}</style>{lines}{texts}{discs}</svg>"
    )


def view_box(layout: Layout) -> str:
    """Return left, top, width and height of the drawing: an arc may leave the room of the objects."""
    ways = np.concatenate([np.array([(0, 0), layout.size]), *(arrow.way for arrow in layout.arrows)])
    x0, y0 = np.floor(np.where((low := ways.min(axis=0)) < 0, low - RIM, low))
    x1, y1 = np.ceil(np.where((high := ways.max(axis=0)) > layout.size, high + RIM, high))
    return f"{x0:.0f} {y0:.0f} {x1 - x0:.0f} {y1 - y0:.0f}"


def graph_note(graph: Graph) -> str:
    """Return a line on what the drawing shows, such as `12 objects, the 45 surest of 318 relations`.

    Args:
        graph: The graph of a scene.

    Returns:
        The line.
    """
    drawn, count = chosen(graph), graph.number_of_edges()
    objects = counted(len(drawn.rows), len(graph), "object")
    return f"{objects}, {counted(drawn.relations, count, 'relation')}"


def counted(shown: int, total: int, what: str) -> str:
    """Return `3 objects` or `the 40 surest of 52 objects`."""
    if shown == total:
        return f"{total} {what}{'' if total == 1 else 's'}"
    return f"the {shown} surest of {total} {what}s"


def layout_of(graph: Graph, drawn: Drawn) -> Layout:
    """Lay out the objects and arrows."""
    size = np.array([graph.graph.get("width", 1), graph.graph.get("height", 1)], dtype=float)
    boxes = np.array([graph.nodes[row].get(BOX, (0, 0, 0, 0)) for row in drawn.rows], dtype=float).reshape(-1, 4)
    centers: Float[np.ndarray, "N 2"] = np.nan_to_num((boxes[:, :2] + boxes[:, 2:]) / 2 / size, nan=0.5).clip(0, 1)
    names = [shortened(str(graph.nodes[row].get(LABEL, row))) for row in drawn.rows]
    return arrange(centers, names, list(links(drawn)))


def links(drawn: Drawn) -> Iterator[Link]:
    """Yield an arrow for each pair; one with two heads where both directions have the same predicates."""
    for (start, end), predicates in drawn.pairs.items():
        mutual = start != end and set(drawn.pairs.get((end, start), ())) == set(predicates)
        if not mutual or start < end:
            yield Link(start, end, shortened(", ".join(predicates)), mutual)


def chosen(graph: Graph) -> Drawn:
    """Return the objects and pairs with the best scores."""
    rows = sorted(sorted(graph, key=lambda row: -certainty(graph.nodes[row]))[:MOST_NODES])
    place = {row: number for number, row in enumerate(rows)}
    most = min(MOST_PAIRS, max(MOST_PAIRS_EACH * len(rows), MOST_PAIRS // 3))
    pairs: dict[tuple[int, int], list[str]] = {}
    relations = 0
    for subject, target, _, relation in by_certainty(graph):
        if subject not in place or target not in place:
            continue
        pair = place[subject], place[target]
        if pair in pairs or len(pairs) < most:
            names = pairs.setdefault(pair, [])
            relations += 1
            if relation[PREDICATE] not in names:
                names.append(relation[PREDICATE])
    return Drawn(rows, pairs, relations)


def by_certainty(graph: Graph) -> list[tuple[int, int, int, dict[str, Any]]]:
    """Return the edges by descending score; of equal ones those first that few others of their subject precede."""
    edges = sorted(graph.edges(keys=True, data=True), key=lambda edge: -certainty(edge[3]))
    before: dict[int, int] = {}
    ranked = []
    for edge in edges:
        before[edge[0]] = before.get(edge[0], 0) + 1
        ranked.append((-certainty(edge[3]), before[edge[0]], edge))
    return [edge for *_, edge in sorted(ranked, key=lambda entry: entry[:2])]


def certainty(entry: Mapping[str, Any]) -> float:
    """Return the score of an object or relation; 1 without a score."""
    score = entry.get(SCORE)
    return 1.0 if score is None else 0.0 if math.isnan(score) else float(score)


def color_of(graph: Graph, row: int) -> Color:
    """Return the color of the object in other drawings."""
    node, things = graph.nodes[row], graph.graph.get(VOCABULARY, {}).get("things", [])
    label = things.index(node[LABEL]) if node.get(LABEL) in things else 0
    return object_color(label, int(node.get(IDENTITY, row)))


def shortened(text: str) -> str:
    """Return at most LONGEST characters, none of them forbidden in XML."""
    text = NOT_IN_XML.sub("�", " ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"


def disc(spot: Spot, row: int, color: Color) -> str:
    """Return the SVG of an object: its number on its color, its name below."""
    (x, y), ink, size = spot.center, to_hex(ink_on(color)), NODE_TEXT
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:.0f}" fill="{to_hex(color)}" stroke="{to_hex(BLACK)}"/>'
        f'<text x="{x:.1f}" y="{y + 0.36 * size:.1f}" font-size="{size}" style="fill:{ink}">{row}</text>'
        f"{text_element(spot.plate, size, spot.text)}"
    )


def line(arrow: Arrow, color: Color) -> str:
    """Return the SVG of an arrow, in a stronger color of its subject."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in arrow.way)
    ways = [arrow.way, arrow.way[::-1]] if arrow.link.mutual else [arrow.way]
    paint = f"color-mix(in oklab, {to_hex(color)} 65%, var(--i))"
    heads = "".join(f'<polygon points="{head(way)}"/>' for way in ways)
    return f'<g style="stroke:{paint};fill:{paint}"><polyline points="{points}" style="fill:none"/>{heads}</g>'


def head(way: Float[np.ndarray, "P 2"]) -> str:
    """Return the corners of an arrow's head."""
    x, y = way[-1]
    angle = math.atan2(y - way[-3][1], x - way[-3][0])
    corners = [(x, y), *((x - 9 * math.cos(angle + turn), y - 9 * math.sin(angle + turn)) for turn in (-0.4, 0.4))]
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)


def text_element(plate: Rect, height: int, text: str) -> str:
    """Return the SVG of a text on its plate."""
    x0, _, x1, y1 = plate
    return f'<text x="{(x0 + x1) / 2:.1f}" y="{y1 - 0.33 * height:.1f}" font-size="{height}">{escape(text)}</text>'
