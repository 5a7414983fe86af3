"""KITTI's average precision, held against the stored results of a public evaluator, and cases by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.metrics.kitti.average_precision import (
    CLASSES,
    DIFFICULTIES,
    METRICS,
    MIN_OVERLAPS,
    KittiAP,
    Metric,
    overlaps,
    recall_thresholds,
)
from scenekit.metrics.kitti.files import read_objects, score_kitti_files
from scenekit.metrics.notes import Notes

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d" / "kitti"
STORED = json.loads((FOLDER / "results.json").read_text())["results"]
OVERLAPS = np.load(FOLDER / "overlaps.npz")
NAMES = {"2D": "bbox", "AOS": "aos", "BEV": "bev", "3D": "3d"}
LEVELS = ("strict", "loose")

CAR = "Car 0 0 0.3 100 100 200 180 1.5 1.6 4 2 1.6 20 0.4"


@pytest.fixture(scope="module")
def accumulated() -> KittiAP:
    scores = KittiAP()
    for path in sorted((FOLDER / "label_2").glob("*.txt")):
        scores.update(read_objects(path), read_objects(FOLDER / "pred" / path.name, scored=True))
    return scores


def test_every_average_as_stored(accumulated: KittiAP) -> None:
    found = accumulated.result()
    for metric, stored in NAMES.items():
        for kind in ("AP11", "AP40"):
            for c, name in enumerate(CLASSES):
                for d, difficulty in enumerate(DIFFICULTIES):
                    for o, level in enumerate(LEVELS):
                        key = f"KITTI/{name}_{metric}_{kind}_{difficulty.name}_{level}"
                        assert found[key] == pytest.approx(STORED[stored][kind][c][d][o], abs=1e-4), key


def test_the_names_of_the_public_evaluator(accumulated: KittiAP) -> None:
    found = accumulated.result()
    assert {name: found[name] for name in STORED["kitti_eval_dict"]} == pytest.approx(
        STORED["kitti_eval_dict"], abs=1e-4
    )


@pytest.mark.parametrize("metric", METRICS)
def test_every_point_of_the_curves_as_stored(accumulated: KittiAP, metric: Metric) -> None:
    for c, name in enumerate(CLASSES):
        for d, difficulty in enumerate(DIFFICULTIES):
            for o, level in enumerate(LEVELS):
                curves = accumulated.curves(name, difficulty, metric, MIN_OVERLAPS[name][level][metric])
                for shown, curve in curves.items():
                    stored = STORED[NAMES[shown]]["precision41"][c][d][o]
                    np.testing.assert_allclose(curve, stored, atol=1e-6)


def test_overlaps_as_stored() -> None:
    for path in sorted((FOLDER / "label_2").glob("*.txt")):
        truth, prediction = read_objects(path), read_objects(FOLDER / "pred" / path.name, scored=True)
        kept = ~truth.named("DontCare")
        for metric, found in overlaps(truth, prediction).items():
            stored = OVERLAPS[f"{NAMES[metric]}/{path.stem}"]
            np.testing.assert_allclose(found[:, kept], stored[:, kept], atol=1e-5)


def test_thresholds_where_recall_grows_in_steps() -> None:
    scores = np.linspace(1, 0, 101)[:100]
    assert len(recall_thresholds(scores, 100)) == 41
    assert recall_thresholds(scores[:50], 100)[-1] == scores[49]
    assert recall_thresholds(scores[:3], 3).tolist() == scores[:3].tolist()
    assert len(recall_thresholds(scores[:0], 3)) == 0


def score(folder: Path, truth: str, prediction: str, notes: Notes | None = None) -> dict[str, float]:
    for name, text in (("label_2", truth), ("pred", prediction)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "000000.txt").write_text(text, encoding="utf-8")
    return score_kitti_files(folder / "label_2", folder / "pred", notes=notes)


def test_one_car_found_is_one_place_of_the_curve(tmp_path: Path) -> None:
    found = score(tmp_path, CAR, f"{CAR} 0.9")
    for metric in NAMES:
        assert found[f"KITTI/Car_{metric}_AP11_easy_strict"] == pytest.approx(100 / 11)
        assert found[f"KITTI/Car_{metric}_AP40_easy_strict"] == 0
    assert np.isnan(found["KITTI/Cyclist_3D_AP40_easy_strict"])


def test_a_car_seen_from_behind_loses_orientation_only(tmp_path: Path) -> None:
    found = score(tmp_path, CAR, f"{CAR.replace('0.3', str(0.3 + np.pi))} 0.9")
    assert found["KITTI/Car_AOS_AP11_easy_strict"] == pytest.approx(0)
    assert found["KITTI/Car_2D_AP11_easy_strict"] == pytest.approx(100 / 11)


@pytest.mark.parametrize("other", ["Van", "DontCare"])
def test_what_excuses_false_positives(tmp_path: Path, other: str) -> None:
    """A higher score on a van, or in a region of DontCare, halves nothing; on an empty place it does."""
    place = "0 0 0.3 400 100 500 180"
    wrong = f"Car {place} 1.5 1.6 4 9 1.6 20 0.4 0.95"
    real = f"{other} {place} 1.5 1.6 4 9 1.6 20 0.4"
    clean = score(tmp_path, f"{CAR}\n{real}", f"{CAR} 0.9\n{wrong}")
    alone = score(tmp_path, CAR, f"{CAR} 0.9\n{wrong}")
    assert clean["KITTI/Car_2D_AP11_easy_strict"] == pytest.approx(100 / 11)
    assert alone["KITTI/Car_2D_AP11_easy_strict"] == pytest.approx(50 / 11)
    in_space = 100 / 11 if other == "Van" else 50 / 11  # DontCare has a meaning in the image only
    assert clean["KITTI/Car_3D_AP11_easy_strict"] == pytest.approx(in_space)


def test_no_detections(tmp_path: Path) -> None:
    assert score(tmp_path, CAR, "")["KITTI/Car_3D_AP40_hard_loose"] == 0


def test_boxes_without_volume_overlap_nothing(tmp_path: Path) -> None:
    found = score(tmp_path, CAR, f"{CAR.replace('1.5 1.6 4', '1.5 0 4')} 0.9")
    assert found["KITTI/Car_2D_AP11_easy_strict"] == pytest.approx(100 / 11)
    assert found["KITTI/Car_3D_AP11_easy_strict"] == 0


@pytest.mark.parametrize(
    "line, message",
    [
        ("Car 0 0", "line 2: expected a class and 15 numbers, the last a score, got 3 columns"),
        (CAR, "got 15 columns"),
        (CAR.replace("1.5", "tall") + " 0.9", "could not convert string to float: 'tall'"),
        (CAR + " nan", "expected finite numbers"),
        (CAR.replace("200 180", "20 180") + " 0.9", "is reversed"),
    ],
)
def test_lines_that_are_not_in_order(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(tmp_path, CAR, f"{CAR} 0.9\n{line}")


def test_folders_that_are_not_in_order(tmp_path: Path) -> None:
    score(tmp_path, CAR, f"{CAR} 0.9")
    with pytest.raises(InputError, match="expected a folder"):
        score_kitti_files(tmp_path / "label_2", tmp_path / "none")
    (tmp_path / "pred" / "000001.txt").touch()
    with pytest.raises(InputError, match=r"has 000001\.txt, but"):
        score_kitti_files(tmp_path / "label_2", tmp_path / "pred")
    with pytest.raises(InputError, match=r"has no 000001\.txt \(1 of 2 files"):
        score_kitti_files(tmp_path / "pred", tmp_path / "label_2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no \.txt file"):
        score_kitti_files(tmp_path / "empty", tmp_path / "pred")


def test_the_mean_is_over_the_classes_that_occur(tmp_path: Path) -> None:
    averages = score(tmp_path, CAR, f"{CAR} 0.9")
    assert averages["KITTI/Overall_3D_AP40_easy"] == averages["KITTI/Car_3D_AP40_easy_strict"]


def noted(tmp_path: Path, truth: str, detections: str) -> list[str]:
    notes = Notes()
    score(tmp_path, truth, detections, notes)
    return notes.lines()


def test_classes_that_are_left_out_are_named(tmp_path: Path) -> None:
    others = "\n".join(CAR.replace("Car", name) for name in ("Cars", "Cars", "Truck", "DontCare", "van"))
    lines = noted(tmp_path, f"{CAR}\n{others}", f"{CAR} 0.9\n{CAR.replace('Car', 'Truck')} 0.9\ncar{CAR[3:]} 0.1")
    assert [line.split(" has ")[1] for line in lines] == [
        "objects of the class 'Cars', which is not scored; did you mean 'Car'? (2 such)",
        "objects of the class 'Truck', which is not scored",
    ]


@pytest.mark.parametrize(
    ("truth", "detections"), [("Vehicle", "Vehicle"), ("Vehicle", "Car"), ("Car", "Cars"), ("DontCare", "Car")]
)
def test_nothing_but_other_classes_is_refused(tmp_path: Path, truth: str, detections: str) -> None:
    wrong = detections if truth == "Car" else truth
    with pytest.raises(InputError, match=rf"expected Car, Pedestrian, Cyclist; its objects are '{wrong}' \(1\)"):
        score(tmp_path, CAR.replace("Car", truth), f"{CAR.replace('Car', detections)} 0.9")


@pytest.mark.parametrize("truth", ["", CAR.replace("Car 0 0", "Car 0 3")])
def test_nothing_that_counts_is_noted(tmp_path: Path, truth: str) -> None:
    assert "has no object that counts at any difficulty; nothing is measured" in noted(tmp_path, truth, f"{CAR} 1")[0]


def test_a_byte_order_mark_is_no_part_of_a_class(tmp_path: Path) -> None:
    assert noted(tmp_path, f"\ufeff{CAR}", f"\ufeff{CAR} 0.9") == []


@pytest.mark.parametrize("number", ["1e39", "inf", "810e73"])
def test_numbers_beyond_single_precision_are_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(InputError, match="line 1: expected finite numbers"):
        score(tmp_path, CAR.replace("200", number), f"{CAR} 0.9")
