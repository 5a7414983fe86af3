"""Construction of a scene's graph. Letters: N objects, R relations, P predicates of the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import networkx as nx
import torch

from scenekit.errors import InputError
from scenekit.io.files import plain
from scenekit.keys import OBJECTS, RELATIONS, Key
from scenekit.scene import Scene
from scenekit.structures.relations import Relations

BOX, IDENTITY, LABEL, PREDICATE, PROBABILITIES, SCORE = (
    "box", "identity", "label", "predicate", "probabilities", "score",
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
    """Build the graph of a scene; see `Scene.graph`.

    Args:
        scene: The scene.
        threshold: Smallest score of a relation.
        top: Number of the best relations that become edges; all if None.
        attribute_threshold: Smallest score of an attribute.
        relabel: Whether nodes get the labels that the predictor of the relations gives.

    Returns:
        The graph.

    Raises:
        InputError: If a subject, object or predicate of a relation does not exist, or an option is out of range.
    """
    if top is not None and top < 0:
        raise InputError(f"top is the number of relations to keep; expected 0 or more, got {top}")
    graph = nx.MultiDiGraph(**graph_attributes(scene))
    graph.add_nodes_from(enumerate(nodes(scene, attribute_threshold)))
    if RELATIONS in scene:
        relations = scene[RELATIONS]
        check_rows(relations, len(graph))
        check_predicates(relations, len(scene.vocabulary.predicates))
        if relabel:
            relabel_nodes(relations, graph, scene)
        for row in kept_rows(relations, threshold, top):
            graph.add_edge(int(relations.subject[row]), int(relations.object[row]), row, **edge(relations, row, scene))
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


def check_rows(relations: Relations, count: int) -> None:
    """Check that subjects and objects of relations exist; networkx would add missing nodes.

    Args:
        relations: The relations.
        count: Number of objects of the scene.

    Raises:
        InputError: If a relation names another object.
    """
    for role, rows in (("subject", relations.subject), ("object", relations.object)):
        outside = ((rows < 0) | (rows >= count)).nonzero()[:, 0].tolist()
        if outside:
            relation = outside[0]
            raise InputError(
                f"relation {relation} has object {int(rows[relation])} as its {role}, but the scene has {count}"
                " objects, counted from 0; drop or fix the relation"
            )


def check_predicates(relations: Relations, count: int) -> None:
    """Check that the vocabulary names all predicates.

    Args:
        relations: The relations.
        count: Number of predicates of the vocabulary.

    Raises:
        InputError: If a relation has another predicate.
    """
    outside = ((relations.predicate < 0) | (relations.predicate >= count)).nonzero()[:, 0].tolist()
    if outside:
        number = int(relations.predicate[outside[0]])
        raise InputError(
            f"relation {outside[0]} has the predicate {number}, but the scene's vocabulary has {count} predicates,"
            " counted from 0; use the vocabulary of the data or model that the relations are from"
        )


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


def kept_rows(relations: Relations, threshold: float, top: int | None) -> list[int]:
    """Select the relations that become edges.

    Args:
        relations: The relations.
        threshold: Smallest score.
        top: Number of the best relations to keep; all if None.

    Returns:
        Rows of the relations, in their order.
    """
    if relations.score is None:
        return list(range(len(relations)))[:top]
    scores = torch.nan_to_num(relations.score, nan=-math.inf)
    best = torch.argsort(scores, descending=True, stable=True)[:top]
    return sorted(best[scores[best] >= threshold].tolist())


def edge(relations: Relations, row: int, scene: Scene) -> dict[str, Any]:
    """Return the attributes of one relation.

    Args:
        relations: The relations.
        row: Row of the relation.
        scene: The scene with the vocabulary.

    Returns:
        Predicate, and where available score and probabilities.
    """
    attributes: dict[str, Any] = {PREDICATE: scene.vocabulary.predicates[int(relations.predicate[row])]}
    if relations.score is not None:
        attributes[SCORE] = float(relations.score[row])
    if relations.probabilities is not None:
        attributes[PROBABILITIES] = plain(relations.probabilities[row].tolist())
    return attributes


def has_edges(scene: Scene) -> bool:
    """Return whether a value that relates objects is there, if only an empty one."""
    return bool(edge_counts(scene))


def edge_counts(scene: Scene) -> dict[str, int]:
    """Return how many edges each value that relates objects gives to the graph, by the names of their keys."""
    return {RELATIONS.name: len(scene[RELATIONS])} if RELATIONS in scene else {}
