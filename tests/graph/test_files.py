"""Files of graphs: what comes back equals what was written, whatever the texts and numbers."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch

import scenekit as sk
from scenekit.keys import CAPTIONS
from scenekit.structures import Captions
from tests.graph.images import scene
from tests.structures import worlds

SUFFIXES = (".graphml", ".json")
HOSTILE = (
    "",
    " ",
    "  two  spaces ",
    "\t\n",
    "a\r\nb\rc",
    "\x00\x01\x1f",
    "\x7f\x85\u2028",
    "\ud800 alone",
    "\ufffe\uffff",
    "👩‍🦽 東京 עברית",
    "<a href='x'>&amp;]]></a>",
    "null",
    "NaN",
    '{"$number": "nan"}',
    "x" * 10_000,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value and type; NaN equals NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def assert_same(one: nx.MultiDiGraph, other: nx.MultiDiGraph) -> None:
    assert type(one) is type(other)
    assert set(one.graph) == set(other.graph) and all(same(one.graph[n], other.graph[n]) for n in one.graph)
    for first, second in zip(parts(one), parts(other), strict=True):
        assert first[0] == second[0]
        assert set(first[1]) == set(second[1]), first[0]
        for name, value in first[1].items():
            assert same(value, second[1][name]), (first[0], name, value, second[1][name])


def parts(graph: nx.MultiDiGraph) -> list[tuple[Any, dict[str, Any]]]:
    edges = [((s, o, key), entry) for s, o, key, entry in graph.edges(keys=True, data=True)]
    return [*graph.nodes(data=True), *edges]


def round_trip(graph: nx.MultiDiGraph, path: Path) -> nx.MultiDiGraph:
    sk.save_graph(graph, path)
    return sk.load_graph(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_everything_a_scene_has(suffix: str, count: int, tmp_path: Path) -> None:
    graph = worlds.scene(count).graph()
    assert_same(graph, round_trip(graph, tmp_path / f"graph{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ground_truth(suffix: str, tmp_path: Path) -> None:
    graph = sk.dataset("synthetic", split="test", cache=False)[0].scene.graph()
    again = round_trip(graph, tmp_path / f"graph{suffix}")
    assert_same(graph, again)
    question = f"{graph.nodes[0]['label']} * *"
    assert sk.find(again, question) == sk.find(graph, question)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts(suffix: str, text: str, tmp_path: Path) -> None:
    made = scene(("mug", "table"), [(0, "on", 1)])
    values = {**made.values, CAPTIONS: Captions(((text, "second"), ()))}
    graph = type(made)(made.size, made.vocabulary, made.streams, values, path=text).graph()
    graph.nodes[0]["note"] = text
    graph.edges[0, 1, 0]["note"] = [text, {"inner": text}]
    assert_same(graph, round_trip(graph, tmp_path / f"graph{suffix}"))


VALUES = (
    None, True, False, 0, -3, 2**70, 0.1, -0.0, 1e-320, math.inf, -math.inf, math.nan, [], [[]], {},
    [None, 1, "x", math.nan],
    {"a": {"b": [1.5]}}, {"$number": "nan"}, {"$": 1, "$$number": 2}, [{"$number": "1"}],
)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_types_of_values(suffix: str, tmp_path: Path) -> None:
    graph = nx.MultiDiGraph()
    for number, value in enumerate(VALUES):
        graph.add_node(number, value=value)
        graph.add_edge(0, number, number, value=value)
        graph.graph[f"fact {number}"] = value
    graph.nodes[0].update({"value:json": 1, ":json": "x", "d0": 2})
    assert_same(graph, round_trip(graph, tmp_path / f"graph{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_random_texts(suffix: str, tmp_path: Path) -> None:
    generator = random.Random(0)
    graph = nx.MultiDiGraph()
    for node in range(300):
        graph.add_node(
            node,
            text="".join(
                chr(generator.choice((generator.randrange(160), generator.randrange(0x110000)))) for _ in range(6)
            ),
        )
    assert_same(graph, round_trip(graph, tmp_path / f"graph{suffix}"))


def test_networkx_reads_the_files_by_itself(tmp_path: Path) -> None:
    graph = scene(("mug", "table"), [(0, "on", 1), (0, "near", 1)], scores=[0.5, 0.25]).graph()
    sk.save_graph(graph, tmp_path / "g.graphml")
    sk.save_graph(graph, tmp_path / "g.json")
    plain = nx.read_graphml(tmp_path / "g.graphml", node_type=int)
    assert plain.nodes[0]["label"] == "mug" and plain.nodes[0]["score"] == 0.5
    assert json.loads(plain.nodes[0]["box:json"]) == graph.nodes[0]["box"]
    assert [edge["predicate"] for *_, edge in plain.edges(data=True)] == ["on", "near"]
    linked = nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges")
    assert list(linked.edges(keys=True, data=True)) == list(graph.edges(keys=True, data=True))
    assert dict(linked.nodes) == dict(graph.nodes)


def test_refusals(tmp_path: Path) -> None:
    graph = scene(("mug",)).graph()
    for name in ("graph", "graph.txt", "graph.xml"):
        with pytest.raises(sk.InputError, match=r"\.graphml or \.json"):
            sk.save_graph(graph, tmp_path / name)
        with pytest.raises(sk.InputError, match=r"\.graphml or \.json"):
            sk.load_graph(tmp_path / name)
    with pytest.raises(sk.InputError, match="convert_node_labels_to_integers"):
        sk.save_graph(nx.MultiDiGraph([("a", "b")]), tmp_path / "g.json")
    with pytest.raises(sk.InputError, match="cannot write"):
        sk.save_graph(graph, tmp_path / "none" / "g.json")
    with pytest.raises(sk.InputError, match="cannot read"):
        sk.load_graph(tmp_path / "none.json")
    for name, value, said in (
        ("t", torch.ones(2), "tolist"),
        ("t", {3: 4}, "expected strings as keys"),
        ("id", 1, "node-link"),
    ):
        graph.nodes[0].clear()
        graph.nodes[0][name] = value
        with pytest.raises(sk.InputError, match=said):
            sk.save_graph(graph, tmp_path / "g.json")
    for name in ("", "a\x00b", "a\nb"):
        graph.nodes[0].clear()
        graph.nodes[0][name] = 1
        with pytest.raises(sk.InputError, match="cannot name an attribute"):
            sk.save_graph(graph, tmp_path / "g.graphml")
    assert list(tmp_path.iterdir()) == []


BROKEN = (
    b"", b"{", b"[]", b"null", b'{"graph": {}}', b"\xff\xfe", b"<graphml/>", b"<html><body/></html>",
    b'{"graph": {}, "nodes": [{}], "edges": []}', b'{"graph": {}, "nodes": [], "edges": []}',
    b'{"graph": {}, "nodes": [{"id": [1]}], "edges": []}',
)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_graph(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"g{suffix}"
    path.write_bytes(content)
    with pytest.raises(sk.InputError, match=f"g{suffix}"):
        sk.load_graph(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"g{suffix}"
    sk.save_graph(worlds.scene(2).graph(), path)
    whole = path.read_bytes()
    for part in range(1, 12):
        path.write_bytes(whole[: len(whole) * part // 12])
        with pytest.raises(sk.InputError):
            sk.load_graph(path)
    version = whole.replace(b'"scenekit_graph": 1', b'"scenekit_graph": 2')
    if version != whole:
        path.write_bytes(version)
        with pytest.raises(sk.InputError, match="graph format 1, got 2"):
            sk.load_graph(path)


def test_dictionaries_of_numbers_are_numbers_in_graphml(tmp_path: Path) -> None:
    graph = scene(("mug", "table")).graph()
    box = {"x": 0.5, "yaw": -1.0, "count": 3}
    graph.nodes[0].update({"boxes3d": box, "acme/flat": 2, "mixed": {"a": 1, "b": "text"}, "deep": {"a/b": 1}})
    graph.nodes[1].update({"boxes3d": {**box, "yaw": math.nan}})
    again = round_trip(graph, tmp_path / "g.graphml")
    assert_same(graph, again)
    plain = nx.read_graphml(tmp_path / "g.graphml", node_type=int)
    assert {name: plain.nodes[0][f"boxes3d/{name}"] for name in box} == box
    assert "boxes3d:json" in plain.nodes[1]
