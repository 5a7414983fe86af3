"""Queries on a scene graph, answered by subgraph matching in networkx."""

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

MAX_MATCHES = 200_000
"""Number of matches that are ranked before a query is refused as too general."""

Edge = tuple[int, int, int]
"""Subject, object and key of an edge of the graph."""


@dataclass(frozen=True)
class Match:
    """One answer to a query."""

    nodes: Mapping[Hashable, int]
    """The object (its row) that matches each node of the pattern."""
    edges: tuple[Edge, ...]
    """The edge of the graph, (subject, object, key), that matches each edge of the pattern, in the pattern's order."""
    score: float
    """Product of the scores of these edges, which are those of whole triplets, of the attributes in the query, and of
    the objects that no edge of the pattern touches; what has no score counts as 1.
    """


def find(graph: nx.DiGraph, query: str | nx.DiGraph, *, limit: int = 100, threshold: float = 0.0) -> list[Match]:
    """Find the objects and relations of a scene's graph that match a query.

    A query is text or a pattern. A **text** is one or more of `subject predicate object`, or a thing alone, with "and",
    "," or ";" between them:

    * a thing is a label with attributes before it, `red mug`; `*` is any label, `red *` any red thing
    * a predicate is one of the vocabulary, of one or more words, as `left of`; `*` is any
    * the longest name that fits is taken; `a`, `an`, `the` and capital letters make no difference
    * the same words mean the same object: `person near chair and chair on rug` is about one chair. The two of one
      triplet are different, though: the second person of `person near person` is called `person#2`. A number after `#`
      distinguishes objects of the same name: `person#1 near person#1` queries a person that is near itself

    A **pattern** is a networkx directed graph whose nodes may have a `label` and `attributes` (a list of names), and
    whose edges may have a `predicate`; without them anything matches.

    A match is a subgraph monomorphism: different nodes of the pattern match different objects, each edge of the pattern
    matches one of the graph, and the graph may have others.

    ```python
    sk.find(scene.graph(), "person holding red mug")
    ```

    Args:
        graph: The graph that `Scene.graph` returns.
        query: Text or pattern.
        limit: Upper limit of the number of matches.
        threshold: Objects and relations with a lower score are skipped.

    Returns:
        Matches, the best first; equal ones by the rows of their objects.

    Raises:
        InputError: If the query names something that neither the graph nor its vocabulary has (the message has the
            nearest name), cannot be parsed, or matches more than MAX_MATCHES subgraphs.
    """
    if limit < 0:
        raise InputError(f"limit is the number of matches to return; expected 0 or more, got {limit}")
    if not isinstance(graph, nx.MultiDiGraph):
        raise InputError(f"expected a graph as Scene.graph returns it, got {type(graph).__name__}")
    names = Names.of(graph)
    pattern = parse(query, names) if isinstance(query, str) else checked(query, names)
    matches = islice(iterate(graph, pattern, threshold), MAX_MATCHES + 1)
    return heapq.nlargest(limit, counted(matches), key=lambda m: (m.score, [-row for row in m.nodes.values()]))


def checked(pattern: nx.DiGraph, names: Names) -> Graph:
    """Check a pattern.

    Args:
        pattern: The pattern.
        names: Names of the graph.

    Returns:
        The pattern, with parallel edges allowed.

    Raises:
        InputError: If it can never match.
    """
    if not isinstance(pattern, nx.DiGraph) or not pattern:
        expected = "a query as text or a networkx directed graph with at least one node"
        raise InputError(f"expected {expected}, got {type(pattern).__name__} {pattern}")
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
    """Count matches while they are yielded.

    Args:
        matches: The matches.

    Returns:
        The same matches.

    Raises:
        InputError: If there are too many of them to rank.
    """
    for number, match in enumerate(matches):
        if number == MAX_MATCHES:
            raise InputError(
                f"more than {MAX_MATCHES:,} subgraphs match; name labels or predicates instead of {ANY!r},"
                " or give a threshold"
            )
        yield match


