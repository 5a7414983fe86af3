"""Evaluators of the tasks: right predictions, shifted ones, none at all, and labels that say nothing."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import pad

from scenekit.data.sample import Sample
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.errors import InputError, warn_once
from scenekit.keys import KEYPOINTS, MASKS, OBJECTS, PANOPTIC, SEMANTIC
from scenekit.scene import Scene
from scenekit.structures import Geometry, Masks, Panoptic, Skeleton, Vocabulary
from scenekit_plugins.keypoints.evaluator import KeypointEvaluator
from scenekit_plugins.masks.evaluator import MaskEvaluator
from scenekit_plugins.panoptic.evaluator import PanopticEvaluator
from scenekit_plugins.semantic.evaluator import SemanticEvaluator
from tests.tiny import CUP, FLOOR, PERSON, VOCABULARY, WALL, sample

OF_OBJECTS = (DetectionEvaluator, MaskEvaluator, KeypointEvaluator)
ALL = (*OF_OBJECTS, SemanticEvaluator, PanopticEvaluator)


def right(truth: Sample) -> Scene:
    """The ground truth as a prediction."""
    scene = truth.scene
    scored = replace(scene.objects, scores=torch.linspace(0.9, 0.5, len(scene.objects)))
    return replace(scene, streams={OBJECTS: scored})


def shifted(truth: Sample) -> Scene:
    """Everything four pixels too far to the right."""
    height, width = truth.scene.size
    moved = right(truth).transformed(Geometry.crop(truth.scene.size, (0, 0, width - 4, height)))
    boxes = moved.objects.boxes + torch.tensor([4.0, 0.0, 4.0, 0.0])
    keypoints = replace(moved[KEYPOINTS], xy=moved[KEYPOINTS].xy + torch.tensor([4.0, 0.0]))
    values = {
        MASKS: Masks.from_dense(pad(moved[MASKS].dense, (4, 0))),
        KEYPOINTS: keypoints,
        SEMANTIC: pad(moved[SEMANTIC], (4, 0), value=FLOOR),
        PANOPTIC: Panoptic(pad(moved[PANOPTIC].ids, (4, 0)), moved[PANOPTIC].segments),
    }
    return replace(moved, size=truth.scene.size, streams={OBJECTS: replace(moved.objects, boxes=boxes)}, values=values)


def nothing(truth: Sample) -> Scene:
    """No object; a label that is nowhere right."""
    scene = right(truth).select(OBJECTS, torch.zeros(0, dtype=torch.int64))
    wrong = torch.where(truth.scene[SEMANTIC] == WALL, CUP, WALL)
    void = Panoptic(torch.zeros(scene.size, dtype=torch.int64), ())
    return replace(scene, values={**scene.values, SEMANTIC: wrong, PANOPTIC: void})


def measured(kind: type[Any], predict: Any, *samples: Sample) -> dict[str, float]:
    """Numbers by name, those by class under "class/name", counts left out."""
    evaluator = kind(VOCABULARY)
    for truth in samples:
        evaluator.update(truth, predict(truth))
    return flat(evaluator.result())


def flat(result: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in result.items() if isinstance(value, float)}
    for label, row in result["per_class"].items():
        numbers |= {f"{label}/{name}": value for name, value in row.items() if isinstance(value, float)}
    return {name: value for name, value in numbers.items() if not name.endswith("/iou")}


@pytest.mark.parametrize("kind", ALL)
def test_right_predictions_give_exactly_one(kind: type[Any]) -> None:
    numbers = measured(kind, right, *map(sample, range(3)))
    found = {name: value for name, value in numbers.items() if not math.isnan(value)}
    assert set(found.values()) == {1.0}, found
    main = {DetectionEvaluator: "AP", MaskEvaluator: "AP75", KeypointEvaluator: "AP", SemanticEvaluator: "mIoU"}
    assert main.get(kind, "PQ") in found and len(found) >= 8


@pytest.mark.parametrize("kind", ALL)
def test_shifted_predictions_give_less(kind: type[Any]) -> None:
    numbers = measured(kind, shifted, *map(sample, range(3)))
    name = {SemanticEvaluator: "mIoU", PanopticEvaluator: "PQ"}.get(kind, "AP")
    assert 0.0 < numbers[name] < 1.0


@pytest.mark.parametrize("kind", ALL)
def test_no_predictions_give_zero(kind: type[Any]) -> None:
    numbers = measured(kind, nothing, *map(sample, range(3)))
    assert {value for value in numbers.values() if not math.isnan(value)} == {0.0}


@pytest.mark.parametrize("kind", ALL)
def test_unlabelled_samples_are_skipped(kind: type[Any]) -> None:
    silent = sample(keys=(), streams=frozenset(), exhaustive=frozenset())
    evaluator = kind(VOCABULARY)
    evaluator.update(silent, nothing(sample()))
    assert all(math.isnan(value) for name, value in flat(evaluator.result()).items() if "/" not in name)
    evaluator.update(sample(1), right(sample(1)))
    assert {value for value in flat(evaluator.result()).values() if not math.isnan(value)} <= {0.0, 1.0}
    assert math.isclose(next(iter(flat(evaluator.result()).values())), 1.0)


@pytest.mark.parametrize("kind", [MaskEvaluator, KeypointEvaluator])
def test_boxes_alone_say_nothing_of_masks_and_points(kind: type[Any]) -> None:
    assert all(math.isnan(value) for value in measured(kind, lambda _: right(sample()), sample(keys=())).values())


@pytest.mark.parametrize("kind", ALL)
def test_merged_halves_equal_the_whole(kind: type[Any]) -> None:
    samples = [sample(number) for number in range(4)]
    predictions = [right(samples[0]), shifted(samples[1]), nothing(samples[2]), shifted(samples[3])]
    whole, first, second = (kind(VOCABULARY) for _ in range(3))
    for number, (truth, prediction) in enumerate(zip(samples, predictions, strict=True)):
        for evaluator in (whole, first if number < 2 else second):
            evaluator.update(truth, prediction)
    first.merge(pickle.loads(pickle.dumps(second)))
    assert flat(first.result()) == pytest.approx(flat(whole.result()), nan_ok=True)


@pytest.mark.parametrize("kind", OF_OBJECTS)
def test_images_that_do_not_label_everything_are_skipped(kind: type[Any]) -> None:
    partly = sample(exhaustive=frozenset())
    assert all(math.isnan(value) for value in measured(kind, right, partly).values())


def test_classes_that_labels_do_not_cover_are_skipped() -> None:
    """One image labels persons only: its cups are neither found nor wrong, those of the other image count."""
    whole, persons = sample(0), sample(1, classes=frozenset({"person"}))
    rows = (persons.scene.objects.labels == PERSON).nonzero()[:, 0]
    persons = replace(persons, scene=persons.scene.select(OBJECTS, rows))
    evaluator = DetectionEvaluator(VOCABULARY)
    evaluator.update(whole, right(whole))
    evaluator.update(persons, right(sample(1)))
    assert evaluator.result()["per_class"]["cup"]["AP"] == 1.0
    counted = DetectionEvaluator(VOCABULARY)
    counted.update(whole, nothing(whole))
    counted.update(persons, right(sample(1)))
    assert counted.result()["per_class"]["cup"]["AP"] == 0.0


def test_keypoints_are_measured_on_things_with_a_skeleton() -> None:
    """Points predicted on a cup are no false positives, and cups are not missed."""
    evaluator = KeypointEvaluator(VOCABULARY)
    evaluator.update(sample(), right(sample()))
    result = evaluator.result()
    assert list(result["per_class"]) == ["person"] and result["AP"] == 1.0


def test_objects_without_a_mask_are_not_missed() -> None:
    truth = sample()
    valid = {**truth.scene.valid, MASKS: torch.tensor([True, False])}
    partial = replace(truth, scene=replace(truth.scene, valid=valid))
    evaluator = MaskEvaluator(VOCABULARY)
    evaluator.update(partial, right(truth).select(OBJECTS, torch.tensor([0])))
    assert evaluator.result()["AP"] == 1.0


def test_ground_truth_without_objects_counts_false_positives() -> None:
    """One right and one better scored wrong detection of each class: a precision of one half at every recall."""
    truth, bare = sample(0), sample(1)
    bare = replace(bare, scene=bare.scene.select(OBJECTS, torch.zeros(0, dtype=torch.int64)))
    found = right(sample(1))
    certain = replace(found.objects, scores=torch.ones(2))
    evaluator = DetectionEvaluator(VOCABULARY)
    evaluator.update(truth, right(truth))
    evaluator.update(bare, replace(found, streams={OBJECTS: certain}))
    assert evaluator.result()["AP"] == pytest.approx(0.5)


def test_area_ranges_are_those_of_the_ground_truth() -> None:
    """The person covers 640 pixels, the cup 324: both are small for COCO."""
    numbers = measured(DetectionEvaluator, right, sample())
    assert numbers["APs"] == 1.0 and math.isnan(numbers["APm"])
    truth = sample()
    large = replace(truth.scene.objects, area=torch.tensor([2000.0, 324.0]))
    numbers = measured(DetectionEvaluator, right, replace(truth, scene=replace(truth.scene, streams={OBJECTS: large})))
    assert numbers["APm"] == 1.0


def test_a_skeleton_without_sigmas_is_measured_with_the_mean_of_cocos(caplog: pytest.LogCaptureFixture) -> None:
    """The sum of COCO's 17, in thousandths, is 1138; the warning is logged once."""
    vocabulary = Vocabulary(("person",), skeletons={"person": Skeleton(("head",))})
    warn_once.cache_clear()
    evaluator = KeypointEvaluator(vocabulary)
    KeypointEvaluator(vocabulary)
    assert [record.getMessage() for record in caplog.records] == [
        "the skeleton of 1 points has no sigmas: OKS uses 0.067, the mean of COCO's, for each; to set them, give the "
        "category 'sigmas', one number per point"
    ]
    assert evaluator.ap.sigmas == (0.067,)


def test_a_vocabulary_without_a_point_cannot_be_measured() -> None:
    for skeletons in ({}, {"person": Skeleton(())}):
        with pytest.raises(InputError, match="keypoints are measured on things that have a skeleton"):
            KeypointEvaluator(Vocabulary(("person",), skeletons=skeletons))
