"""Descriptions of regions measured from scenes: by hand, and against the metric fed with plain lists."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit.keys import CAPTIONS, OBJECTS, PHRASE_CAPTIONS, PHRASES, Key, Stream
from scenekit.metrics.dense_captions.average_precision import DenseCaptioning
from scenekit.scene import Objects, Scene
from scenekit.structures import Captions, Vocabulary
from scenekit_plugins.captions.evaluator import CaptionEvaluator

VOCABULARY = Vocabulary(("cup",))
BOXES = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 40.0, 10.0], [0.0, 20.0, 30.0, 40.0]]
TEXTS = [("a red cup", "the cup"), ("two blue balls",), ("a man left of a table",)]
KEYS: dict[Key[Captions, Captions], Stream] = {PHRASE_CAPTIONS: PHRASES, CAPTIONS: OBJECTS}


def scene(
    texts: Sequence[Sequence[str]] = TEXTS,
    scores: Sequence[float] | None = None,
    key: Key[Captions, Captions] = PHRASE_CAPTIONS,
) -> Scene:
    count = len(texts)
    regions = Objects(
        torch.tensor(BOXES[:count]).reshape(-1, 4),
        torch.zeros(count, dtype=torch.int64),
        None if scores is None else torch.tensor(scores),
    )
    return Scene((50, 50), VOCABULARY, {KEYS[key]: regions}, {key: Captions(tuple(map(tuple, texts)))})


def told(truth: Scene) -> Sample:
    supervision = Supervision(frozenset(truth.values), streams=frozenset(truth.streams))
    return Sample(torch.zeros(3, 50, 50, dtype=torch.uint8), truth, supervision, 0)


def measured(*pairs: tuple[Scene, Scene], **options: str) -> dict[str, float]:
    evaluator = CaptionEvaluator(VOCABULARY, **options)
    for truth, prediction in pairs:
        evaluator.update(told(truth), prediction)
    return evaluator.result()


def test_the_truth_is_right() -> None:
    result = measured((scene(), scene([texts[:1] for texts in TEXTS], [0.9, 0.8, 0.7])))
    assert result["mAP (unigram-F)"] == result["detection mAP"] == 1
    assert result["BLEU-4"] == pytest.approx(1) and result["ROUGE-L"] == pytest.approx(1) and result["CIDEr-D"] > 5


def test_the_language_score_stands_in_the_name() -> None:
    names = list(measured((scene(), scene(scores=[0.9, 0.8, 0.7]))))
    assert names == ["mAP (unigram-F)", "detection mAP", "CIDEr-D", "BLEU-4", "ROUGE-L"]
    assert next(iter(CaptionEvaluator(VOCABULARY, language="METEOR").result())) == "mAP (METEOR)"
    with pytest.raises(InputError, match="unknown language score 'meteor'"):
        CaptionEvaluator(VOCABULARY, language="meteor")


def test_same_as_the_metric_itself() -> None:
    """Ranked by the score of the regions, not by that of the texts."""
    said = [("a red ball",), ("zebra",), ("a table",)]
    scores = [0.2, 0.9, 0.5]
    prediction = scene(said, scores)
    captions = replace(prediction[PHRASE_CAPTIONS], scores=torch.tensor([0.9, 0.1, 0.3]))
    found = measured((scene(), replace(prediction, values={PHRASE_CAPTIONS: captions})))
    metric = DenseCaptioning()
    metric.update(BOXES, TEXTS, BOXES, [texts[0] for texts in said], scores)
    assert found["mAP (unigram-F)"] == metric.result()["mAP"] and 0 < found["mAP (unigram-F)"] < 1
    assert found["CIDEr-D"] == metric.text_scores()["CIDEr-D"]


def test_objects_are_measured_beside() -> None:
    both = replace(
        scene(),
        streams={**scene().streams, **scene(key=CAPTIONS).streams},
        values={**scene().values, CAPTIONS: Captions(((), ("a ball",), ("a man",)))},
        valid={CAPTIONS: torch.tensor([False, True, True])},
    )
    result = measured((both, both))
    assert result["objects: mAP (unigram-F)"] == 1
    only_objects = measured((scene(key=CAPTIONS), scene(key=CAPTIONS)))
    assert only_objects["objects: mAP (unigram-F)"] == 1
    assert all(name.startswith("objects: ") for name in only_objects), "phrases were not measured"


def test_skipped_where_nobody_described_regions() -> None:
    truth, prediction = scene(), scene(scores=[0.9, 0.8, 0.7])
    evaluator = CaptionEvaluator(VOCABULARY)
    silent = told(replace(truth, values={}))
    evaluator.update(silent, prediction)
    evaluator.update(replace(told(truth), supervision=Supervision(frozenset(), streams=frozenset())), prediction)
    assert (
        math.isnan(evaluator.result()["mAP (unigram-F)"])
        and evaluator.metrics[PHRASE_CAPTIONS].result()["detections"] == 0
    )


def test_descriptions_without_a_word_do_not_count() -> None:
    said, scores = [texts[:1] for texts in TEXTS], [0.9, 0.8, 0.7]
    full = measured((scene(), scene(said, scores)))
    truth = scene([*TEXTS[:2], ("",)])
    assert measured((truth, scene(said[:2], scores[:2]))) == measured((truth, scene([*said[:2], (" ",)], scores)))
    assert measured((scene(), scene([*said[:2], ()], scores)))["detection mAP"] < full["detection mAP"]


def test_no_region_at_all() -> None:
    assert measured((scene(), scene([], [])))["mAP (unigram-F)"] == 0
    assert math.isnan(measured((scene([]), scene(scores=[0.9, 0.8, 0.7])))["mAP (unigram-F)"])


def test_two_that_saw_different_images() -> None:
    first = (scene(), scene(scores=[0.9, 0.8, 0.7]))
    second = (scene(), scene([("a cup",)], [0.3]))
    apart = [CaptionEvaluator(VOCABULARY) for _ in range(2)]
    for evaluator, (truth, prediction) in zip(apart, (first, second), strict=True):
        evaluator.update(told(truth), prediction)
    apart[0].merge(pickle.loads(pickle.dumps(apart[1])))
    assert apart[0].result() == measured(first, second)
