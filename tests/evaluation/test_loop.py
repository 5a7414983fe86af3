"""The loop over a data set: what it asks of the model, and what it does with the answers."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.data.sample import Sample
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.errors import InputError, warn_once
from scenekit.evaluation import model_passes as passes
from scenekit.evaluation.evaluator import limited_to
from scenekit.evaluation.loop import evaluate, evaluators
from scenekit.keys import OBJECTS
from scenekit.model.scene_model import SceneModel
from scenekit.scene import Objects, Scene
from scenekit.structures import Vocabulary
from tests.tiny import SKELETON, VOCABULARY, config, sample

SWAPPED = Vocabulary(("person", "lamp", "cup"), ("wall", "floor", "sky"), skeletons={"person": SKELETON})
"""The same words and more, in another order."""


@pytest.fixture(scope="module")
def model() -> SceneModel:
    torch.manual_seed(0)
    return sk.build(config(), VOCABULARY).eval()


@dataclass
class Images:
    """A data set; remembers which of its samples were asked for."""

    taken: list[int]
    count: int = 3
    vocabulary: Vocabulary = VOCABULARY

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        self.taken.append(index)
        return sample(index)


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Lets the model predict the ground truth; gives the list of what it is asked for."""
    asked: list[set[str]] = []
    truths = {bytes(sample(number).image.numpy()): sample(number).scene for number in range(4)}

    def understand(_: SceneModel, image: torch.Tensor, tasks: Collection[str], *origin: object) -> SimpleNamespace:
        asked.append(set(tasks))
        truth = truths[bytes(image.numpy())]
        return found(replace(truth, streams={OBJECTS: replace(truth.objects, scores=torch.tensor([0.9, 0.8]))}))

    monkeypatch.setattr(passes, "Passes", understand)
    return asked


def found(scene: Scene) -> SimpleNamespace:
    """What stands for the passes of a model that found this scene."""
    return SimpleNamespace(free=SimpleNamespace(scene=scene))


def test_right_predictions_give_one_for_every_task(model: SceneModel, knowing: list[Any]) -> None:
    results = evaluate(model, Images([]))
    assert set(results) == {"detection", "semantic", "masks", "keypoints", "panoptic"}
    names = {"semantic": "mIoU", "panoptic": "PQ"}
    assert {results[task][names.get(task, "AP")] for task in results} == {1.0}
    assert knowing == [{"detection", "semantic", "masks", "keypoints", "panoptic"}] * 3


def test_limit_and_tasks_save_the_work(model: SceneModel, knowing: list[Any]) -> None:
    images, counted = Images([]), []
    results = evaluate(model, images, tasks=["semantic"], limit=2, on_sample=counted.append)
    assert set(results) == {"semantic"} and images.taken == [0, 1] and counted == [1, 2]
    assert knowing == [{"semantic"}] * 2


def test_detection_alone_runs_the_detector_alone(model: SceneModel, knowing: list[Any]) -> None:
    assert set(evaluate(model, Images([]), tasks=["detection"])) == {"detection"}
    assert knowing[0] == {"detection"}


def test_an_iterator_is_taken_no_further_than_the_limit(model: SceneModel, knowing: list[Any]) -> None:
    taken = []

    def samples() -> Iterator[Sample]:
        for number in range(4):
            taken.append(number)
            yield sample(number)

    evaluate(model, samples(), tasks=["semantic"], limit=2)
    assert taken == [0, 1]


def relabeled_by_hand(number: int) -> Sample:
    """Ground truth in the words of SWAPPED."""
    truth = sample(number)
    table = torch.tensor([SWAPPED.label(name) for name in VOCABULARY.labels])
    objects = replace(truth.scene.objects, labels=table[truth.scene.objects.labels])
    values = dict(truth.scene.values)
    values[sk.SEMANTIC] = table[values[sk.SEMANTIC]]
    panoptic = values[sk.PANOPTIC]
    segments = tuple(replace(segment, label=int(table[segment.label])) for segment in panoptic.segments)
    values[sk.PANOPTIC] = replace(panoptic, segments=segments)
    return replace(truth, scene=replace(truth.scene, vocabulary=SWAPPED, streams={OBJECTS: objects}, values=values))


