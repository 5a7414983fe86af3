"""The image of a scene graph: what stands where, by numbers."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.visualization import graph_note, graph_svg
from scenekit.visualization.graph.drawing import MOST_NODES, MOST_PAIRS, chosen, layout_of, links, view_box
from scenekit.visualization.graph.layout import RADIUS, Arrow, Layout, Link, arrange
from scenekit.visualization.palette import object_color, to_hex
from scenekit.visualization.text_labels import overlap

SVG = "{http://www.w3.org/2000/svg}"


def crowd(count: int, relations: int, seed: int = 0) -> nx.MultiDiGraph:
    """So many objects and relations, anywhere in an image."""
    generator = torch.Generator().manual_seed(seed)
    names = ("person", "dining table", "a rather long name of a thing")
    vocabulary = sk.Vocabulary(names, predicates=("on", "left of", "standing in front of"))
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([300.0, 200.0])
    boxes = torch.cat((corner, corner + 5 + torch.rand(count, 2, generator=generator) * 30), dim=1)
    objects = sk.Objects(boxes, torch.randint(3, (count,), generator=generator), torch.rand(count, generator=generator))
    ends = torch.randint(max(count, 1), (2, relations if count else 0), generator=generator)
    predicate = torch.randint(3, (ends.shape[1],), generator=generator)
    score = torch.rand(ends.shape[1], generator=generator)
    values = {sk.RELATIONS: sk.Relations(*ends, predicate, score)}
    return sk.Scene((240, 340), vocabulary, {sk.OBJECTS: objects}, values).graph()


def laid_out(graph: nx.MultiDiGraph) -> Layout:
    return layout_of(graph, chosen(graph))


def inside(layout: Layout, rect: tuple[float, float, float, float]) -> bool:
    return rect[0] >= 0 and rect[1] >= 0 and rect[2] <= layout.size[0] and rect[3] <= layout.size[1]


@pytest.mark.parametrize(("count", "relations"), [(3, 24), (10, 40), (30, 240)])
def test_nothing_lies_on_an_object(count: int, relations: int) -> None:
    layout = laid_out(crowd(count, relations))
    assert len(layout.spots) == count
    for one, other in itertools.combinations(layout.spots, 2):
        assert np.hypot(*np.subtract(one.center, other.center)) > 2 * RADIUS + 4
        for rect, another in itertools.product((one.disc, one.plate), (other.disc, other.plate)):
            assert overlap(rect, another) == 0
    for arrow, spot in itertools.product(layout.arrows, layout.spots):
        assert overlap(arrow.plate, spot.disc) == 0 and overlap(arrow.plate, spot.plate) == 0
    assert all(inside(layout, rect) for spot in layout.spots for rect in (spot.disc, spot.plate))
    assert all(inside(layout, arrow.plate) for arrow in layout.arrows)


def test_no_arc_is_cut_off() -> None:
    outward = Layout(
        (100.0, 80.0), (), (Arrow(Link(0, 1, "on"), np.array([(50.0, 5.0), (104.2, 40.0)]), (0.0, 0.0, 0.0, 0.0)),)
    )
    assert view_box(outward) == "0 0 108 80"
    assert view_box(Layout((100.0, 80.0), (), ())) == "0 0 100 80"


def test_arrows_join_their_objects() -> None:
    layout = laid_out(crowd(8, 12))
    for arrow in layout.arrows:
        for point, number in ((arrow.way[0], arrow.link.start), (arrow.way[-1], arrow.link.end)):
            distance = np.hypot(*(point - layout.spots[number].center))
            assert RADIUS < distance < RADIUS + 8, "from border to border"


def test_objects_keep_their_order() -> None:
    centers = np.array([[0.1, 0.9], [0.5, 0.1], [0.9, 0.5]])
    spots = arrange(centers, ["a", "b", "c"], []).spots
    x, y = np.array([spot.center for spot in spots]).T
    assert x[0] < x[1] < x[2] and y[1] < y[2] < y[0]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_objects_at_the_same_place_come_apart(count: int) -> None:
    spots = arrange(np.full((count, 2), 0.5), ["thing"] * count, []).spots
    assert all(overlap(a.plate, b.disc) == overlap(a.disc, b.disc) == 0 for a, b in itertools.combinations(spots, 2))


def test_equal_graphs_give_equal_images() -> None:
    assert graph_svg(crowd(9, 20)) == graph_svg(crowd(9, 20))


def test_predicates_of_a_pair_share_an_arrow() -> None:
    graph = crowd(3, 0)
    for subject, target, name in (
        (0, 1, "on"),
        (0, 1, "left of"),
        (0, 1, "on"),
        (1, 2, "on"),
        (2, 1, "on"),
        (2, 2, "on"),
    ):
        graph.add_edge(subject, target, predicate=name)
    assert set(links(chosen(graph))) == {Link(0, 1, "on, left of"), Link(1, 2, "on", mutual=True), Link(2, 2, "on")}
    assert graph_note(graph) == "3 objects, 6 relations"
    assert len(list(ElementTree.fromstring(graph_svg(graph)).iter(f"{SVG}polygon"))) == 4, "one head has two ends"


def test_the_surest_are_drawn() -> None:
    graph = crowd(60, 900)
    drawn = chosen(graph)
    assert len(drawn.rows) == MOST_NODES and len(drawn.pairs) == MOST_PAIRS
    scores = [graph.nodes[row]["score"] for row in graph]
    assert {scores[row] for row in drawn.rows} == set(sorted(scores)[-MOST_NODES:])
    note = graph_note(graph)
    assert note.startswith("the 40 surest of 60 objects, the ") and note.endswith(" surest of 900 relations")


def test_of_equally_sure_relations_no_object_takes_all() -> None:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from((row, {"label": "thing", "box": [row, 0, row + 1, 1]}) for row in range(6))
    graph.add_edges_from((0, row % 5 + 1, row, {"predicate": f"p{row}"}) for row in range(50))
    graph.add_edges_from((row, 0, 100 + row, {"predicate": "on"}) for row in range(1, 6))
    assert {start for start, _ in chosen(graph).pairs} == set(range(6))


def test_the_svg_names_and_colors_objects_as_elsewhere() -> None:
    graph = crowd(5, 6)
    root = ElementTree.fromstring(graph_svg(graph))
    circles = [circle.get("fill") for circle in root.iter(f"{SVG}circle")]
    labels = [graph.graph["vocabulary"]["things"].index(node["label"]) for node in graph.nodes.values()]
    assert circles == [to_hex(object_color(label, row)) for row, label in enumerate(labels)]
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"0", "1", "2", "3", "4"} <= set(texts) and any(text.endswith("…") for text in texts)


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "a & b\x00\x1f", "👩‍🦽 東京", "\ud800", "x" * 5000, ""])
def test_strange_names(evil: str) -> None:
    graph = crowd(2, 0)
    graph.nodes[0]["label"] = evil
    graph.add_edge(0, 1, predicate=evil, score=float("nan"))
    svg = graph_svg(graph)
    assert "<script>" not in svg and len(svg) < 8000
    ElementTree.fromstring(svg)
    svg.encode()


def test_few_objects_and_boxes_that_are_none() -> None:
    for count in (0, 1):
        ElementTree.fromstring(graph_svg(crowd(count, 0)))
    assert graph_note(crowd(0, 0)) == "0 objects, 0 relations" and graph_note(crowd(1, 1)) == "1 object, 1 relation"
    graph = crowd(2, 1)
    graph.nodes[0]["box"] = [None, 0.0, float("nan"), float("inf")]
    assert "nan" not in graph_svg(graph)


def test_colors_are_those_of_the_page() -> None:
    style = graph_svg(crowd(2, 1))
    assert re.search(r"--g: var\(--card, .*Canvas\)", style) and "--i: var(--ink" in style
