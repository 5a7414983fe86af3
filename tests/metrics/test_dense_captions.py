"""Dense-captioning mAP, held against DenseCap's evaluation program and cases worked by hand."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.metrics.dense_captions.average_precision import (
    RECALLS,
    TO_PIXEL_CENTERS,
    DenseCaptioning,
    assigned,
    average_precision,
    mean_boxes,
    merged_regions,
)
from scenekit.metrics.dense_captions.language import CORPUS_SCORES

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "reference" / "captions" / "densecap_eval.json").read_text()
)
SETS = [name for name in CASES if name != "recall_thresholds"]


def half_open(boxes: list[list[float]]) -> np.ndarray:
    """From (x center, y center, w, h), whose corners x +- (w - 1) / 2 are pixels that belong to the box."""
    centers, sizes = np.split(np.array(boxes, dtype=float).reshape(-1, 4), 2, axis=1)
    return np.hstack((centers - sizes / 2, centers + sizes / 2))


class Given:
    """The language scores that the cases state; texts are replaced by `image detection` and `image truth`."""

    def __init__(self, images: list[dict[str, Any]]) -> None:
        self.tables = [image["meteor"] for image in images]

    def __call__(self, candidates: Any, references: Any) -> np.ndarray:
        return np.array([self.best(text, texts) for text, texts in zip(candidates, references, strict=True)])

    def best(self, text: str, texts: list[str]) -> float:
        image, detection = map(int, text.split())
        return max(self.tables[image][detection][int(reference.split()[1])] for reference in texts)


def measured(name: str, **options: Any) -> DenseCaptioning:
    images = CASES[name]["images"]
    metric = DenseCaptioning(Given(images), "given", **options)
    for i, image in enumerate(images):
        metric.update(
            half_open(image["gt_boxes"]),
            [[f"{i} {j}"] for j in range(len(image["gt_boxes"]))],
            half_open(image["boxes"]),
            [f"{i} {j}" for j in range(len(image["boxes"]))],
            image["logprobs"],
        )
    return metric


def as_reported(result: dict[str, Any]) -> dict[str, Any]:
    """By the names of the Lua program."""
    rows = result["breakdown"].items()
    return {
        "map": result["mAP"],
        "detmap": result["detection_mAP"],
        "ap_breakdown": {f"ov{t}_score{s}": ap for t, row in rows for s, ap in row.items() if s != "detection"},
        "det_breakdown": {f"ov{t}": row["detection"] for t, row in rows},
    }


@pytest.mark.parametrize(("block", "quirk"), [("result_lua", True), ("result_no_last_gt_quirk", False)])
@pytest.mark.parametrize("name", SETS)
def test_equal_to_densecap(name: str, block: str, quirk: bool) -> None:
    result, expected = measured(name, last_region=quirk).result(), CASES[name][block]
    for part, values in as_reported(result).items():
        assert values == pytest.approx(expected[part], abs=1e-9, rel=0)
    assert (result["regions"], result["language_score"]) == (CASES[name]["npos"], "given")
    assert result["detections"] == CASES[name]["result_no_last_gt_quirk"]["num_records"]


@pytest.mark.parametrize("name", SETS)
def test_regions_and_records_equal_densecaps(name: str) -> None:
    for image, expected in zip(CASES[name]["images"], CASES[name]["per_image"], strict=True):
        truth = half_open(image["gt_boxes"])
        groups = merged_regions(truth)
        assert groups == expected["groups"]
        merged = mean_boxes(truth, groups)
        assert merged + TO_PIXEL_CENTERS == pytest.approx(np.array(expected["merged_boxes"]), abs=1e-9)
        order = np.argsort(-np.array(image["logprobs"]), kind="stable")
        assert order.tolist() == expected["order"]
        region, iou, first = assigned(merged, half_open(image["boxes"])[order], last_region=True)
        records = np.array(expected["records"])
        assert first.tolist() == records[:, 0].tolist() and region.tolist() == records[:, 2].tolist()
        assert iou == pytest.approx(records[:, 1], abs=1e-9)


def test_recall_thresholds_carry_their_rounding_errors() -> None:
    assert RECALLS.tolist() == CASES["recall_thresholds"]


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of 4 regions: precision 1 below recall 1/4, 2/3 below 2/4; t[25] > .25, t[50] > .5."""
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx((25 + 25 * 2 / 3) / 100)
    assert average_precision(np.zeros(0, dtype=bool), 4) == 0 and np.isnan(average_precision(np.array([True]), 0))


