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
from scenekit.metrics.notes import Notes
from scenekit.metrics.omni3d.average_precision import Omni3DAP, Omni3DFilter, Omni3DObjects
from scenekit.metrics.omni3d.files import Boxes2D, box_of, is_ignored, matched_box, score_omni3d_files

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


def test_only_the_box_of_the_visible_pixels() -> None:
    entry = {"bbox2D_tight": [1, 2, 3, 4]}
    assert box_of(entry, "trunc") == [-1] * 4 and matched_box(entry, "trunc") == [1, 2, 3, 4]


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


def without_boxes(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if not name.startswith("bbox2D")}


def cube(x: float) -> np.ndarray:
    """Corners of a cube of 2 m whose center is 10 m away."""
    unit = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    return np.array(unit, dtype=float) * 2 + (x - 1, -1, 9)


def cubes(boxes: list[list[float]], places: list[float], scores: list[float] | None = None) -> Omni3DObjects:
    return Omni3DObjects(
        np.array(boxes, dtype=float),
        np.stack([cube(x) for x in places]),
        np.full(len(boxes), 10.0),
        np.zeros(len(boxes), dtype=bool),
        np.array(scores or [0.0] * len(boxes)),
    )


NEAR, ELSEWHERE, AT_THE_LIMIT = [0, 0, 10, 10], [40, 40, 50, 50], [0, 7, 10, 10]  # IoU 1, 0, 0.3


@pytest.mark.parametrize(
    ("targets", "detections", "expected"),
    [
        (([NEAR], [0.0]), ([NEAR], [0.0], [0.9]), 1),
        (([NEAR], [0.0]), ([ELSEWHERE], [0.0], [0.9]), 0),  # equal in 3D, but far in the image: ignored
        (([NEAR], [0.0]), ([AT_THE_LIMIT], [0.0], [0.9]), 0),  # 0.3 is not above 0.3
        (([NEAR], [0.0]), ([ELSEWHERE, NEAR], [0.0, 0.0], [0.9, 0.8]), 1),  # the far one is no false positive
        (([NEAR, ELSEWHERE], [5.0, 0.0]), ([NEAR], [0.0], [0.9]), 0),  # near one object, equal in 3D to the other
        (([NEAR, ELSEWHERE], [5.0, 0.0]), ([NEAR, ELSEWHERE], [0.0, 0.0], [0.9, 0.8]), 51 / 101 / 2),
    ],
)
def test_in_proximity_only_pairs_that_are_close_in_the_image_match(
    targets: Any, detections: Any, expected: float
) -> None:
    """The last: a false positive, then one of two objects: precision 1/2 at the recalls 0 to 0.5."""
    scores = Omni3DAP(["cup"], proximity=True)
    scores.update("cup", cubes(*targets), cubes(*detections))
    assert scores.result()["3D"]["AP"] == pytest.approx(expected)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="'scores' number 0 holds nan"):
        Omni3DAP(["cup"]).update("cup", cubes([NEAR], [0.0]), cubes([NEAR], [0.0], [np.nan]))


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    distinct = [row | {"score": 1 - n / 100} for n, row in enumerate(PRED)]
    scores = [score_omni3d_files(*written(tmp_path, GT, rows))["3D"]["AP"] for rows in (distinct, distinct[::-1])]
    assert scores[0] == scores[1] > 0


def test_ids_of_any_kind_and_categories_of_one_name(tmp_path: Path) -> None:
    truth, prediction = copy.deepcopy(GT), copy.deepcopy(PRED)
    for record in (*truth["images"], *truth["categories"]):
        record["id"] = float(record["id"]) if "height" in record else f"c{record['id']}"
        record |= {} if "height" in record else {"name": "thing"}
    for record in (*truth["annotations"], *prediction):
        record["category_id"] = f"c{record['category_id']}"
    scores = score_omni3d_files(*written(tmp_path, truth, prediction))["3D"]
    assert list(scores["per_category_AP"]) == ["thing"]
    for record in truth["categories"]:
        record["name"] = record["id"]
    scores = score_omni3d_files(*written(tmp_path, truth, prediction))["3D"]
    assert scores["AP"] == pytest.approx(score_omni3d_files(TRUTH, PREDICTION)["3D"]["AP"])


def test_ignored_objects_are_counted(tmp_path: Path) -> None:
    notes = Notes()
    score_omni3d_files(TRUTH, PREDICTION, notes=notes)
    ignored = len(RESULTS["runs"]["base_filter"]["ignored_ann_ids"])
    assert [line.split(" is ")[1] for line in notes.lines()] == [f"ignored by the protocol's rules ({ignored} such)"]
    notes = Notes()
    score_omni3d_files(*written(tmp_path, {**GT, "annotations": []}, []), notes=notes)
    assert "has no object that counts; nothing is measured" in notes.lines()[0]


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
            "annotation id 4 has no 'center_cam'",
        ),
        (
            {**GT, "annotations": [{k: v for k, v in GT["annotations"][0].items() if k != "valid3D"}]},
            [],
            "annotation id 1 has no 'valid3D'",
        ),
        (
            {**GT, "annotations": [GT["annotations"][0] | {"bbox2D_trunc": [0, 1, 2, np.nan]}]},
            [],
            r"'bbox2D_trunc' must be 4 finite numbers, not \[0, 1, 2, NaN\]",
        ),
        *(
            ({**GT, "annotations": [GT["annotations"][0] | {name: value}]}, [], f"annotation id 1: '{name}' must be")
            for name, value in {
                "dimensions": [],
                "center_cam": [0, 0, 10**400],
                "bbox2D_tight": "none",
                "bbox2D_proj": [0, 0, 4, 1e308],
                "truncation": "0.5",
                "visibility": [1],
                "lidar_pts": True,
                "depth_error": {},
                "valid3D": "false",
                "behind_camera": 2,
                "bbox3D_cam": [[0, 0, 10**400]] * 8,
            }.items()
        ),
        ({**GT, "annotations": [without_boxes(GT["annotations"][0])]}, [], "annotation id 1 has no 2D box; expected o"),
        (GT, [PRED[0] | {"bbox": [5, 5, -1, 2]}], "prediction number 0: 'bbox' must be x, y, width, height, neither"),
    ],
)
def test_files_that_are_not_in_order(tmp_path: Path, truth: Any, prediction: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score_omni3d_files(*written(tmp_path, truth, prediction))
