"""AP of plain arrays, held against pycocotools on the same data."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from scenekit.errors import InputError
from scenekit.metrics.coco.average_precision import COCO_SIGMAS, CocoAP, CocoObjects, Kind
from tests.metrics.pycocotools_reference import HEIGHT, NAMES, WIDTH, K, official, only, random_files

FIELDS: dict[Kind, str] = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
KINDS = list(FIELDS)


def objects(entries: list[dict[str, Any]], tensors: bool = False) -> CocoObjects:
    """COCO entries of one image as arrays."""
    boxes = np.array([entry["bbox"] for entry in entries]).reshape(-1, 4)
    boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
    columns: dict[str, Any] = {
        "labels": np.array([entry["category_id"] for entry in entries], dtype=np.int64),
        "boxes": boxes,
        "keypoints": np.array([entry["keypoints"] for entry in entries]).reshape(len(entries), K, 3),
    }
    for name, field in (("scores", "score"), ("crowd", "iscrowd"), ("ignore", "ignore"), ("area", "area")):
        if entries and field in entries[0]:
            columns[name] = np.array([entry[field] for entry in entries])
    if not entries:
        columns["scores"] = np.zeros(0)
    if tensors:
        columns = {name: torch.from_numpy(column) for name, column in columns.items()}
    return CocoObjects(**columns, masks=[entry["segmentation"] for entry in entries])


def accumulated(kind: Kind, truth: dict[str, Any], results: list[dict[str, Any]], **options: Any) -> CocoAP:
    """All images of a pair of files in one accumulator."""
    ap = CocoAP(kind, {category["id"]: category["name"] for category in truth["categories"]}, **options)
    for image in reversed(truth["images"]):  # any order
        mine = [[e for e in part if e["image_id"] == image["id"]] for part in (truth["annotations"], results)]
        ap.update(image["id"], (image["height"], image["width"]), objects(mine[0]), objects(mine[1], tensors=True))
    return ap


def assert_equal(got: dict[str, Any], expected: dict[str, float]) -> None:
    flat = {**got, **{f"AP/{name}": row["AP"] for name, row in got["per_class"].items()}}
    assert {name: flat[name] for name in expected} == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(kind: Kind, seed: int) -> None:
    truth, results = random_files(seed)
    got = accumulated(kind, truth, results).result()
    expected = official(copy.deepcopy(truth), copy.deepcopy(only(results, FIELDS[kind])), kind)
    assert 0 < expected["AP"] < 1
    assert_equal(got, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_found_nothing_to_find_and_nothing_at_all(kind: Kind) -> None:
    truth, results = random_files(0)
    nothing = {**truth, "annotations": []}
    assert accumulated(kind, truth, []).result()["AP"] == 0
    for files in ((truth, []), (nothing, results), (nothing, [])):
        expected = official(copy.deepcopy(files[0]), copy.deepcopy(only(files[1], FIELDS[kind])), kind)
        assert_equal(accumulated(kind, *files).result(), expected)
    no_images = CocoAP(kind, ["a"]).result()
    assert all(np.isnan(no_images[name]) for name in NAMES[kind])


def test_other_skeletons_and_sigmas() -> None:
    truth, results = random_files(5)
    sigmas = [s * 2 for s in COCO_SIGMAS]
    got = accumulated("keypoints", truth, results, sigmas=sigmas).result()
    expected = official(copy.deepcopy(truth), copy.deepcopy(only(results, "keypoints")), "keypoints", sigmas)
    assert_equal(got, expected)
    assert got["AP"] != accumulated("keypoints", truth, results).result()["AP"]


def test_oks_worked_by_hand_for_two_points() -> None:
    """One point exact, the other at d with d² = 2 area (2 sigma)² ln 2 (so that exp(-e) = 1/2): OKS 0.75, 6 of 10."""
    area, sigma = 100.0, 0.1
    offset = np.sqrt(2 * area * (2 * sigma) ** 2 * np.log(2))
    truth = CocoObjects([0], boxes=[[0.0, 0, 10, 10]], keypoints=[[[2.0, 2, 2], [8, 8, 1]]], area=[area])
    found = CocoObjects([0], keypoints=[[[2.0, 2, 1], [8 + offset * 0.9999, 8, 1]]], scores=[0.9])
    ap = CocoAP("keypoints", ["arm"], sigmas=[sigma, sigma])
    ap.update(0, (50, 50), truth, found)
    assert ap.result()["AP"] == pytest.approx(0.6)


def test_finding_an_ignored_object_counts_neither_way() -> None:
    truth = CocoObjects([0, 0], boxes=[[0, 0, 9, 9], [20, 20, 40, 40]], ignore=[True, False])
    found = CocoObjects([0, 0], boxes=[[0, 0, 9, 9], [20, 20, 40, 40]], scores=[0.9, 0.8])
    ap = CocoAP("bbox", ["a"])
    ap.update("only", (50, 50), truth, found)
    assert ap.result()["AP"] == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_merging_processes_counts_repeated_images_once(kind: Kind) -> None:
    truth, results = random_files(1)
    whole = accumulated(kind, truth, results)
    parts = []
    for ids in ({1, 2, 3, 4, 5, 12}, {5, 6, 7, 8, 9, 10, 11}):
        part = {**truth, "images": [image for image in truth["images"] if image["id"] in ids]}
        parts.append(accumulated(kind, part, results))
    parts[1].merge(pickle.loads(pickle.dumps(parts[0])))
    assert len(parts[1]) == len(whole) == 12
    assert_equal(parts[1].result(), {name: whole.result()[name] for name in NAMES[kind]})
    with pytest.raises(InputError, match="cannot be merged"):
        whole.merge(CocoAP(kind, ["other"]))


GOOD_TRUTH = CocoObjects([1], boxes=[[0, 0, 5, 5]])
GOOD = CocoObjects([1], boxes=[[0, 0, 5, 5]], scores=[0.5])
SMALL_MASK = {"size": [5, 5], "counts": b"04"}


@pytest.mark.parametrize(
    ("kind", "truth", "prediction", "message"),
    [
        ("bbox", GOOD_TRUTH, GOOD_TRUTH, "need scores"),
        ("bbox", GOOD_TRUTH, CocoObjects([7], boxes=[[0, 0, 5, 5]], scores=[0.5]), "label 7"),
        ("bbox", GOOD_TRUTH, CocoObjects([1.5], boxes=[[0, 0, 5, 5]], scores=[0.5]), "labels must be integers"),
        ("bbox", GOOD_TRUTH, CocoObjects([1], boxes=[[0, 0, 5]], scores=[0.5]), r"shape \[1, 4\], not \[1, 3\]"),
        ("bbox", GOOD_TRUTH, CocoObjects([1], boxes=[[0, 0, 5, float("nan")]], scores=[0.5]), "NaN"),
        ("bbox", GOOD_TRUTH, CocoObjects([1], boxes=[[0, 0, 5, 5]], scores=[float("nan")]), "NaN"),
        ("bbox", CocoObjects([1]), GOOD, "ground-truth boxes are missing"),
        ("segm", GOOD_TRUTH, GOOD, "1 ground-truth masks expected, got none"),
        ("segm", CocoObjects([1], masks=[SMALL_MASK]), GOOD, r"size \[5, 5\], its image \[240, 320\]"),
        ("keypoints", GOOD_TRUTH, GOOD, "keypoints are missing"),
    ],
)
def test_bad_input_is_refused(kind: Any, truth: CocoObjects, prediction: CocoObjects, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CocoAP(kind, {1: "a"}).update(0, (HEIGHT, WIDTH), truth, prediction)


def test_an_image_cannot_come_twice() -> None:
    ap = CocoAP("bbox", {1: "a"})
    ap.update(0, (HEIGHT, WIDTH), GOOD_TRUTH, GOOD)
    with pytest.raises(InputError, match="twice"):
        ap.update(0, (HEIGHT, WIDTH), GOOD_TRUTH, GOOD)


def test_an_object_without_a_mask_is_a_crowd_region_by_its_box() -> None:
    """Two detections inside of it count neither way; the one of the other object is right."""
    full = np.zeros((20, 40), dtype=np.uint8)
    masks = []
    for x, width in ((0, 10), (2, 5), (20, 10)):
        dense = full.copy()
        dense[:10, x : x + width] = 1
        masks.append(coco_mask.encode(np.asfortranarray(dense)))
    ap = CocoAP("segm", ["cup"])
    targets = CocoObjects([0, 0], [[0, 0, 10, 10], [20, 0, 30, 10]], [None, masks[2]])
    ap.update(1, (20, 40), targets, CocoObjects([0, 0, 0], masks=masks, scores=[0.9, 0.8, 0.7]))
    assert ap.result()["AP"] == 1
    with pytest.raises(InputError, match="predicted mask number 0 is missing; only ground truth may lack masks"):
        ap.update(2, (20, 40), CocoObjects([], [], []), CocoObjects([0], [[0, 0, 9, 9]], [None], scores=[1.0]))
