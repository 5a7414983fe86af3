"""From a scene to its graph. Letters: N objects, R relations, P predicates of the vocabulary."""

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
    """What `Scene.graph` gives; see there.

    Raises InputError for relations whose subject, object or predicate is not there, and for options out of range.
    """
    if top is not None and top < 0:
        raise InputError(f"top must be the number of relations to keep, 0 or more; got {top}")
    graph = nx.MultiDiGraph(**image_facts(scene))
    graph.add_nodes_from(enumerate(nodes(scene, attribute_threshold)))
    if RELATIONS in scene:
        relations = scene[RELATIONS]
        check_rows(relations, len(graph))
        check_predicates(relations, len(scene.vocabulary.predicates))
        if relabel:
            take_labels_of(relations, graph, scene)
        for row in kept_rows(relations, threshold, top):
            graph.add_edge(int(relations.subject[row]), int(relations.object[row]), row, **edge(relations, row, scene))
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


def check_rows(relations: Relations, count: int) -> None:
    """Refuse relations of objects that are not there; networkx would make them up."""
    for role, rows in (("subject", relations.subject), ("object", relations.object)):
        outside = ((rows < 0) | (rows >= count)).nonzero()[:, 0].tolist()
        if outside:
            relation = outside[0]
            raise InputError(
                f"relation {relation} has object {int(rows[relation])} as its {role}, but the scene has {count}"
                " objects, counted from 0; leave the relation out or mend it"
            )


def check_predicates(relations: Relations, count: int) -> None:
    """Refuse predicates that the vocabulary does not name."""
    outside = ((relations.predicate < 0) | (relations.predicate >= count)).nonzero()[:, 0].tolist()
    if outside:
        number = int(relations.predicate[outside[0]])
        raise InputError(
            f"relation {outside[0]} has the predicate {number}, but the scene's vocabulary has {count} predicates,"
            " counted from 0; give the scene the vocabulary that the relations were made with"
        )


def take_labels_of(relations: Relations, graph: Graph, scene: Scene) -> None:
    """Label the nodes as the predictor of the relations did, where it did."""
    if relations.labels is None:
        return
    scores = relations.label_scores
    for row, label in enumerate(relations.labels.tolist()):
        graph.nodes[row][LABEL] = scene.vocabulary.things[label]
        if scores is not None:
            graph.nodes[row][SCORE] = float(scores[row])


def kept_rows(relations: Relations, threshold: float, top: int | None) -> list[int]:
    """The relations that become edges, in their order: those that score enough, at most `top` of them."""
    if relations.score is None:
        return list(range(len(relations)))[:top]
    scores = torch.nan_to_num(relations.score, nan=-math.inf)
    best = torch.argsort(scores, descending=True, stable=True)[:top]
    return sorted(best[scores[best] >= threshold].tolist())


def edge(relations: Relations, row: int, scene: Scene) -> dict[str, Any]:
    """The attributes of one relation."""
    found: dict[str, Any] = {PREDICATE: scene.vocabulary.predicates[int(relations.predicate[row])]}
    if relations.score is not None:
        found[SCORE] = float(relations.score[row])
    if relations.probabilities is not None:
        found[PROBABILITIES] = plain(relations.probabilities[row].tolist())
    return found


def has_edges(scene: Scene) -> bool:
    """Return whether a value that relates objects is there, if only an empty one."""
    return bool(edge_counts(scene))


def edge_counts(scene: Scene) -> dict[str, int]:
    """Return how many edges each value that relates objects gives to the graph, by the names of their keys."""
    return {RELATIONS.name: len(scene[RELATIONS])} if RELATIONS in scene else {}