def test_a_far_detection_takes_the_last_region_only_as_an_option() -> None:
    regions, boxes = np.array([[0.0, 0, 10, 10]]), np.array([[50.0, 50, 60, 60], [0, 0, 10, 10]])
    assert assigned(regions, boxes)[2].tolist() == [False, True]
    assert assigned(regions, boxes, last_region=True)[2].tolist() == [True, False]


BOXES = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]
CAPTIONS = [["a red dog"], ["the dog is red"], ["blue sky", "a blue sky"]]


def test_the_default_score_reads_the_texts() -> None:
    """The first two regions are one; one text is right word by word, the other has nothing in common."""
    metric = DenseCaptioning()
    metric.update(BOXES, CAPTIONS, [BOXES[0], BOXES[2]], ["the dog is red", "green grass"], [0.9, 0.8])
    result = metric.result()
    assert (result["language_score"], result["regions"]) == ("unigram-F", 2)
    assert (result["mAP"], result["detection_mAP"]) == (0.5, 1)
    texts = metric.text_scores()
    assert texts["texts"] == 2 and texts.keys() == {*CORPUS_SCORES, "texts"}
    assert texts["ROUGE-L"] == pytest.approx(0.5)


def test_images_without_regions_or_detections() -> None:
    metric = DenseCaptioning()
    assert np.isnan(metric.result()["mAP"])
    metric.update([], [], [[0, 0, 5, 5]], ["a dog"], [0.5])
    metric.update(BOXES, CAPTIONS, [], [], [])
    result = metric.result()
    assert (result["mAP"], result["regions"], result["detections"]) == (0, 2, 1)


def test_merging_equals_one_process() -> None:
    def half(images: slice) -> DenseCaptioning:
        metric = DenseCaptioning()
        for image in CASES["random"]["images"][images]:
            truth = [[text] for text in image["gt_captions"]]
            boxes = half_open(image["boxes"])
            metric.update(half_open(image["gt_boxes"]), truth, boxes, image["captions"], image["logprobs"])
        return metric

    parts = half(slice(1)), half(slice(1, None))
    parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    assert parts[0].result() == half(slice(None)).result()
    with pytest.raises(InputError, match="cannot be merged"):
        parts[0].merge(DenseCaptioning(name="METEOR"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [0.5]}, "1 'scores' for 3 'boxes'"),
        ({"captions": ["a"]}, "1 'captions' for 3 'boxes'"),
        ({"scores": [0.5, float("nan"), 1]}, "'scores' number 1 holds nan"),
        ({"boxes": [[0, 0, 1]] * 3}, "'boxes' must be rows of 4 numbers"),
        ({"target_captions": [["a"]]}, "1 'captions' for 3 'boxes'"),
    ],
)
def test_bad_arrays_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"target_boxes": BOXES, "target_captions": CAPTIONS, "boxes": BOXES}
    good |= {"captions": ["a", "b", "c"], "scores": [1, 2, 3]}
    with pytest.raises(InputError, match=message):
        DenseCaptioning().update(**{**good, **change})


def test_a_language_score_must_give_one_number_per_text() -> None:
    metric = DenseCaptioning(lambda candidates, references: np.ones(5), "five")
    metric.update(BOXES, CAPTIONS, BOXES[:1], ["a dog"], [0.5])
    with pytest.raises(InputError, match="5 'scores by five' for 1 'texts'"):
        metric.result()
