"""Answers to questions about a scene graph, by networkx."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import networkx as nx

from scenekit.errors import InputError
from scenekit.graph.build import LABEL, PREDICATE, SCORE, Graph
from scenekit.graph.query_grammar import ANY, Names, parse
from scenekit.keys import ATTRIBUTES

MOST_EXAMINED = 200_000
"""Matches that are ranked before a question is refused as too wide."""

Edge = tuple[int, int, int]
"""Subject, object and key of an edge of the graph."""


@dataclass(frozen=True)
class Match:
    """One answer: the object (its row) that each node of the pattern stands for, and the edges that hold them together.

    `edges` has the edge of the graph, (subject, object, key), of each edge of the pattern in its order. `score` is the
    product of the scores of these edges, which are those of whole triplets, of the attributes that were asked for, and
    of the objects that no edge of the pattern touches; what has none counts as certain.
    """

    nodes: Mapping[Hashable, int]
    edges: tuple[Edge, ...]
    score: float


def find(graph: nx.DiGraph, query: str | nx.DiGraph, *, limit: int = 100, threshold: float = 0.0) -> list[Match]:
    """At most `limit` matches of `query` in a scene's graph, the best first; equal ones by the rows of their objects.

    `query` is a question in words or a pattern. A **question** is one or more of `subject predicate object`, or a thing
    alone, with "and", "," or ";" between them:

    * a thing is a label with attributes before it, `red mug`; `*` is any label, `red *` any red thing
    * a predicate is one of the vocabulary, of one or more words, as `left of`; `*` is any
    * the longest name that fits is taken; `a`, `an`, `the` and capital letters make no difference
    * the same words mean the same object: `person near chair and chair on rug` is about one chair. The two of one
      triplet are different, though: the second person of `person near person` is called `person#2`. A number after `#`
      tells apart what is called alike, so `person#1 near person#1` asks for a person that is near itself

    A **pattern** is a networkx directed graph whose nodes may have a `label` and `attributes` (a list of names), and
    whose edges may have a `predicate`; what they lack may be anything.

    A match is a subgraph monomorphism: different nodes of the pattern are different objects, each edge of the pattern
    is there, and there may be others. Objects and relations that score below `threshold` are passed over.

    Raises InputError for names that neither the graph nor its vocabulary has, with the nearest that they have, for a
    question that cannot be read, and where more than MOST_EXAMINED subgraphs match.
    """
    if limit < 0:
        raise InputError(f"limit must be how many matches to give, 0 or more; got {limit}")
    if not isinstance(graph, nx.MultiDiGraph):
        raise InputError(f"the graph of a scene expected, as Scene.graph gives it; got {type(graph).__name__}")
    names = Names.of(graph)
    pattern = parse(query, names) if isinstance(query, str) else checked(query, names)
    matches = islice(iterate(graph, pattern, threshold), MOST_EXAMINED + 1)
    return heapq.nlargest(limit, counted(matches), key=lambda m: (m.score, [-row for row in m.nodes.values()]))


def checked(pattern: nx.DiGraph, names: Names) -> Graph:
    """The pattern, with parallel edges allowed; InputError where it can never match."""
    if not isinstance(pattern, nx.DiGraph) or not pattern:
        expected = "a question in words or a networkx directed graph with at least one node"
        raise InputError(f"{expected} expected, got {type(pattern).__name__} {pattern}")
    for node in pattern.nodes.values():
        if node.get(LABEL) not in (None, ANY):
            names.check("label", node[LABEL])
        for name in attributes_of(node):
            names.check("attribute", name)
    for *_, relation in pattern.edges(data=True):
        if relation.get(PREDICATE) not in (None, ANY):
            names.check("predicate", relation[PREDICATE])
    return nx.MultiDiGraph(pattern)


def counted(matches: Iterable[Match]) -> Iterator[Match]:
    """The matches; an error when there are too many of them to rank."""
    for number, match in enumerate(matches):
        if number == MOST_EXAMINED:
            raise InputError(
                f"more than {MOST_EXAMINED:,} subgraphs match; name labels or predicates instead of {ANY!r},"
                " or give a threshold"
            )
        yield match


def iterate(graph: Graph, pattern: Graph, threshold: float) -> Iterator[Match]:
    """All matches, in no order.

    Both graphs are searched with one edge for all relations of a pair: with the edges themselves, networkx would ask
    for as many between two objects as the pattern has, so that one relation could not answer for two edges of it.
    """
    scene, wanted = merged(graph, threshold), merged(pattern, -math.inf)
    useless = [
        row for row, node in scene.nodes.items() if not any(fits(node, asked) for asked in wanted.nodes.values())
    ]
    scene.remove_nodes_from(useless)
    matcher = nx.isomorphism.DiGraphMatcher(scene, wanted, fits, related)
    for rows in matcher.subgraph_monomorphisms_iter():
        yield match_of(pattern, scene, {node: row for row, node in rows.items()})


def merged(graph: Graph, threshold: float) -> nx.DiGraph:
    """One edge for each pair that is related; `best` has its surest relation by predicate, and under None of all."""
    simple = nx.DiGraph()
    simple.add_nodes_from((row, node) for row, node in graph.nodes.items() if score_of(node) >= threshold)
    for subject, target, key, relation in graph.edges(keys=True, data=True):
        if subject not in simple or target not in simple or score_of(relation) < threshold:
            continue
        if not simple.has_edge(subject, target):
            simple.add_edge(subject, target, best={})
        best = simple.edges[subject, target]["best"]
        for predicate in (predicate_of(relation), None):
            if predicate not in best or best[predicate][1] < score_of(relation):
                best[predicate] = (subject, target, key), score_of(relation)
    return simple


def fits(node: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether an object is what a node of the pattern says."""
    has = node.get(ATTRIBUTES.name, {})
    return asked.get(LABEL) in (None, ANY, node.get(LABEL)) and all(name in has for name in attributes_of(asked))


def related(pair: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether two objects are related in all ways that the pattern says."""
    return all(predicate in pair["best"] for predicate in asked["best"])


def match_of(pattern: Graph, scene: nx.DiGraph, rows: Mapping[Hashable, int]) -> Match:
    """The match whose objects are found; `scene` is merged."""
    edges, score = [], 1.0
    for node, asked in pattern.nodes.items():
        found = scene.nodes[rows[node]]
        score *= math.prod(found[ATTRIBUTES.name][name] for name in attributes_of(asked))
        score *= 1.0 if pattern.degree(node) else score_of(found)
    for subject, target, relation in pattern.edges(data=True):
        edge, certainty = scene.edges[rows[subject], rows[target]]["best"][predicate_of(relation)]
        edges.append(edge)
        score *= certainty
    return Match({node: rows[node] for node in pattern}, tuple(edges), score)


def score_of(entry: Mapping[str, Any]) -> float:
    """How sure an object or a relation is: ground truth is, NaN is not at all."""
    score = entry.get(SCORE)
    return 1.0 if score is None else 0.0 if math.isnan(score) else float(score)


def predicate_of(relation: Mapping[str, Any]) -> str | None:
    """The predicate; None for any."""
    predicate: str | None = relation.get(PREDICATE)
    return None if predicate == ANY else predicate


def attributes_of(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a node of a pattern asks for; a single one may stand by itself."""
    names = asked.get(ATTRIBUTES.name, ())
    return (names,) if isinstance(names, str) else tuple(names)
