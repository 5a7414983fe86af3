"""A task that is added to a trained model: what the model predicts stays the same to the bit."""

import re
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.errors import InputError
from scenekit.keys import KEYPOINTS, MASKS, SEMANTIC
from scenekit.recipe import Recipe
from scenekit.structures.vocabulary import Skeleton, Vocabulary
from scenekit.training.adding import with_added_task
from scenekit.training.loop import train
from tests.training import toy

toy.register()


def recipe(tasks: tuple[str, ...], steps: int = 2) -> Recipe:
    whole = toy.recipe(steps=steps, ema=None).model_dump(mode="json")
    whole["model"]["tasks"] = {name: whole["model"]["tasks"][name] for name in tasks}
    return Recipe.parse(whole)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("before")
    train(recipe(("semantic", "masks")), out=out, device="cpu", progress=False)
    return out / "model"


def test_all_that_the_model_predicts_stays_the_same(model: Path, tmp_path: Path) -> None:
    added = with_added_task(recipe(("keypoints",)), "keypoints", str(model))
    after = train(added, out=tmp_path, device="cpu", progress=False)
    before = sk.load(model)
    assert after.tasks == ("semantic", "masks", "keypoints")
    for index in range(4):
        image = toy.Toys()[index].image
        old, new = before.predict(image, threshold=0.0), after.predict(image, threshold=0.0)
        assert len(old.objects) and torch.equal(old.objects.boxes, new.objects.boxes)
        assert torch.equal(old.objects.scores, new.objects.scores)
        assert torch.equal(old[SEMANTIC], new[SEMANTIC])
        assert torch.equal(old[MASKS].dense, new[MASKS].dense)
        assert KEYPOINTS in new and KEYPOINTS not in old
    fresh = train(recipe(("keypoints",), steps=1), out=tmp_path / "fresh", device="cpu", progress=False)
    moved = after.heads["keypoints"].state_dict()
    assert any(not torch.equal(value, moved[name]) for name, value in fresh.heads["keypoints"].state_dict().items())


def test_less_is_frozen_where_less_is_named(model: Path, tmp_path: Path) -> None:
    added = with_added_task(recipe(("keypoints",)), "keypoints", str(model), ["trunk", "detection", "semantic"])
    after, before = train(added, out=tmp_path, device="cpu", progress=False).state_dict(), sk.load(model).state_dict()
    moved = {name.split(".")[1] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"masks"}


def test_the_classes_of_the_model_stay() -> None:
    corners = Skeleton(("a", "b"))
    model = Vocabulary(("cup", "person"), ("sky",), attributes=("red",))
    data = Vocabulary(
        ("person", "dog"), predicates=("on",), attributes=("blue",), skeletons={"person": corners, "dog": corners}
    )
    found = model.completed(data)
    assert (found.things, found.stuff, found.attributes) == (("cup", "person"), ("sky",), ("red",))
    assert found.predicates == ("on",) and found.skeletons == {"person": corners}
    assert model.differing(data) == ["things", "stuff", "attributes"] and not found.differing(model)


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        ({}, "masks", "has the task 'masks' already"),
        ({}, "panoptic", "'panoptic' has no weights to train; name it below model.tasks of a recipe"),
        ({}, "keypoint", "keypoint.*did you mean 'keypoints'"),
        ({"only": ("masks",)}, "keypoints", "leave train.only and train.freeze out"),
    ],
)
def test_refusals(changes: dict[str, object], task: str, message: str, model: Path) -> None:
    start = recipe(("keypoints",))
    start = start.model_copy(update={"train": start.train.model_copy(update=changes)})
    with pytest.raises(InputError, match=message):
        with_added_task(start, task, str(model))


def test_names_that_are_not_there(model: Path, tmp_path: Path) -> None:
    added = with_added_task(recipe(("keypoints",)), "keypoints", str(model), ["trunc"])
    with pytest.raises(InputError, match=re.escape("train.freeze: this model has no task or stage 'trunc'; did you")):
        train(added, out=tmp_path, device="cpu", progress=False)


def test_nothing_is_left_to_train(model: Path, tmp_path: Path) -> None:
    everything = ["trunk", "detection", "semantic", "masks", "keypoints"]
    added = with_added_task(recipe(("keypoints",)), "keypoints", str(model), everything)
    with pytest.raises(InputError, match=r"train\.freeze leaves nothing to train; parts with weights are backbone, "):
        train(added, out=tmp_path, device="cpu", progress=False)
