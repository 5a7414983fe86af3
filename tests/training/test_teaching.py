"""A teacher's detections as labels: where they are added, what they teach, and where they do not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import scenekit as sk
from scenekit.data.claims import spread_claims
from scenekit.data.collate import collate
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import MASKS, OBJECTS, TEACHER_SCORE
from scenekit.recipe import DataConfig, LabelSpace, TeacherConfig
from scenekit.scene import Objects
from scenekit.structures import Vocabulary
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


@pytest.fixture
def sample() -> Sample:
    """A cup with a mask, in an image of which only cups are annotated."""
    sample = tiny.sample(0)
    cups = (sample.scene.objects.labels == CUP).nonzero()[:1, 0]
    scene = sample.scene.select(OBJECTS, cups)
    return replace(sample, scene=scene, supervision=Supervision(frozenset({MASKS}), frozenset({"cup"})))


def taught_set(sample: Sample, boxes: list[list[float]], labels: list[int]) -> TaughtSet:
    """A data set with a teacher that detected these boxes, with scores of 0.9 and less."""
    detected = Objects(torch.tensor(boxes), torch.tensor(labels), 0.9 - 0.1 * torch.arange(len(labels)))
    config = TeacherConfig(model="never loaded")
    return TaughtSet(OneSample(sample), config, ("person", "cup", "dog"), {0: detected})


def test_detections_of_other_classes_are_positives_and_no_class_is_covered_by_them(sample: Sample) -> None:
    (own,) = sample.scene.objects.boxes.tolist()
    far = [own[2] + 1.0, own[3] + 1.0, own[2] + 9.0, own[3] + 9.0]
    data = taught_set(sample, [far, far, own, far], [PERSON, DOG, DOG, CUP])
    found = data[0]
    # Not the second dog, which is the annotated cup; not the second cup: all of them are annotated.
    assert found.scene.names() == ["cup", "person", "dog"] and data.vocabulary.things == ("cup", "person", "dog")
    assert found.supervision.classes == {"cup"} and found.supervision.partial == {"person", "dog"}
    assert found.scene.rows_with(TEACHER_SCORE).tolist() == [False, True, True]
    torch.testing.assert_close(found.scene[TEACHER_SCORE][1:], torch.tensor([0.9, 0.8]))
    assert found.scene.rows_with(MASKS).tolist() == [True, False, False]
    assert data.scene(0).names() == ["cup"] and TEACHER_SCORE not in data.scene(0)
    assert TEACHER_SCORE not in found.supervision.keys
    _, targets = collate([found], vocabulary=data.vocabulary, keys=(OBJECTS, MASKS), config=tiny.config(()).input)
    truth = targets.streams[OBJECTS]
    assert truth.covered.tolist() == [[True, False, False]] and not truth.crowd.any()
    assert targets.valid[MASKS].tolist() == [True, False, False]


def test_what_it_supervises_is_known_without_the_teacher(sample: Sample) -> None:
    """The groups of the detector are found in the first process, which loads no teacher for it."""
    data = taught_set(sample, [[1.0, 1.0, 9.0, 9.0]], [PERSON])
    untouched = replace(data, detected={})
    (claims,) = spread_claims(untouched, data.vocabulary)
    assert untouched.annotated(0).supervision == data[0].supervision
    assert (claims.classes, claims.partial) == ({"cup"}, {"person", "dog"}) and not untouched.detected


def test_an_image_without_labels() -> None:
    found = taught_set(tiny.unlabelled(0), [[1.0, 1.0, 9.0, 9.0]], [PERSON])[0]
    assert found.scene.names() == ["person"] and found.supervision.streams == {OBJECTS}
    assert OBJECTS not in found.supervision.exhaustive and found.supervision.classes == frozenset()


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_model(sk.build(tiny.config(()), Vocabulary(("dog", "person"))), tmp_path / "teacher")
    return str(tmp_path / "teacher")


def test_the_teacher_sees_each_image_once(sample: Sample, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its boxes and scores are those that it predicts, and its labels become those of the data set."""
    data = with_teacher(OneSample(sample), TeacherConfig(model=model, threshold=1e-3, overlap=1.0), None)
    assert isinstance(data, TaughtSet)
    expected = sk.load(model).predict(sample.image, threshold=1e-3)
    persons = (expected.objects.labels == 1).nonzero()[:, 0]
    found = data[0].scene
    assert len(persons) > 0 and found.names()[1:] == ["person"] * len(persons)
    torch.testing.assert_close(found.objects.boxes[1:], expected.objects.boxes[persons])
    torch.testing.assert_close(found[TEACHER_SCORE][1:], expected.objects.scores[persons])
    monkeypatch.setattr(TaughtSet, "teacher", None)
    assert data[0].scene.names() == found.names()


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
