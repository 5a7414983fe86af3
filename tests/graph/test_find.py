"""Questions against all assignments tried one by one, and against answers known by hand."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import networkx as nx
import pytest

import scenekit as sk
from scenekit.errors import InputError
from scenekit.graph import query
from scenekit.graph.query_grammar import Names, parse
from tests.graph.images import VOCABULARY, scene

RANCH = scene(
    ("person", "horse", "person", "mug", "table", "dining table"),
    [
        (0, "riding", 1), (2, "near", 1), (2, "left of", 0), (0, "near", 2), (3, "on", 4), (3, "on top of", 5),
        (2, "near", 2), (4, "left of", 5),
    ],
    [(), ("small",), ("red",), ("dark red", "small"), (), ("orange",)],
).graph()  # fmt: skip


def rows(question: str) -> list[tuple[int, ...]]:
    return [tuple(match.nodes.values()) for match in sk.find(RANCH, question)]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("person riding horse", [(0, 1)]),
        ("a Person RIDING the horse", [(0, 1)]),
        ("* left of *", [(2, 0), (4, 5)]),
        ("person left of person", [(2, 0)]),
        ("person * horse", [(0, 1), (2, 1)]),
        ("mug on table", [(3, 4)]),
        ("mug on dining table", []),
        ("mug on top of dining table", [(3, 5)]),
        ("mug * *", [(3, 4), (3, 5)]),
        ("dark red small mug on table", [(3, 4)]),
        ("red mug on table", []),
        ("red * near *", [(2, 1)]),
        ("* on top of orange dining table", [(3, 5)]),
        ("small *", [(1,), (3,)]),
        ("orange", []),
        ("orange *", [(5,)]),
        ("person near horse and person left of person#2", [(2, 1, 0)]),
        ("person near horse; person#2 riding horse", [(2, 1, 0)]),
        ("person near horse, and mug on table", [(2, 1, 3, 4)]),
        ("mug on table and table left of dining table", [(3, 4, 5)]),
        ("mug on table, mug on top of dining table", [(3, 4, 5)]),
        ("person left of * and person near *", []),
        ("person#1 near person#1", [(2,)]),
        ("person near person", [(0, 2)]),
        ("salt and pepper near mug", []),
        ("* * * and * * *", [(0, 1), (0, 2), (2, 0), (2, 1), (3, 4), (3, 5), (4, 5)]),
    ],
)
def test_questions(question: str, expected: list[tuple[int, ...]]) -> None:
    assert rows(question) == expected


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("persn riding horse", "this graph has no label or attribute 'persn'; did you mean 'person'"),
        ("person rides horse", "this graph has no predicate 'rides'; did you mean 'riding'"),
        ("mug on top off table", "this graph has no label or attribute 'top'"),
        ("mug onto top of table", "this graph has no predicate 'onto top of'; did you mean 'on top of'"),
        ("redd mug", "did you mean 'red'"),
        ("person riding", "it ends where a label or attribute must follow"),
        ("person riding horse horse", "expected 'and' or the end, got 'horse'"),
        ("person and", "ends where"),
        ("", "1 to 100 words"),
        ("mug " * 101, "got 101"),
        ("👻 riding horse", "this graph has no label or attribute '👻'"),
        ("left of person", "got the predicate 'left of'"),
        ("person \x00 horse", "no predicate"),
    ],
)
def test_what_cannot_be_read_is_told(question: str, said: str) -> None:
    with pytest.raises(sk.InputError) as caught:
        sk.find(RANCH, question)
    assert said in str(caught.value)


def test_names_that_look_like_others() -> None:
    """Labels and attributes may be called alike, predicates may begin with each other, `and` may be part of a name."""
    graph = scene(
        ("salt and pepper", "orange", "mug"), [(0, "left", 1), (0, "left of", 1), (1, "near", 2)], [(), ("orange",), ()]
    ).graph()
    for question in (
        "salt and pepper left orange",
        "salt and pepper left of orange",
        "orange orange near mug and salt and pepper * orange orange",
    ):
        assert len(sk.find(graph, question)) == 1, question


def test_joints_that_are_predicates_too() -> None:
    names = Names(("man", "dog"), ("red",), ("and", "near"))
    assert list(parse("man and dog", names).edges.data("predicate")) == [("man", "dog", "and")]
    assert set(parse("man near dog and red dog", names).nodes) == {"man", "dog", "red dog"}
    with pytest.raises(InputError, match="no predicate 'xyz'"):  # at once, though there are 10^10 ways to get there
        parse(" and ".join(["man"] * 50) + " xyz", names)


def test_names_that_repeat_each_other() -> None:
    """The first of all readings counts, and that no other one goes on is said at once, though they are 10^18."""
    names = Names(("dog", "red dog"), ("red", "red red"), ("near", "near near"))
    (node,) = parse("the a red red red dog#2", names).nodes.values()
    assert node == {"label": "red dog", "attributes": ("red red",)}
    half = "red " * 48
    for question in (f"{half}{half}dog near xyz", "dog " + "near " * 97 + "xyz", f"{half}dog near {half}"):
        with pytest.raises(InputError, match="cannot parse"):
            parse(question, names)


def test_scores_and_order() -> None:
    graph = scene(
        ("mug", "table", "mug"),
        [(0, "on", 1), (2, "on", 1), (0, "on", 1)],
        [("red",)] * 3,
        [0.5, 0.8, 0.9],
        [0.2, 0.5, 0.6],
    ).graph()
    best, second = sk.find(graph, "mug on table")
    assert best.nodes == {"mug": 0, "table": 1}
    assert best.edges == ((0, 1, 2),), "of what is said twice, the surer counts"
    assert best.score == pytest.approx(0.6)
    assert second.edges == ((2, 1, 1),)
    assert second.score == pytest.approx(0.5)
    assert sk.find(graph, "mug on table", limit=1) == [best] and sk.find(graph, "mug on table", limit=0) == []
    assert sk.find(graph, "mug on table", threshold=0.55) == []
    graph.nodes[2]["attributes"]["red"] = 0.1
    assert [match.nodes["red mug"] for match in sk.find(graph, "red mug")] == [0, 2]
    with pytest.raises(sk.InputError, match="limit"):
        sk.find(graph, "mug", limit=-1)


def test_patterns() -> None:
    pattern = nx.MultiDiGraph()
    pattern.add_node("rider", label="person")
    pattern.add_node("other", label="person", attributes=["red"])
    pattern.add_edge("rider", "mount", predicate="riding")
    pattern.add_edge("other", "mount")
    pattern.add_edge("other", "rider", predicate="left of")
    (match,) = sk.find(RANCH, pattern)
    assert match.nodes == {"rider": 0, "other": 2, "mount": 1}
    assert set(match.edges) == {(0, 1, 0), (2, 1, 1), (2, 0, 2)} and match.score == 1
    pattern.add_edge("other", "mount", predicate="near")
    assert len(sk.find(RANCH, pattern)) == 1, "one relation may answer for two edges of the pattern"
    assert len(sk.find(RANCH, nx.DiGraph([(0, 1)]))) == 7


@pytest.mark.parametrize(
    ("node", "edge", "said"),
    [
        ({"label": "hors"}, {}, "did you mean 'horse'"),
        ({"attributes": ["rad"]}, {}, "did you mean 'red'"),
        ({"attributes": "rad"}, {}, "did you mean 'red'"),
        ({}, {"predicate": "ridin"}, "did you mean 'riding'"),
        ({"label": 3}, {}, "no label 3"),
    ],
)
def test_patterns_with_unknown_names(node: dict[str, Any], edge: dict[str, Any], said: str) -> None:
    pattern = nx.MultiDiGraph()
    pattern.add_node(0, **node)
    pattern.add_edge(0, 1, **edge)
    with pytest.raises(sk.InputError) as caught:
        sk.find(RANCH, pattern)
    assert said in str(caught.value)


def test_what_is_no_pattern_or_no_graph() -> None:
    with pytest.raises(sk.InputError, match="at least one node"):
        sk.find(RANCH, nx.MultiDiGraph())
    with pytest.raises(sk.InputError, match=r"Scene\.graph"):
        sk.find(nx.DiGraph(), "person")


def test_a_question_that_is_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MAX_MATCHES", 6)
    assert len(sk.find(RANCH, "*")) == 6
    with pytest.raises(sk.InputError, match="more than 6 subgraphs"):
        sk.find(RANCH, "* * *")


@pytest.mark.parametrize("trial", range(20))
def test_against_all_assignments(trial: int) -> None:
    generator = random.Random(trial)
    graph = random_graph(generator)
    pattern = random_pattern(generator)
    found = {frozenset(match.nodes.items()): match.score for match in sk.find(graph, pattern, limit=10_000)}
    expected = by_brute_force(graph, pattern)
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[match], expected[match], rel_tol=1e-9) for match in expected)
    scores = [match.score for match in sk.find(graph, pattern, limit=7)]
    assert scores == sorted(expected.values(), reverse=True)[:7] or scores == pytest.approx(
        sorted(expected.values(), reverse=True)[:7]
    )


def random_graph(generator: random.Random) -> nx.MultiDiGraph:
    count = generator.randint(0, 6)
    labels = generator.choices(VOCABULARY.things[:3], k=count)
    triplets = [
        (generator.randrange(count), generator.choice(VOCABULARY.predicates[:3]), generator.randrange(count))
        for _ in range(generator.randint(0, 25) if count else 0)
    ]
    attributes = [generator.sample(VOCABULARY.attributes[:2], generator.randint(0, 2)) for _ in range(count)]
    scores, certain = [generator.random() for _ in labels], [generator.random() for _ in triplets]
    return scene(labels, triplets, attributes, scores, certain).graph()


def random_pattern(generator: random.Random) -> nx.MultiDiGraph:
    pattern = nx.MultiDiGraph()
    for node in "abc"[: generator.randint(1, 3)]:
        label = {"label": generator.choice(VOCABULARY.things[:3])} if generator.random() < 0.5 else {}
        pattern.add_node(node, **label, attributes=generator.sample(VOCABULARY.attributes[:2], generator.randint(0, 1)))
    for _ in range(generator.randint(0, 3)):
        ends = generator.choices(list(pattern), k=2)
        predicate = {"predicate": generator.choice(VOCABULARY.predicates[:3])} if generator.random() < 0.6 else {}
        pattern.add_edge(*ends, **predicate)
    return pattern


def by_brute_force(graph: nx.MultiDiGraph, pattern: nx.MultiDiGraph) -> dict[frozenset[tuple[str, int]], float]:
    """Every choice of different objects for the nodes, with the product of its scores if all of the pattern holds."""
    found = {}
    for chosen in itertools.permutations(graph, len(pattern)):
        place = dict(zip(pattern, chosen, strict=True))
        score = 1.0
        for node, asked in pattern.nodes.items():
            entry = graph.nodes[place[node]]
            right = asked.get("label", entry["label"]) == entry["label"]
            right = right and set(asked["attributes"]) <= set(entry["attributes"])
            alone = node not in itertools.chain.from_iterable(pattern.edges())
            score *= (entry["score"] if alone else 1.0) if right else math.nan
        for subject, target, asked in pattern.edges(data=True):
            there = graph.get_edge_data(place[subject], place[target], default={}).values()
            fitting = [e["score"] for e in there if asked.get("predicate", e["predicate"]) == e["predicate"]]
            score *= max(fitting, default=math.nan)
        if not math.isnan(score):
            found[frozenset(place.items())] = score
    return found


def test_names_of_pairs_of_a_plugin_are_predicates() -> None:
    vocabulary = sk.Vocabulary(things=("cup",), lists={"tests.ways": ("west of",)})
    empty = sk.Scene((8, 8), vocabulary).graph()
    assert sk.find(empty, "cup west of cup") == []
    with pytest.raises(InputError, match="no predicate"):
        sk.find(empty, "cup north of cup")
