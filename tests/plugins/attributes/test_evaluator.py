"""Attributes read from scenes, at the ground-truth boxes and at the detections."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.keys import ATTRIBUTES, OBJECTS
from scenekit_plugins.attributes.evaluator import AttributeEvaluator, matched_objects, target_boxes

NAMES = ("red", "small", "striped")
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
    assert matched_objects(found.objects, scene(BOXES, torch.zeros(3, 3).tolist()).objects).tolist() == [0, -1, -1]
    assert matched_objects(found.objects, sk.Objects.empty()).tolist() == [-1] * 3


def test_both_modes() -> None:
    """At its box every object is right; of the detections only one is there, of another label."""
    truth = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
    sample, evaluator = labelled(scene(BOXES, truth)), AttributeEvaluator(VOCABULARY)
    given = target_boxes(sample)
    assert isinstance(given, dict) and torch.equal(given[OBJECTS], sample.scene.objects.boxes)
    evaluator.update(sample, scene(BOXES, truth), "given")
    evaluator.update(sample, scene(BOXES[:1], truth[:1], labels=[1], scores=[0.7]))
    result = evaluator.result()
    assert result["given/mAP"] == 1 and result["found/mAP"] == pytest.approx(1 / 3)


def test_crowds_unlabelled_rows_and_other_images_are_skipped() -> None:
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
    assert evaluator.result()["found/per_attribute"]["small"]["positives"] == 1 and target_boxes(silent) is None


def test_a_image_without_objects() -> None:
    evaluator = AttributeEvaluator(VOCABULARY)
    empty = labelled(scene([], []))
    assert target_boxes(empty) is None
    evaluator.update(empty, scene(BOXES[:1], [[1.0, 0, 0]], scores=[0.5]))
    assert math.isnan(evaluator.result()["found/mAP"])
