"""Omni3D's average precision, held against the stored results of the authors' program, and cases by hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.evaluation.omni3d import Omni3DFilter, match
from scenekit.evaluation.omni3d_files import Boxes2D, is_ignored, score_omni3d_files

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d"
TRUTH, PREDICTION = FOLDER / "omni3d_eval_gt.json", FOLDER / "omni3d_eval_pred.json"
GT, PRED = (json.loads(path.read_text()) for path in (TRUTH, PREDICTION))
RESULTS = json.loads((FOLDER / "omni3d_eval_results.json").read_text())
EXACT = RESULTS["runs_with_exact_iou"]


def settings(run: dict[str, Any]) -> tuple[Omni3DFilter, Boxes2D, bool]:
    rules = RESULTS["runs"][run]["filter_settings"]
    limits = [float(rules[f"{name}_thres"]) for name in ("truncation", "visibility", "min_height", "max_height")]
    kind: Boxes2D = "trunc" if rules["trunc_2D_boxes"] else "proj"
    return Omni3DFilter(*limits, rules["max_depth"]), kind, RESULTS["runs"][run]["eval_prox"]


@pytest.mark.parametrize("name", RESULTS["runs"])
def test_every_number_of_the_authors_program(name: str) -> None:
    found = score_omni3d_files(TRUTH, PREDICTION, *settings(name))
    stored = RESULTS["runs"][name]
    assert all(found[mode].keys() <= stored[mode].keys() for mode in found)
    for mode, values in (("2D", stored["2D"]), ("3D", stored["3D"]), ("3D", EXACT[name])):
        for metric in found[mode].keys() & values.keys():
            expected = np.nan if values[metric] == -1 else values[metric]
            assert found[mode][metric] == pytest.approx(expected, abs=1e-6, nan_ok=True), (mode, metric)


@pytest.mark.parametrize("name", RESULTS["runs"])
def test_the_same_objects_are_ignored(name: str) -> None:
    rules, kind, _ = settings(name)
    heights = {image["id"]: image["height"] for image in GT["images"]}
    ignored = [
        entry["id"]
        for entry in GT["annotations"]
        if is_ignored(entry, entry[f"bbox2D_{kind}"], heights[entry["image_id"]], rules)
    ]
    assert ignored == RESULTS["runs"][name]["ignored_ann_ids"]


def test_the_usual_rules_are_the_default() -> None:
    assert score_omni3d_files(TRUTH, PREDICTION)["3D"]["AP"] == pytest.approx(
        RESULTS["runs"]["base_filter"]["3D"]["AP"]
    )


def test_objects_are_taken_by_turns() -> None:
    iou = np.array([[0.6, 0.9, 0.9], [0.6, 0.55, 0.0], [0.3, 0.3, 0.3]])
    none = np.zeros(3, dtype=bool)
    assert match(iou, none, np.array([0.5])).tolist() == [[2, 0, -1]], "the best, of equal ones the last"
    assert match(iou, np.array([False, True, True]), np.array([0.5, 0.7])).tolist() == [[0, 1, -1], [2, -1, -1]]
    assert match(iou[:, :0], none[:0], np.array([0.5])).tolist() == [[-1, -1, -1]]


def written(folder: Path, truth: Any, prediction: Any) -> tuple[Path, Path]:
    paths = folder / "gt.json", folder / "pred.json"
    for path, content in zip(paths, (truth, prediction), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_objects_without_a_valid_3d_box_and_flat_predictions_overlap_nothing(tmp_path: Path) -> None:
    truth, prediction = copy.deepcopy(GT), copy.deepcopy(PRED)
    truth["annotations"][0] |= {"valid3D": False, "bbox3D_cam": [[-1, -1, -1]] * 8}
    prediction[0]["bbox3D"] = [[0, 0, 1]] * 8
    found = score_omni3d_files(*written(tmp_path, truth, prediction))
    assert 0 < found["3D"]["AP"] < 1


def test_perfect_predictions(tmp_path: Path) -> None:
    prediction = [
        {
            "image_id": entry["image_id"],
            "category_id": entry["category_id"],
            "bbox": [entry["bbox2D_trunc"][0], entry["bbox2D_trunc"][1], *sides(entry["bbox2D_trunc"])],
            "score": 0.5,
            "depth": entry["center_cam"][2],
            "bbox3D": entry["bbox3D_cam"],
        }
        for entry in GT["annotations"]
    ]
    found = score_omni3d_files(*written(tmp_path, GT, prediction))
    assert [found[mode]["AP"] for mode in ("2D", "3D")] == pytest.approx([1, 1])


def sides(box: list[float]) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


@pytest.mark.parametrize(
    "truth, prediction, message",
    [
        ({}, [], "expected images, categories and annotations"),
        (GT, {}, "expected a list of predictions"),
        (GT, [{"image_id": 1, "category_id": 3}], "entry number 0 names image 1 and category 3, not both listed"),
        (GT, [{"image_id": 100, "category_id": 3}], "expected bbox, score, depth and bbox3D"),
        (GT, [PRED[0] | {"bbox3D": [[0, 0, 0]] * 7}], "8 corners of 3"),
        (GT, [PRED[0] | {"score": "high"}], "could not convert"),
        ({**GT, "annotations": [{"image_id": 100, "category_id": 3, "id": 4}]}, [], "annotation 4 is not as Omni3D"),
    ],
)
def test_files_that_are_not_in_order(tmp_path: Path, truth: Any, prediction: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_omni3d_files(*written(tmp_path, truth, prediction))
