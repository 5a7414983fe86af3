"""Attribute metrics: worked by hand, against torchmetrics, and read from scenes."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision

import scenekit as sk
from scenekit.errors import InputError
from scenekit.evaluation.attributes import AttributeEvaluator, AttributeRecognition, boxes_of, matched
from scenekit.keys import ATTRIBUTES, OBJECTS

NAN = math.nan
NAMES = ("red", "small", "striped")


def measured(truth: Any, scores: Any, **options: Any) -> dict[str, Any]:
    metric = AttributeRecognition(NAMES, **options)
    metric.update(torch.tensor(truth), torch.tensor(scores))
    return metric.result()


def test_by_hand() -> None:
    """Red: ranked hit, miss, hit -> (1 + 2/3) / 2. Small: first of two. Striped: nowhere, so in no mean."""
    truth = [[1.0, 1, 0], [0, 0, 0], [1, 0, 0]]
    scores = [[0.9, 0.8, 0.1], [0.5, 0.3, 0.2], [0.4, 0.1, 0.6]]
    result = measured(truth, scores, few=(1, 2))
    ap = {name: numbers["AP"] for name, numbers in result["per_attribute"].items()}
    assert ap["red"] == pytest.approx(5 / 6) and ap["small"] == 1 and math.isnan(ap["striped"])
    assert result["mAP"] == pytest.approx((5 / 6 + 1) / 2)
    # The most probable attribute: red, red, striped; of the three that hold one is among them.
    assert result["mR@1"] == pytest.approx((1 / 2 + 0) / 2) and result["F1@1"] == pytest.approx(2 * 1 / (3 + 3))
    # The two most probable: red small, red small, striped red.
    assert result["mR@2"] == 1 and result["F1@2"] == pytest.approx(2 * 3 / (6 + 3))
    assert [numbers["positives"] for numbers in result["per_attribute"].values()] == [2, 1, 0]


def test_unknown_entries_count_nowhere() -> None:
    truth, scores = [[1.0, NAN, 0], [NAN, 1, 0], [0, 1, NAN]], [[0.6, 0.9, 0.1], [0.9, 0.5, 0.2], [0.3, 0.2, 0.8]]
    result = measured(truth, scores, few=(1,))
    assert result["mAP"] == 1
    # Chosen are small (unknown), red (unknown) and striped (unknown): none of them is wrong.
    assert result["mR@1"] == 0 and result["F1@1"] == 0
    assert measured([[NAN] * 3], [[0.5] * 3])["per_attribute"]["red"]["positives"] == 0


def test_missed_objects_are_never_retrieved() -> None:
    """Red holds for two objects, one of them missed: recall ends at a half, and the other one is ranked second."""
    truth, scores = [[1.0, 0, 0], [1, 0, 0], [0, 0, 0]], [[0.5, 0.1, 0.1], [NAN] * 3, [0.7, 0.1, 0.1]]
    result = measured(truth, scores, few=(1,))
    assert result["mAP"] == pytest.approx(1 / 2 * 1 / 2)
    assert result["mR@1"] == pytest.approx(1 / 2) and result["F1@1"] == pytest.approx(2 * 1 / (2 + 2))


def test_equal_scores_count_together() -> None:
    """Two of four objects of one score: precision 1/2 wherever they stand, as in scikit-learn."""
    for truth in ([1.0, 1, 0, 0], [0, 0, 1, 1]):
        result = measured([[value, 0, 0] for value in truth], [[0.5, 0, 0]] * 4)
        assert result["per_attribute"]["red"]["AP"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_torchmetrics(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(200, 3, generator=generator) < torch.tensor([0.5, 0.1, 0.02])).float()
    scores = (torch.rand(200, 3, generator=generator) * 20).round() / 20
    truth[torch.rand(200, 3, generator=generator) < 0.1] = NAN
    result = measured(truth.tolist(), scores.tolist())
    expected = multilabel_average_precision(
        scores, truth.nan_to_num(-1).long(), num_labels=3, average="none", ignore_index=-1
    )
    found = [numbers["AP"] for numbers in result["per_attribute"].values()]
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-5, atol=1e-6)


def test_merged_parts_are_the_whole() -> None:
    truth, scores = (torch.rand(40, 3) < 0.3).float(), torch.rand(40, 3)
    whole, first, second = (AttributeRecognition(NAMES, (1,)) for _ in range(3))
    whole.update(truth, scores)
    first.update(truth[:15], scores[:15])
    second.update(truth[15:], scores[15:])
    first.merge(pickle.loads(pickle.dumps(second)))
    assert first.result() == whole.result()


def test_nothing_seen() -> None:
    result = AttributeRecognition(NAMES, (1,)).result()
    assert math.isnan(result["mAP"]) and math.isnan(result["mR@1"]) and math.isnan(result["F1@1"])


def test_k_that_takes_in_everything_says_nothing() -> None:
    assert set(measured([[1.0, 0, 0]], [[0.5, 0.1, 0.1]], few=(2, 3, 15))) == {"mAP", "mR@2", "F1@2", "per_attribute"}


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([[1.0, 0]], [[0.5, 0.5]], "two arrays of 3 columns"),
        ([[1.0, 0, 0]], [[0.5] * 3] * 2, r"got truth \[1, 3\] and scores \[2, 3\]"),
        ([[2.0, 0, 0]], [[0.5] * 3], "outside of 0 to 1"),
    ],
)
def test_wrong_input_is_named(truth: Any, scores: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured(truth, scores)


def test_other_attributes_cannot_be_merged() -> None:
    with pytest.raises(InputError, match="different attributes"):
        AttributeRecognition(NAMES).merge(AttributeRecognition(("red",)))


# From scenes

VOCABULARY = sk.Vocabulary(things=("cup", "box"), attributes=NAMES)
BOXES = [[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]]


def scene(boxes: Any, values: Any, labels: Any = None, scores: Any = None, **more: Any) -> sk.Scene:
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    kinds = torch.zeros(len(rows), dtype=torch.int64) if labels is None else torch.tensor(labels)
    objects = sk.Objects(rows, kinds, None if scores is None else torch.tensor(scores))
    attributes = torch.tensor(values, dtype=torch.float32).reshape(-1, len(NAMES))
    return sk.Scene((40, 40), VOCABULARY, {OBJECTS: objects}, {ATTRIBUTES: attributes}, **more)


def labelled(truth: sk.Scene, keys: Any = (ATTRIBUTES,)) -> sk.Sample:
    return sk.Sample(torch.zeros(3, 40, 40, dtype=torch.uint8), truth, sk.Supervision(frozenset(keys)), 1)


def test_detections_choose_by_score_and_an_object_is_taken_once() -> None:
    """The second detection fits the first object better, but the first one has the better score."""
    found = scene([[0, 0, 10, 8], BOXES[0], [20, 0, 30, 4]], torch.zeros(3, 3).tolist(), scores=[0.9, 0.5, 0.8])
    assert matched(found.objects, scene(BOXES, torch.zeros(3, 3).tolist()).objects).tolist() == [0, -1, -1]
    assert matched(found.objects, sk.Objects.empty()).tolist() == [-1] * 3


def test_both_modes() -> None:
    """At its box every object is right; of the detections only one is there, of another label."""
    truth = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
    sample, evaluator = labelled(scene(BOXES, truth)), AttributeEvaluator(VOCABULARY)
    given = boxes_of(sample)
    assert isinstance(given, dict) and torch.equal(given[OBJECTS], sample.scene.objects.boxes)
    evaluator.update(sample, scene(BOXES, truth), "given")
    evaluator.update(sample, scene(BOXES[:1], truth[:1], labels=[1], scores=[0.7]))
    result = evaluator.result()
    assert result["given/mAP"] == 1 and result["found/mAP"] == pytest.approx(1 / 3)


def test_crowds_unlabelled_rows_and_other_images_are_passed_over() -> None:
    truth: Tensor = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    objects = sk.Objects(
        torch.tensor(BOXES), torch.zeros(3, dtype=torch.int64), crowd=torch.tensor([True, False, False])
    )
    partly = sk.Scene(
        (40, 40), VOCABULARY, {OBJECTS: objects}, {ATTRIBUTES: truth}, {ATTRIBUTES: torch.tensor([True, True, False])}
    )
    evaluator = AttributeEvaluator(VOCABULARY)
    for mode in ("given", None):
        evaluator.update(labelled(partly), scene(BOXES, truth.tolist(), scores=[0.5] * 3), mode)
    counts = evaluator.result()["given/per_attribute"]
    assert [counts[name]["positives"] for name in NAMES] == [0, 1, 0]
    silent = labelled(partly, keys=())
    evaluator.update(silent, scene(BOXES, truth.tolist(), scores=[0.5] * 3))
    assert evaluator.result()["found/per_attribute"]["small"]["positives"] == 1 and boxes_of(silent) is None


def test_a_image_without_objects() -> None:
    evaluator = AttributeEvaluator(VOCABULARY)
    empty = labelled(scene([], []))
    assert boxes_of(empty) is None
    evaluator.update(empty, scene(BOXES[:1], [[1.0, 0, 0]], scores=[0.5]))
    assert math.isnan(evaluator.result()["found/mAP"])
