"""Attribute metrics: worked by hand, and against torchmetrics."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch
from torchmetrics.functional.classification import multilabel_average_precision

from scenekit.errors import InputError
from scenekit.metrics.attributes import AttributeRecognition

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
    result = measured(truth, scores, cutoffs=(1, 2))
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
    result = measured(truth, scores, cutoffs=(1,))
    assert result["mAP"] == 1
    # Chosen are small (unknown), red (unknown) and striped (unknown): none of them is wrong.
    assert result["mR@1"] == 0 and result["F1@1"] == 0
    assert measured([[NAN] * 3], [[0.5] * 3])["per_attribute"]["red"]["positives"] == 0


def test_missed_objects_are_never_retrieved() -> None:
    """Red holds for two objects, one of them missed: recall ends at a half, and the other one is ranked second."""
    truth, scores = [[1.0, 0, 0], [1, 0, 0], [0, 0, 0]], [[0.5, 0.1, 0.1], [NAN] * 3, [0.7, 0.1, 0.1]]
    result = measured(truth, scores, cutoffs=(1,))
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
    assert set(measured([[1.0, 0, 0]], [[0.5, 0.1, 0.1]], cutoffs=(2, 3, 15))) == {
        "mAP",
        "mR@2",
        "F1@2",
        "per_attribute",
    }


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([[1.0, 0]], [[0.5, 0.5]], "expected two arrays of 3 columns"),
        ([[1.0, 0, 0]], [[0.5] * 3] * 2, r"got targets \[1, 3\] and scores \[2, 3\]"),
        ([[2.0, 0, 0]], [[0.5] * 3], "outside of 0 to 1"),
    ],
)
def test_wrong_input_is_named(truth: Any, scores: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured(truth, scores)


def test_other_attributes_cannot_be_merged() -> None:
    with pytest.raises(InputError, match="different attributes"):
        AttributeRecognition(NAMES).merge(AttributeRecognition(("red",)))
