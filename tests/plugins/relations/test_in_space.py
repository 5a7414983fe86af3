"""Relations beside the task `boxes3d`: what they see of its boxes while learning, predicting, and at given objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.data.sample import Sample
from scenekit.keys import BOXES3D, OBJECTS, RELATIONS
from scenekit.model.scene_model import SceneModel
from scenekit.structures import Boxes3D, Camera, Relations
from scenekit_plugins.relations import transformer
from tests.tiny import SIZE, VOCABULARY, batch, config, sample

WORDS = replace(VOCABULARY, predicates=("left of", "behind"))
CAMERA = Camera.pinhole(60.0, *SIZE)
LOOKS = {"width": 8, "heads": 2, "feedforward": 8, "pairs3d": True}


@pytest.fixture
def model() -> SceneModel:
    """Both tasks, with weights that let the 3D boxes be heard."""
    torch.manual_seed(0)
    tasks: dict[str, Any] = {
        "boxes3d": {"pooled": 3, "fcs": [16]},
        "relations": {"pooled": 3, "union_pooled": 0, "max_objects": 3, "transformer": LOOKS},
    }
    made = sk.build(config(()).model_copy(update={"tasks": tasks}), WORDS).eval()
    with torch.no_grad():
        for name, weight in made.heads["relations"].named_parameters():
            if "solid" in name:
                weight.normal_()
    return made


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Boxes3D | None]:
    """The 3D boxes that the pairs of each pass were told of."""
    told: list[Boxes3D | None] = []
    original = transformer.solid_pair_numbers

    def spy(boxes: Boxes3D | None, pairs: Tensor, like: Tensor) -> Tensor:
        told.append(boxes)
        return original(boxes, pairs, like)

    monkeypatch.setattr(transformer, "solid_pair_numbers", spy)
    return told


def related(number: int = 0, boxes: bool = True) -> Sample:
    """The person is left of the cup; with `boxes` it is known where both are in space."""
    values: dict[Any, Any] = {RELATIONS: Relations(*torch.tensor([[1], [0], [0]]))}
    if boxes:
        center = torch.tensor([[-0.5, 0.0, 3.0], [0.5, 0.0, 4.0]])
        values[BOXES3D] = Boxes3D(center, torch.ones(2, 3), torch.eye(3).repeat(2, 1, 1))
    one = sample(number, keys=(), values=values)
    return replace(one, scene=replace(one.scene, vocabulary=WORDS, camera=CAMERA if boxes else None))


def rows_there(boxes: Boxes3D | None) -> int:
    assert boxes is not None
    return int(transformer.solid_numbers(boxes, len(boxes), torch.zeros(1))[:, -1].sum())


def test_learning_sees_the_boxes_that_are_found(model: SceneModel, seen: list[Boxes3D | None]) -> None:
    """Also those of an image that says nothing of 3D boxes, and none of them passes a gradient on."""
    images, targets = batch(model, [related(0), related(1, boxes=False)])
    truth = targets.streams[OBJECTS].regions
    given = replace(truth, matched=torch.arange(len(truth)), scores=torch.ones(len(truth)))
    outputs = model.train()(images, targets, {OBJECTS: given})
    (boxes,) = seen
    assert boxes is not None and not boxes.center.requires_grad and not boxes.size.requires_grad
    assert rows_there(boxes) == len(boxes) == 4
    assert {"boxes3d.z", "relations.predicate"} <= set(outputs.losses)
    assert all(bool(loss.isfinite()) for loss in outputs.losses.values())
    head = model.heads["relations"]
    weights = [weight for name, weight in head.named_parameters() if "solid" in name]
    gradients = torch.autograd.grad(outputs.losses["relations.predicate"], weights)
    assert all(bool(gradient.isfinite().all() and gradient.any()) for gradient in gradients)


def test_relations_alone_are_those_of_the_whole_pass(model: SceneModel, seen: list[Boxes3D | None]) -> None:
    """At most `max_objects` of the detections are related, and it is their boxes that are looked at."""
    scenes = [
        model.predict(related().image, tasks=tasks, threshold=0.0, camera=CAMERA) for tasks in (["relations"], None)
    ]
    alone, whole = (scene[RELATIONS] for scene in scenes)
    assert len(alone) == 6 and torch.equal(alone.subject, whole.subject) and torch.equal(alone.score, whole.score)
    assert [rows_there(boxes) for boxes in seen] == [3, 3] and len(scenes[1].objects) > 3


def test_boxes_of_given_objects_are_predicted(model: SceneModel, seen: list[Boxes3D | None]) -> None:
    """PredCls gives labels and boxes in the image, not where things are in space: also a scene that knows it."""
    one = related()
    scene = model.predict(one.image, given=one.scene, camera=CAMERA)
    (boxes,) = seen
    assert boxes is not None and torch.equal(boxes.center, scene[BOXES3D].center)
    assert not torch.equal(boxes.center, one.scene[BOXES3D].center)
    assert scene[RELATIONS].labels is None and len(scene[RELATIONS]) == 2
    assert torch.equal(scene.objects.labels, one.scene.regions(OBJECTS).labels)


def test_pairs_in_space_change_what_is_said(model: SceneModel) -> None:
    """Depth alone moves the judgement: the same image by a camera with another focal length."""
    one = related()
    near, far = (
        model.predict(one.image, given=one.scene, camera=Camera.pinhole(focal, *SIZE))[RELATIONS]
        for focal in (30.0, 300.0)
    )
    assert not torch.allclose(near.score, far.score)
