"""From a scene to its graph. Letters: N objects, R relations, P predicates of the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import networkx as nx
import torch

from scenekit.errors import InputError
from scenekit.fields.base import Edges
from scenekit.io.files import plain
from scenekit.keys import OBJECTS, RELATIONS, Key
from scenekit.scene import Scene
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
    attribute_threshold: float = 0.5,
    relabel: bool = False,
) -> Graph:
    """What `Scene.graph` gives; see there.

    Raises InputError for relations whose subject, object or predicate is not there, and for options out of range.
    """
    if top is not None and top < 0:
        raise InputError(f"top must be the number of relations to keep, 0 or more; got {top}")
    graph = nx.MultiDiGraph(**image_facts(scene))
    graph.add_nodes_from(enumerate(nodes(scene, attribute_threshold)))
    first = 0
    for key, edges in edges_in(scene):
        check_rows(key, edges, len(graph))
        add_edges(graph, key, edges, first, kept_rows(edges, threshold, top))
        first += len(edges.subject)
    if relabel and RELATIONS in scene:
        take_labels_of(scene[RELATIONS], graph, scene)
    return graph


def image_facts(scene: Scene) -> dict[str, Any]:
    """What belongs to the graph as a whole."""
    height, width = scene.size
    return {"width": width, "height": height, "path": scene.path, VOCABULARY: scene.vocabulary.to_json()}


def nodes(scene: Scene, threshold: float) -> Iterator[dict[str, Any]]:
    """The attributes of each object: what it is and where, then an entry by its name of each key that it carries."""
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
    """Refuse keys of plugins that are called as what every node has."""
    for key in keys:
        if key.name in (LABEL, SCORE, BOX, IDENTITY):
            raise InputError(f"the key {key.name!r} is called as an attribute of every node; give the key another name")


def check_rows(key: Key[Any, Any], edges: Edges, count: int) -> None:
    """Refuse edges between objects that do not exist; networkx would add these."""
    for role, rows in (("subject", edges.subject), ("object", edges.object)):
        outside = ((rows < 0) | (rows >= count)).nonzero()[:, 0].tolist()
        if outside:
            row = outside[0]
            raise InputError(
                f"{key.name} {row}: object {int(rows[row])} is its {role}, but the scene has {count} objects, counted"
                " from 0; remove the entry or fix it"
            )


def add_edges(graph: Graph, key: Key[Any, Any], edges: Edges, first: int, rows: Iterable[int]) -> None:
    """Add some rows of the edges of `key`, numbered from `first`; edges without a name are called as the key."""
    for row in rows:
        score = {} if edges.score is None else {SCORE: float(edges.score[row])}
        source = {} if key == RELATIONS else {SOURCE: key.name}
        ends = int(edges.subject[row]), int(edges.object[row])
        graph.add_edge(*ends, first + row, **{PREDICATE: key.name, **edges.attributes[row], **score, **source})


def take_labels_of(relations: Relations, graph: Graph, scene: Scene) -> None:
    """Label the nodes as the predictor of the relations did, where it did."""
    if relations.labels is None:
        return
    scores = relations.label_scores
    for row, label in enumerate(relations.labels.tolist()):
        graph.nodes[row][LABEL] = scene.vocabulary.things[label]
        if scores is not None:
            graph.nodes[row][SCORE] = float(scores[row])


def kept_rows(edges: Edges, threshold: float, top: int | None) -> list[int]:
    """Return the rows that become edges, in their order: those that score enough, at most `top` of them."""
    if edges.score is None:
        return list(range(len(edges.subject)))[:top]
    scores = torch.nan_to_num(edges.score, nan=-math.inf)
    best = torch.argsort(scores, descending=True, stable=True)[:top]
    return sorted(best[scores[best] >= threshold].tolist())


def has_edges(scene: Scene) -> bool:
    """Return whether a value that relates objects is there, if only an empty one."""
    return any(True for _ in edges_in(scene))


def edge_counts(scene: Scene) -> dict[str, int]:
    """Return how many edges each value that relates objects gives to the graph, by the names of their keys."""
    return {key.name: len(edges.subject) for key, edges in edges_in(scene)}


def edges_in(scene: Scene) -> Iterator[tuple[Key[Any, Any], Edges]]:
    """Yield the keys of the image whose values relate objects, with the edges; relations first."""
    for key in sorted(scene.values, key=lambda key: key != RELATIONS):  # whose rows are the keys of their edges
        edges = key.field.edges(scene[key], scene.vocabulary) if key.of is None else None
        if edges is not None:
            yield key, edges
