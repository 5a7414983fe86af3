"""A teacher's detections as labels: where they are added, what they teach, and where they do not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import MASKS, OBJECTS, TEACHER_SCORE
from scenekit.recipe import DataConfig, LabelSpace, TeacherConfig
from scenekit.scene import Objects
from scenekit.structures import Vocabulary
from scenekit.training import teaching
from scenekit.training.teaching import TaughtSet, with_teacher
from scenekit.weights.checkpoint import save_model
from tests import tiny

CUP, PERSON, DOG = 0, 1, 2


class OneSample:
    """A data set of one sample."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    @property
    def vocabulary(self) -> Vocabulary:
        return self.sample.scene.vocabulary

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


class Teacher:
    """A model that detects the same objects in every image."""

    def __init__(self, boxes: list[list[float]], names: list[str]) -> None:
        self.boxes, self.found, self.asked = boxes, names, 0

    def predict(self, image: Any, tasks: Any, threshold: float) -> Any:
        self.asked += 1
        things = tuple(dict.fromkeys(self.found))
        labels = torch.tensor([things.index(name) for name in self.found])
        objects = Objects(torch.tensor(self.boxes), labels, torch.linspace(0.9, 0.6, len(labels)))
        return sk.Scene(tuple(image.shape[1:]), Vocabulary(things), {OBJECTS: objects})


@pytest.fixture
def sample() -> Sample:
    """A cup with a mask, in an image of which only cups are annotated."""
    sample = tiny.sample(0)
    cups = (sample.scene.objects.labels == CUP).nonzero()[:1, 0]
    scene = sample.scene.select(OBJECTS, cups)
    return replace(sample, scene=scene, supervision=Supervision(frozenset({MASKS}), frozenset({"cup"})))


def taught_set(sample: Sample, teacher: Teacher, monkeypatch: pytest.MonkeyPatch, **options: Any) -> TaughtSet:
    network = sk.build(tiny.config(()), tiny.VOCABULARY)
    monkeypatch.setattr(network, "predict", teacher.predict)
    monkeypatch.setattr(teaching, "load", lambda name: network)
    return TaughtSet(OneSample(sample), TeacherConfig(model="teacher", **options), ("person", "cup", "dog"))


def test_detections_of_other_classes_are_positives_and_no_class_is_covered_by_them(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own,) = sample.scene.objects.boxes.tolist()
    far = [own[2] + 1.0, own[3] + 1.0, own[2] + 9.0, own[3] + 9.0]
    teacher = Teacher([far, far, own, far], ["person", "dog", "dog", "cup"])
    data = taught_set(sample, teacher, monkeypatch)
    found = data[0]
    # Not the second dog, which is the annotated cup; not the second cup: all of them are annotated.
    assert found.scene.names() == ["cup", "person", "dog"] and data.vocabulary.things == ("cup", "person", "dog")
    assert found.supervision.classes == {"cup"} and found.supervision.partial == {"person", "dog"}
    assert found.scene.rows_with(TEACHER_SCORE).tolist() == [False, True, True]
    torch.testing.assert_close(found.scene[TEACHER_SCORE][1:], torch.tensor([0.9, 0.8]))
    assert found.scene.rows_with(MASKS).tolist() == [True, False, False]
    assert data.scene(0).names() == ["cup"] and TEACHER_SCORE not in data.scene(0)
    assert TEACHER_SCORE not in found.supervision.keys
    data[0]
    assert teacher.asked == 1
    _, targets = collate([found], vocabulary=data.vocabulary, keys=(OBJECTS, MASKS), config=tiny.config(()).input)
    truth = targets.streams[OBJECTS]
    assert truth.covered.tolist() == [[True, False, False]] and not truth.crowd.any()
    assert targets.valid[MASKS].tolist() == [True, False, False]


def test_an_image_without_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = taught_set(tiny.unlabelled(0), Teacher([[1.0, 1.0, 9.0, 9.0]], ["person"]), monkeypatch)
    found = data[0]
    assert found.scene.names() == ["person"] and found.supervision.streams == {OBJECTS}
    assert OBJECTS not in found.supervision.exhaustive and found.supervision.classes == frozenset()


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_model(sk.build(tiny.config(()), Vocabulary(("dog", "person"))), tmp_path / "teacher")
    return str(tmp_path / "teacher")


def test_which_classes_are_used(sample: Sample, model: str) -> None:
    data = OneSample(sample)
    own = with_teacher(data, TeacherConfig(model=model), None)
    assert isinstance(own, TaughtSet) and own.classes == ("person",)
    named = with_teacher(data, TeacherConfig(model=model, classes=("dog",)), None)
    assert isinstance(named, TaughtSet) and named.vocabulary.things == ("cup", "person", "dog")
    assert with_teacher(data, None, None) is data


@pytest.mark.parametrize(
    ("classes", "space", "message"),
    [
        (("dogs",), None, "has no class 'dogs'; did you mean 'dog'"),
        (("dog",), ["person"], "the label space has no thing 'dog'"),
        (None, ["tree"], r"none of its classes \(dog, person\) is known here"),
    ],
)
def test_classes_that_cannot_be_used(
    sample: Sample, model: str, classes: tuple[str, ...] | None, space: list[str] | None, message: str
) -> None:
    labels = None if space is None else LabelSpace.model_validate({"things": space, "data": {}})
    with pytest.raises(InputError, match=message):
        with_teacher(OneSample(sample), TeacherConfig(model=model, classes=classes), labels)


def test_a_teacher_is_for_training() -> None:
    entry = {"name": "coco", "teacher": {"model": "small"}}
    with pytest.raises(ValueError, match="a teacher's detections are no ground truth"):
        DataConfig.model_validate({"train": [entry], "val": entry})
