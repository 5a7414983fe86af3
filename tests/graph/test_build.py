"""The graph against scenes whose graph is known: nodes are rows, edges are relations."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import scenekit as sk
from scenekit.structures import Relations
from tests.graph.images import VOCABULARY, rows, scene
from tests.structures import worlds


@pytest.mark.parametrize("index", range(2))
def test_every_relation_of_the_ground_truth_is_an_edge(index: int) -> None:
    truth = sk.dataset("synthetic", split="test", cache=False)[index].scene
    graph = truth.graph()
    assert list(graph) == list(range(len(truth.objects)))
    relations, names = truth[sk.RELATIONS], truth.vocabulary.predicates
    columns = (relations.subject.tolist(), relations.object.tolist(), relations.predicate.tolist())
    expected = {(s, o, row): names[p] for row, (s, o, p) in enumerate(zip(*columns, strict=True))}
    assert {(s, o, key): edge["predicate"] for s, o, key, edge in graph.edges(keys=True, data=True)} == expected
    attributes = truth[sk.ATTRIBUTES]
    for row, node in graph.nodes.items():
        assert (node["label"], node["box"]) == (truth.names()[row], truth.objects.boxes[row].tolist())
        assert node["masks"]["area"] == float(truth[sk.MASKS].dense[row].sum())
        held = {truth.vocabulary.attributes[i] for i in attributes[row].nonzero()[:, 0].tolist()}
        assert set(node["attributes"]) == held
        assert node["captions"]["texts"] == list(truth[sk.CAPTIONS].texts[row])
        boxes = truth[sk.BOXES3D]
        assert [node["boxes3d"][name] for name in ("x", "y", "z")] == boxes.center[row].tolist()
        assert [node["boxes3d"][name] for name in ("width", "height", "length")] == boxes.size[row].tolist()
        assert node["boxes3d"]["yaw"] == float(boxes.roll_pitch_yaw[row, 2])
        assert node["boxes3d"]["distance"] == pytest.approx(math.hypot(*boxes.center[row].tolist()))
        assert node["meshes"]["faces"] == len(truth[sk.MESHES].faces_of(row))


def test_by_hand() -> None:
    made = scene(
        ("person", "horse"), [(0, "riding", 1), (0, "on", 1)], [(), ("small",)], scores=[0.5, 0.25],
        relation_scores=[0.75, 0.5],
    )  # fmt: skip
    graph = replace(made, path="ranch.jpg").graph()
    box = [0.0, 5.0, 8.0, 25.0]
    assert graph.nodes[0] == {"label": "person", "score": 0.5, "box": box, "identity": 0, "attributes": {}}
    assert graph.nodes[1]["attributes"] == {"small": 1.0}
    assert list(graph.edges(keys=True, data=True)) == [
        (0, 1, 0, {"predicate": "riding", "score": 0.75}),
        (0, 1, 1, {"predicate": "on", "score": 0.5}),
    ]
    facts = {"width": 20, "height": 30, "path": "ranch.jpg", "vocabulary": VOCABULARY.to_json()}
    assert graph.graph == facts


def test_every_key_of_objects_has_its_entry() -> None:
    world = worlds.scene()
    graph = world.graph()
    of_objects = {key.name for key in world.values if key.of == sk.OBJECTS}
    for row, node in graph.nodes.items():
        there = bool((world[sk.KEYPOINTS].visibility[row] > 0).any())
        assert set(node) == of_objects - (set() if there else {"keypoints"}) | {"label", "score", "box", "identity"}
    visible = world[sk.KEYPOINTS].visibility[0].tolist()
    points = [name for name, v in zip(("nose", "left hand", "right hand"), visible, strict=True) if v]
    assert list(graph.nodes[0].get("keypoints", {})) == points
    assert all(len(edge["probabilities"]) == 3 for *_, edge in graph.edges(data=True))


def test_a_key_of_a_plugin_and_rows_without_it() -> None:
    distance = sk.Key("tests.graph_distance", of=sk.OBJECTS, doc="metres")
    grid = sk.Key("tests.graph_grid", of=sk.OBJECTS, doc="many numbers", shape=("N", 9, 9))
    made = scene(("person", "mug"))
    values = {**made.values, distance: torch.tensor([1.5, 2.0]), grid: torch.zeros(2, 9, 9)}
    graph = replace(made, values=values, valid={distance: torch.tensor([False, True])}).graph()
    assert distance.name not in graph.nodes[0] and graph.nodes[1][distance.name] == 2.0
    assert graph.nodes[0][grid.name] == {"shape": [9, 9]}


def test_a_key_called_as_a_part_of_every_node_is_refused() -> None:
    made = scene(("person",))
    key = sk.Key("identity", of=sk.OBJECTS, doc="who it is")
    with pytest.raises(sk.InputError, match="another name"):
        replace(made, values={key: torch.zeros(1)}).graph()


def test_threshold_and_top() -> None:
    triplets = [(0, "near", 1), (1, "near", 0), (0, "on", 1), (1, "on", 0)]
    made = scene(("mug", "table"), triplets, relation_scores=[0.2, 0.9, float("nan"), 0.9])

    def kept(**options: float) -> list[int]:
        return sorted(key for *_, key in made.graph(**options).edges(keys=True))

    assert kept() == [0, 1, 3], "what has no number as score is not among the predicted"
    assert kept(threshold=0.5) == [1, 3] and kept(threshold=0.9000001) == []
    assert kept(top=1) == [1], "equal scores stay in their order"
    assert kept(top=0) == [] and kept(top=2, threshold=0.1) == [1, 3]
    truth = scene(("mug", "table"), triplets)
    assert truth.graph(top=3, threshold=0.5).number_of_edges() == 3
    with pytest.raises(sk.InputError, match="expected 0 or more"):
        made.graph(top=-1)


def test_likely_relations_and_the_best_of_each_pair() -> None:
    triplets = [(0, "near", 1), (0, "on", 1), (1, "near", 0), (0, "left of", 1)]
    made = scene(("mug", "table"), triplets, relation_scores=[0.2, 0.9, 0.1, 0.3])
    related = torch.tensor([[0.6], [0.6], [0.2], [0.6]]) * torch.tensor([[1.0, 0, 0, 0, 0, 0]])
    made = replace(made, values={sk.RELATIONS: replace(made[sk.RELATIONS], probabilities=related)})

    def kept(**options: float) -> list[int]:
        return sorted(key for *_, key in made.graph(**options).edges(keys=True))

    assert kept() == [0, 1, 3] and kept(likely=False) == [0, 1, 2, 3]
    assert kept(per_pair=1) == [1] and kept(per_pair=2) == [1, 3]
    assert kept(per_pair=1, likely=False) == [1, 2] and kept(per_pair=2, top=1) == [1]
    with pytest.raises(sk.InputError, match="per_pair is the number of relations"):
        made.graph(per_pair=-1)


def test_attributes_above_a_threshold() -> None:
    made = scene(("mug",))
    made = replace(made, values={sk.ATTRIBUTES: torch.tensor([[0.4, 0.6, float("nan"), 0.5]])})
    assert list(made.graph().nodes[0]["attributes"]) == ["dark red", "small"]
    assert list(made.graph(attribute_threshold=0.3).nodes[0]["attributes"]) == ["red", "dark red", "small"]


def test_few_objects_no_relations_self_relations_and_duplicates() -> None:
    assert len(scene((), None).graph()) == 0 and len(scene(()).graph()) == 0
    alone = scene(("person",), [(0, "near", 0)]).graph()
    assert list(alone.edges(keys=True)) == [(0, 0, 0)]
    assert scene(("person", "mug"), None).graph().number_of_edges() == 0
    twice = scene(("person", "mug"), [(0, "near", 1)] * 2).graph()
    assert list(twice.edges(keys=True)) == [(0, 1, 0), (0, 1, 1)], "each row of the relations is an edge"


@pytest.mark.parametrize(
    ("triplet", "said"), [((0, "on", 2), "object 2 is its object"), ((-1, "on", 0), "is its subject")]
)
def test_relations_of_missing_objects_are_refused(triplet: tuple[int, str, int], said: str) -> None:
    with pytest.raises(sk.InputError, match=said):
        scene(("mug", "table"), [(0, "on", 1), triplet]).graph()


def test_predicates_without_a_name_are_refused() -> None:
    made = scene(("mug", "table"), [(0, "near", 1)])
    for words, said in (((), "the vocabulary has 0 predicates"), (("on",), "its label is 5")):
        with pytest.raises(sk.InputError, match=said):
            replace(made, vocabulary=replace(VOCABULARY, predicates=words)).graph()


def test_labels_of_the_predictor_of_relations() -> None:
    made = scene(("mug", "table"), scores=[0.9, 0.8])
    plain = rows([(0, "on", 1)])
    seen = Relations(
        plain.subject,
        plain.object,
        plain.predicate,
        labels=torch.tensor([0, 4]),
        label_scores=torch.tensor([0.5, 0.25]),
    )
    made = replace(made, values={sk.RELATIONS: seen})
    assert [node["label"] for node in made.graph().nodes.values()] == ["mug", "table"]
    nodes = made.graph(relabel=True).nodes
    assert [(node["label"], node["score"]) for node in nodes.values()] == [("person", 0.5), ("dining table", 0.25)]


def test_nothing_is_imported_before_it_is_used() -> None:
    code = "import sys, scenekit, scenekit.cli.predict; assert not {'torch', 'networkx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