def iterate(graph: Graph, pattern: Graph, threshold: float) -> Iterator[Match]:
    """Yield all matches, in no order.

    Both graphs are searched with one edge for all relations of a pair: with the edges themselves, networkx would
    require as many between two objects as the pattern has, so that one relation could not match two edges of it.

    Args:
        graph: The graph of the scene.
        pattern: The pattern.
        threshold: Objects and relations with a lower score are skipped.

    Returns:
        Matches.
    """
    scene, query = merged(graph, threshold), merged(pattern, -math.inf)
    conditions = query.nodes.values()
    unmatched = [row for row, node in scene.nodes.items() if not any(fits(node, one) for one in conditions)]
    scene.remove_nodes_from(unmatched)
    matcher = nx.isomorphism.DiGraphMatcher(scene, query, fits, related)
    for rows in matcher.subgraph_monomorphisms_iter():
        yield match_of(pattern, scene, {node: row for row, node in rows.items()})


def merged(graph: Graph, threshold: float) -> nx.DiGraph:
    """Merge all relations of a pair into one edge.

    Args:
        graph: The graph of the scene, or a pattern.
        threshold: Objects and relations with a lower score are skipped.

    Returns:
        The graph; `best` of an edge holds its relation with the greatest score by predicate, and under None that of
        all.
    """
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


def fits(node: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Return whether an object matches a node of the pattern.

    Args:
        node: Attributes of the object.
        condition: Attributes of the pattern's node.

    Returns:
        Whether label and attributes match.
    """
    own = node.get(ATTRIBUTES.name, {})
    same_label = condition.get(LABEL) in (None, ANY, node.get(LABEL))
    return same_label and all(name in own for name in attributes_of(condition))


def related(pair: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Return whether two objects have all relations of a pattern's edge.

    Args:
        pair: Merged edge of the scene.
        condition: Merged edge of the pattern.

    Returns:
        Whether all predicates match.
    """
    return all(predicate in pair["best"] for predicate in condition["best"])


def match_of(pattern: Graph, scene: nx.DiGraph, rows: Mapping[Hashable, int]) -> Match:
    """Build the match of some objects.

    Args:
        pattern: The pattern.
        scene: The merged graph of the scene.
        rows: The object of each node of the pattern.

    Returns:
        The match with its score.
    """
    edges, score = [], 1.0
    for node, condition in pattern.nodes.items():
        matched = scene.nodes[rows[node]]
        score *= math.prod(matched[ATTRIBUTES.name][name] for name in attributes_of(condition))
        score *= 1.0 if pattern.degree(node) else score_of(matched)
    for subject, target, relation in pattern.edges(data=True):
        edge, edge_score = scene.edges[rows[subject], rows[target]]["best"][predicate_of(relation)]
        edges.append(edge)
        score *= edge_score
    return Match({node: rows[node] for node in pattern}, tuple(edges), score)


def score_of(entry: Mapping[str, Any]) -> float:
    """Return the score of an object or a relation: 1 for ground truth, 0 for NaN.

    Args:
        entry: Attributes of the node or edge.

    Returns:
        The score, 0..1.
    """
    score = entry.get(SCORE)
    return 1.0 if score is None else 0.0 if math.isnan(score) else float(score)


def predicate_of(relation: Mapping[str, Any]) -> str | None:
    """Return the predicate of an edge; None for any.

    Args:
        relation: Attributes of the edge.

    Returns:
        The predicate.
    """
    predicate: str | None = relation.get(PREDICATE)
    return None if predicate == ANY else predicate


def attributes_of(condition: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the attribute names of a pattern's node; a single one may be a plain string.

    Args:
        condition: Attributes of the pattern's node.

    Returns:
        The names.
    """
    names = condition.get(ATTRIBUTES.name, ())
    return (names,) if isinstance(names, str) else tuple(names)