def test_a_data_set_may_use_other_words(model: SceneModel, knowing: list[Any]) -> None:
    results = evaluate(model, [relabeled_by_hand(number) for number in range(3)])
    assert results["detection"]["AP"] == results["masks"]["AP"] == results["keypoints"]["AP"] == 1.0
    assert results["semantic"]["mIoU"] == results["panoptic"]["PQ"] == 1.0


def test_words_that_a_data_set_lacks_are_not_held_against_the_model(model: SceneModel, knowing: list[Any]) -> None:
    """One data set knows no cups, so that cups predicted on its images are not wrong."""
    persons = Vocabulary(("person",), ("floor", "wall"), skeletons={"person": SKELETON})
    truth = sample(0)
    scene = truth.scene.select(OBJECTS, torch.tensor([0]))
    objects = replace(scene.objects, labels=torch.tensor([0]))
    scene = replace(scene, vocabulary=persons, streams={OBJECTS: objects}, values={}, valid={})
    ignorant = replace(truth, scene=scene, supervision=sk.Supervision())
    results = evaluate(model, [ignorant, sample(1)], tasks=["detection"])
    assert results["detection"]["AP"] == 1.0


def faulty(number: int) -> Sample:
    """Three objects, of which one has no box and one a label that there is no word for."""
    truth = sample(number)
    boxes = torch.cat((truth.scene.objects.boxes, torch.full((1, 4), torch.nan), torch.tensor([[1.0, 1.0, 5.0, 5.0]])))
    objects = Objects(boxes, torch.cat((truth.scene.objects.labels, torch.tensor([0, 7]))))
    scene = replace(truth.scene, streams={OBJECTS: objects}, values={}, valid={})
    return replace(truth, scene=scene, supervision=sk.Supervision())


