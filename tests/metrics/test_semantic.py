"""mIoU and its relatives, held against detectron2's numbers and a case worked by hand."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit.metrics.semantic.mean_iou import SemanticSegmentation

REFERENCE = Path(__file__).parents[1] / "reference"
CLASSES = [f"c{i}" for i in range(8)]


@pytest.fixture(scope="module")
def maps() -> dict[str, np.ndarray]:
    """`gt` and `pred` [4 H W] with their confusion matrix."""
    with np.load(REFERENCE / "semantic_miou.npz") as arrays:
        return dict(arrays)


def test_equals_detectron2(maps: dict[str, np.ndarray]) -> None:
    expected = json.loads((REFERENCE / "semantic_miou.json").read_text())
    score = SemanticSegmentation(CLASSES)
    for truth, prediction in zip(maps["gt"], maps["pred"], strict=True):
        score.update(truth, torch.from_numpy(prediction))
    result = score.result()
    assert (score.confusion == maps["confusion_pred_rows_gt_columns"]).all()
    per_class = {f"{metric}-{name}": row[metric] for name, row in result.pop("per_class").items() for metric in row}
    percent = {name: 100 * value for name, value in {**result, **per_class}.items()}
    wanted = {name: float("nan") if value is None else value for name, value in expected.items()}
    assert percent == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_merging_processes_equals_one(maps: dict[str, np.ndarray]) -> None:
    whole, first, second = (SemanticSegmentation(CLASSES) for _ in range(3))
    whole.update(maps["gt"], maps["pred"])
    first.update(maps["gt"][:1], maps["pred"][:1])
    second.update(maps["gt"][1:], maps["pred"][1:])
    second.merge(pickle.loads(pickle.dumps(first)))
    assert second.result()["mIoU"] == whole.result()["mIoU"]
    with pytest.raises(InputError, match="cannot merge"):
        whole.merge(SemanticSegmentation(["other"]))


def test_worked_by_hand() -> None:
    """Truth a a a b, one pixel ignored; predicted a a c b: IoU of a 2/3, of b 1, c has no truth."""
    score = SemanticSegmentation(["a", "b", "c"], ignore_label=-1)
    score.update(np.array([[0, 0, 0, 1, -1]]), np.array([[0, 0, 2, 1, 1]]))
    result = score.result()
    assert result["mIoU"] == pytest.approx((2 / 3 + 1) / 2)
    assert result["fwIoU"] == pytest.approx((3 * 2 / 3 + 1) / 4)
    assert (result["mACC"], result["pACC"]) == pytest.approx(((2 / 3 + 1) / 2, 3 / 4))
    assert np.isnan(result["per_class"]["c"]["IoU"])


def test_an_undecided_pixel_is_a_miss() -> None:
    """Truth a a a b, one pixel ignored; predicted a, twice undecided, a for b, undecided: IoU of a 1/4, of b 0."""
    score = SemanticSegmentation(["a", "b"], ignore_label=-1)
    score.update(np.array([[0, 0, 0, 1, -1]]), np.array([[0, -1, -1, 0, -1]]))
    result = score.result()
    assert {name: row["IoU"] for name, row in result["per_class"].items()} == {"a": 1 / 4, "b": 0}
    assert (result["per_class"]["a"]["ACC"], result["pACC"]) == pytest.approx((1 / 3, 1 / 4))


def test_without_ground_truth_all_is_undefined() -> None:
    score = SemanticSegmentation(["a"])
    score.update(np.full((2, 2), 255), np.zeros((2, 2), dtype=np.int64))
    assert all(np.isnan(score.result()[name]) for name in ("mIoU", "fwIoU", "mACC", "pACC"))


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "shape"),
        (np.full((2, 2), 3), np.zeros((2, 2), int), "ground-truth label map holds 3; expected 0 to 1 or 255"),
        (np.zeros((2, 2), int), np.full((2, 2), 254), "predicted label map holds 254; expected 0 to 1 or 255"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "holds -1"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), "must hold integers, not float64"),
    ],
)
def test_bad_maps_are_refused(truth: np.ndarray, prediction: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SemanticSegmentation(["a", "b"]).update(truth, prediction)


def test_ignore_label_must_not_be_a_class() -> None:
    with pytest.raises(InputError, match="the label of 'b'"):
        SemanticSegmentation(["a", "b"], ignore_label=1)
