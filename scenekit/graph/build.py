"""Construction of a scene's graph. Letters: N objects, R relations, P predicates of the vocabulary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import networkx as nx
import torch

from scenekit.errors import InputError
from scenekit.fields.frame import Edges
from scenekit.io.files import plain
from scenekit.keys import OBJECTS, RELATIONS, Key
from scenekit.scene import Scene
from scenekit.scene_json import check_ends, reading
from scenekit.structures.relations import Relations

BOX, IDENTITY, LABEL, PREDICATE, SCORE, SOURCE = (
    "box", "identity", "label", "predicate", "score", "from_key",
)  # fmt: skip
VOCABULARY = "vocabulary"

Graph: TypeAlias = nx.MultiDiGraph


def build_graph(
    scene: Scene,
    *,
    threshold: float = 0.0,
    top: int | None = None,
    per_pair: int | None = None,
    likely: bool = True,
    attribute_threshold: float = 0.5,
    relabel: bool = False,
) -> Graph:
    """Build the graph of a scene; see `Scene.graph`.

    Args:
        scene: The scene.
        threshold: Smallest score of a relation.
        top: Number of the best relations that become edges; all if None.
        per_pair: Number of the best relations of each subject with each object; all if None.
        likely: Whether relations are left out where none is more likely.
        attribute_threshold: Smallest score of an attribute.
        relabel: Whether nodes get the labels that the predictor of the relations gives.

    Returns:
        The graph.

    Raises:
        InputError: If a subject, object or predicate of a relation does not exist, or an option is out of range.
    """
    for name, number in (("top", top), ("per_pair", per_pair)):
        if number is not None and number < 0:
            raise InputError(f"{name} is the number of relations to keep; expected 0 or more, got {number}")
    graph = nx.MultiDiGraph(**graph_attributes(scene))
    graph.add_nodes_from(enumerate(nodes(scene, attribute_threshold)))
    first = 0
    for key, edges in edges_in(scene):
        with reading(key.name):
            check_ends(edges, len(graph))
        add_edges(graph, key, edges, first, kept_rows(edges, threshold, top, per_pair, likely))
        first += len(edges.subject)
    if relabel and RELATIONS in scene:
        relabel_nodes(scene[RELATIONS], graph, scene)
    return graph


def graph_attributes(scene: Scene) -> dict[str, Any]:
    """Return the attributes of the whole graph.

    Args:
        scene: The scene.

    Returns:
        Size and path of the image, and the vocabulary.
    """
    height, width = scene.size
    return {"width": width, "height": height, "path": scene.path, VOCABULARY: scene.vocabulary.to_json()}


def nodes(scene: Scene, threshold: float) -> Iterator[dict[str, Any]]:
    """Yield the attributes of each object: its label and box, then one entry per key, by the key's name.

    Args:
        scene: The scene.
        threshold: Smallest score of an attribute.

    Returns:
        Attributes of the nodes, in the order of the objects.

    Raises:
        InputError: If a key has the name of an attribute that every node has.
    """
    described = {
        key: (scene.rows_with(key).tolist(), key.field.describe(value, scene.vocabulary, threshold))
        for key, value in scene.values.items()
        if key.of == OBJECTS
    }
    check_names(described)
    objects = scene.objects
    boxes, identities = plain(objects.boxes.tolist()), objects.ids.tolist()
    for row, name in enumerate(scene.names()):
        score = {} if objects.scores is None else {SCORE: float(objects.scores[row])}
        known = {key.name: rows[row] for key, (there, rows) in described.items() if there[row]}
        known = {name: value for name, value in known.items() if value is not None}
        yield {LABEL: name, **score, BOX: boxes[row], IDENTITY: identities[row], **known}


def check_names(keys: dict[Key[Any, Any], Any]) -> None:
    """Check that no plugin's key has the name of an attribute that every node has.

    Args:
        keys: Keys of the objects.

    Raises:
        InputError: If a key has such a name.
    """
    for key in keys:
        if key.name in (LABEL, SCORE, BOX, IDENTITY):
            raise InputError(f"the key {key.name!r} has the name of an attribute of every node; give it another name")


def add_edges(graph: Graph, key: Key[Any, Any], edges: Edges, first: int, rows: Iterable[int]) -> None:
    """Add edges to a graph; edges without a name get that of their key.

    Args:
        graph: The graph.
        key: The key of the edges.
        edges: The edges.
        first: Number of the first edge.
        rows: Rows of the edges to add.
    """
    for row in rows:
        score = {} if edges.score is None else {SCORE: float(edges.score[row])}
        source = {} if key == RELATIONS else {SOURCE: key.name}
        ends = int(edges.subject[row]), int(edges.object[row])
        graph.add_edge(*ends, first + row, **{PREDICATE: key.name, **edges.attributes[row], **score, **source})


def relabel_nodes(relations: Relations, graph: Graph, scene: Scene) -> None:
    """Label the nodes as the predictor of the relations does, if it does.

    Args:
        relations: The relations.
        graph: The graph that is changed.
        scene: The scene with the vocabulary.
    """
    if relations.labels is None:
        return
    scores = relations.label_scores
    for row, label in enumerate(relations.labels.tolist()):
        graph.nodes[row][LABEL] = scene.vocabulary.things[label]
        if scores is not None:
            graph.nodes[row][SCORE] = float(scores[row])


def kept_rows(
    edges: Edges,
    threshold: float = 0.0,
    top: int | None = None,
    per_pair: int | None = None,
    likely: bool = True,
) -> list[int]:
    """Select the rows that become edges.

    Args:
        edges: The edges.
        threshold: Smallest score.
        top: Number of the best edges to keep; all if None.
        per_pair: Number of the best edges of each subject with each object; all if None.
        likely: Whether edges that are less likely than none are left out.

    Returns:
        Their rows, in order.
    """
    scores = None if edges.score is None else edges.score.nan_to_num(-math.inf)
    rows = torch.arange(len(edges.subject)) if scores is None else scores.argsort(descending=True, stable=True)
    if scores is not None:
        rows = rows[scores[rows] >= threshold]
    if likely and edges.likely is not None:
        rows = rows[edges.likely[rows]]
    best = rows.tolist() if per_pair is None else best_of_pairs(edges, rows.tolist(), per_pair)
    return sorted(best[:top])


def best_of_pairs(edges: Edges, rows: list[int], per_pair: int) -> list[int]:
    """Keep so many edges of each subject with each object.

    Args:
        edges: The edges.
        rows: Rows of edges, the best first.
        per_pair: Number of edges that a pair keeps.

    Returns:
        The remaining rows, in the same order.
    """
    count: Counter[tuple[int, int]] = Counter()
    kept = []
    for row in rows:
        pair = int(edges.subject[row]), int(edges.object[row])
        count[pair] += 1
        if count[pair] <= per_pair:
            kept.append(row)
    return kept


def has_edges(scene: Scene) -> bool:
    """Return whether the scene has a value that relates objects, even an empty one.

    Args:
        scene: The scene.

    Returns:
        Whether its graph can have edges.
    """
    return any(True for _ in edges_in(scene))


def edge_counts(scene: Scene) -> dict[str, int]:
    """Count the likely edges that each value of a scene adds to its graph.

    Args:
        scene: The scene.

    Returns:
        Numbers by the names of the keys.
    """
    return {key.name: len(kept_rows(edges)) for key, edges in edges_in(scene)}


def edges_in(scene: Scene) -> Iterator[tuple[Key[Any, Any], Edges]]:
    """Yield the values of the image that relate objects, relations first.

    Args:
        scene: The scene.

    Yields:
        The key and the edges.
    """
    for key in sorted(scene.values, key=lambda key: key != RELATIONS):  # whose rows are the keys of their edges
        edges = key.field.edges(scene[key], scene.vocabulary) if key.of is None else None
        if edges is not None:
            yield key, edges
