"""Relations follow their objects, and labels of objects travel with them."""

from __future__ import annotations

import json

import torch

from scenekit.keys import OBJECTS, RELATIONS
from scenekit.scene import Objects, Scene
from scenekit.structures import Geometry, Relations, Vocabulary
from scenekit.structures.tensors import index_map

VOCABULARY = Vocabulary(
    ("cup", "table"), predicates=("left of", "right of"), mirror_predicates=(("left of", "right of"),)
)


def relations() -> Relations:
    """Of three objects, two of which are called something else."""
    return Relations(
        torch.tensor([0, 2, 1]),
        torch.tensor([1, 0, 2]),
        torch.tensor([0, 1, 0]),
        torch.tensor([0.9, 0.5, 0.25]),
        torch.tensor([[0.9, 0.1], [0.25, 0.75], [0.5, 0.25]]),
        torch.tensor([1, 0, 1]),
        torch.tensor([0.5, 0.75, 1.0]),
    )


def test_reordered_objects() -> None:
    moved = relations().remapped(torch.tensor([1, -1, 0]))
    assert (moved.subject.tolist(), moved.object.tolist(), moved.predicate.tolist()) == ([0], [1], [1])
    assert moved.score is not None and moved.score.tolist() == [0.5]
    assert moved.labels is not None and moved.labels.tolist() == [1, 1]
    assert moved.label_scores is not None and moved.label_scores.tolist() == [1.0, 0.5]


def test_rows() -> None:
    first = relations()[torch.tensor([True, False, False])]
    assert len(first) == 1 and first.labels is not None and len(first.labels) == 3


def test_a_mirror_exchanges_predicates_and_leaves_labels() -> None:
    mirrored = RELATIONS.field.transform(relations(), Geometry.flip((4, 4)), VOCABULARY)
    assert mirrored.predicate.tolist() == [1, 0, 1]
    assert mirrored.probabilities[0].tolist() == relations().probabilities[0].flip(0).tolist()  # type: ignore[index]
    assert mirrored.labels.tolist() == [1, 0, 1]


def test_labels_survive_json() -> None:
    objects = Objects(torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 3), torch.tensor([0, 0, 1]))
    scene = Scene((4, 4), VOCABULARY, {OBJECTS: objects}, {RELATIONS: relations()})
    entry = json.loads(json.dumps(scene.to_json()))["relations"]
    assert entry["objects"][0] == {"label": 1, "name": "table", "score": 0.5}
    back = Scene.from_json(json.loads(json.dumps(scene.to_json())))[RELATIONS]
    for name, column in vars(relations()).items():
        torch.testing.assert_close(getattr(back, name), column)


def test_on_a_board_objects_are_rows_of_the_batch() -> None:
    part = RELATIONS.field.remap(relations(), index_map(torch.tensor([0, 2]), 3))
    assert (part.subject.tolist(), part.object.tolist()) == ([1], [0]) and part.labels.tolist() == [1, 1]
    assert len(RELATIONS.field.remap(relations(), index_map(torch.zeros(0, dtype=torch.int64), 3))) == 0