@pytest.mark.parametrize("vocabulary", [VOCABULARY, SWAPPED])
def test_faulty_annotations(
    model: SceneModel, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Left out with a warning that names the image, or refused; with words of its own for the model as well."""
    seen = replace(sample(2).scene.objects, scores=torch.tensor([0.9, 0.8]))
    seen = replace(seen, labels=torch.tensor([vocabulary.label(VOCABULARY.things[i]) for i in seen.labels.tolist()]))
    answer = Scene((48, 64), vocabulary, {OBJECTS: seen})
    monkeypatch.setattr(model, "vocabulary", vocabulary)
    monkeypatch.setattr(passes, "Passes", lambda *_: found(answer))
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert evaluate(model, [faulty(2)], tasks=["detection"])["detection"]["AP"] == 1.0
    assert "image 2 of the data set" in caplog.text and "box 3" in caplog.text
    with pytest.raises(InputError, match=r"image 2 of the data set: box 2 .* is NaN .*; box 3 .* unknown label"):
        evaluate(model, [faulty(2)], tasks=["detection"], strict=True)


def test_a_real_model_is_measured(model: SceneModel) -> None:
    results = evaluate(model, Images([]), limit=1)
    assert 0 <= results["detection"]["AP"] < 0.5 and 0 < results["semantic"]["pACC"] < 1
    assert not math.isnan(results["panoptic"]["PQ"])


class LabelShare:
    """The share of images whose ground truth and prediction have as many masks."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary, self.equal = vocabulary, []

    def update(self, sample: Sample, prediction: Scene) -> None:
        self.equal.append(len(sample.scene[sk.MASKS]) == len(prediction[sk.MASKS]))

    def merge(self, other: LabelShare) -> None:
        self.equal += other.equal

    def result(self) -> dict[str, float]:
        return {"share": sum(self.equal) / len(self.equal)}


def test_an_evaluator_of_ones_own_replaces_that_of_the_task(model: SceneModel, knowing: list[Any]) -> None:
    results = evaluate(model, Images([]), tasks=["semantic"], evaluators={"masks": LabelShare})
    assert set(results) == {"semantic", "masks"} and results["masks"] == {"share": 1.0}
    assert knowing[0] == {"semantic", "masks"}
    everything = evaluate(model, Images([]), evaluators={"masks": LabelShare(VOCABULARY)})
    assert everything["masks"] == {"share": 1.0} and everything["detection"]["AP"] == 1.0


def test_an_additional_measure_sees_the_predictions_of_the_tasks(model: SceneModel, knowing: list[Any]) -> None:
    """Of all tasks of the model, or of those that are asked for; boxes are there in any case."""
    share = LabelShare(VOCABULARY)
    results = evaluate(model, Images([]), evaluators={"shares": lambda vocabulary: share})
    assert results["shares"] == {"share": 1.0} and share.equal == [True] * 3 and "detection" in results
    assert knowing[0] == {"detection", "semantic", "masks", "keypoints", "panoptic"}
    evaluate(model, Images([]), tasks=["masks"], evaluators={"shares": LabelShare})
    assert knowing[-1] == {"masks", "detection"}


def test_what_is_no_evaluator_is_refused(model: SceneModel) -> None:
    for wrong in (3, lambda vocabulary: 3):
        with pytest.raises(InputError, match=r"evaluators, 'mine': expected an Evaluator .* got int"):
            evaluate(model, Images([]), evaluators={"mine": wrong})


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = (record.getMessage() for record in caplog.records)
    return [message for message in messages if "was not measured" in message or "predicted nothing" in message]


def test_images_with_labels_and_with_predictions_are_counted_apart(
    model: SceneModel, knowing: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """No labels; labels but no predictions; both, but nothing that average precision can be measured on."""
    warn_once.cache_clear()
    unlabelled = [replace(sample(i), supervision=sk.Supervision()) for i in range(3)]
    evaluate(model, unlabelled, tasks=["masks", "detection"])
    assert warnings_of(caplog) == ["task masks was not measured: none of the 3 images has ground truth of masks"]
    caplog.clear()
    evaluate(model, [*unlabelled, sample(3)], tasks=["masks"])
    assert not warnings_of(caplog)
    partly = [
        replace(each, supervision=replace(each.supervision, exhaustive=frozenset())) for each in map(sample, (0, 1))
    ]
    evaluate(model, partly, tasks=["masks"])
    (warning,) = warnings_of(caplog)
    assert "2 of 2 images have ground truth of masks, but its evaluator skips all of them" in warning


def test_a_detector_without_detections_is_named_as_the_reason(
    model: SceneModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nothing = sample(0).scene.select(OBJECTS, torch.zeros(0, dtype=torch.int64))
    empty = replace(nothing, streams={OBJECTS: replace(nothing.objects, scores=torch.zeros(0))})
    monkeypatch.setattr(passes, "Passes", lambda *_: found(empty))
    warn_once.cache_clear()
    evaluate(model, [sample(0)], tasks=["masks"])
    expected = "task masks predicted nothing: 1 of 1 images have ground truth of masks, but the model predicts none"
    assert warnings_of(caplog)[0].startswith(expected)


def test_tasks_that_cannot_be_measured_are_named(model: SceneModel) -> None:
    with pytest.raises(InputError, match="no measurable task 'semantics' in this model; did you mean 'semantic'"):
        evaluators(model, ["semantics"])


def test_strict_refuses_a_data_set_with_class_names_that_the_model_lacks(model: SceneModel, knowing: list[Any]) -> None:
    with pytest.raises(InputError, match="things that the model lacks: 'lamp'"):
        evaluate(model, [relabeled_by_hand(0)], strict=True)


def test_limits_of_detections_are_those_of_before_afterwards() -> None:
    evaluator = DetectionEvaluator(sk.Vocabulary(("cat",)))
    with pytest.raises(ZeroDivisionError), limited_to(7, [evaluator, object()]):
        assert evaluator.ap.max_detections == 7
        raise ZeroDivisionError
    assert evaluator.ap.max_detections is None
    evaluator.max_detections = 3
    with limited_to(None, [evaluator]):
        assert evaluator.ap.max_detections == 3
