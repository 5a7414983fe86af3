"""Omni3D's average precision, held against the stored results of the authors' program, and cases by hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.metrics.common import match
from scenekit.metrics.omni3d.average_precision import Omni3DFilter
from scenekit.metrics.omni3d.files import Boxes2D, is_ignored, score_omni3d_files

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


def test_an_object_seen_but_without_3d_box_takes_detections_without_counting(tmp_path: Path) -> None:
    """It has neither a projected box nor one cut off, only that of its pixels."""
    truth, entry = copy.deepcopy(GT), GT["annotations"][0]
    nothing = {"bbox2D_trunc": [-1] * 4, "bbox2D_proj": [-1] * 4, "bbox3D_cam": [[-1] * 3] * 8, "valid3D": False}
    truth["annotations"] = [entry | nothing | {"bbox2D_tight": entry["bbox2D_trunc"]}, *GT["annotations"]]
    truth["annotations"][0]["image_id"] = other = next(
        image["id"] for image in GT["images"] if image["id"] != entry["image_id"]
    )
    stray = {
        "image_id": other,
        "category_id": entry["category_id"],
        "bbox": [*entry["bbox2D_trunc"][:2], *sides(entry["bbox2D_trunc"])],
        "score": 1.0,
        "depth": 5.0,
        "bbox3D": entry["bbox3D_cam"],
    }
    alone = score_omni3d_files(*written(tmp_path, GT, PRED))["2D"]["AP"]
    assert score_omni3d_files(*written(tmp_path, truth, [*PRED, stray]))["2D"]["AP"] == alone
    assert score_omni3d_files(*written(tmp_path, GT, [*PRED, stray]))["2D"]["AP"] < alone


def test_boxes_without_volume_are_ignored() -> None:
    entry = next(row for row in GT["annotations"] if row["id"] not in RESULTS["runs"]["base_filter"]["ignored_ann_ids"])
    height = next(image["height"] for image in GT["images"] if image["id"] == entry["image_id"])
    rules, kind, _ = settings("base_filter")
    box = entry[f"bbox2D_{kind}"]
    assert not is_ignored(entry, box, height, rules)
    assert is_ignored(entry | {"dimensions": [1.0, 0.0, 2.0]}, box, height, rules)


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
        ({}, [], "expected a JSON object with a list 'images'"),
        ({**GT, "annotations": None}, [], "expected a list of objects, one per annotation, got null"),
        ({**GT, "images": [GT["images"][0] | {"height": 0}]}, [], "'height' must be above 0, not 0"),
        ({**GT, "images": [GT["images"][0] | {"height": None}]}, [], "'height' must be a finite number, not null"),
        (GT, {}, "expected a list of objects, one per prediction"),
        (GT, [None], "expected a list of objects, one per prediction"),
        (GT, [{"image_id": 1, "category_id": 3}], "prediction number 0: 'image_id' is 1, which the ground truth does"),
        (GT, [{"image_id": 100, "category_id": 3}], "prediction number 0 has no 'bbox'"),
        (GT, [PRED[0] | {"bbox3D": [[0, 0, 0]] * 7}], "'bbox3D' must be 8 corners of 3 finite numbers"),
        (GT, [PRED[0] | {"score": "high"}], "'score' must be a finite number"),
        (
            {**GT, "annotations": [{"image_id": 100, "category_id": 3, "id": 4}]},
            [],
            "annotation id 4 has no 'bbox3D_cam'",
        ),
        (
            {**GT, "annotations": [{k: v for k, v in GT["annotations"][0].items() if k != "valid3D"}]},
            [],
            "not an annotation in Omni3D's layout",
        ),
        (
            {**GT, "annotations": [GT["annotations"][0] | {"bbox2D_trunc": [0, 1, 2, np.nan]}]},
            [],
            r"a 2D box must be 4 finite numbers, not \[0, 1, 2, NaN\]",
        ),
    ],
)
def test_files_that_are_not_in_order(tmp_path: Path, truth: Any, prediction: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_omni3d_files(*written(tmp_path, truth, prediction))
