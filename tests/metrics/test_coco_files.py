"""AP of files, held against pycocotools reading the same files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from scenekit.cli.main import main
from scenekit.errors import InputError
from scenekit.metrics.coco.files import FIELDS, score_files
from scenekit.metrics.notes import Notes
from tests.metrics.pycocotools_reference import NAMES, K, official, only, random_files

KINDS = list(FIELDS)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any, Any], tuple[Path, Path]]:
    """Writes ground truth and results to files."""

    def write(truth: Any, results: Any) -> tuple[Path, Path]:
        paths = tmp_path / "gt.json", tmp_path / "results.json"
        for path, content in zip(paths, (truth, results), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return paths

    return write


def copy_of(value: Any) -> Any:
    return json.loads(json.dumps(value))


def unmarked(truth: dict[str, Any]) -> dict[str, Any]:
    """Without the field `ignore`, which official files don't have."""
    return {**truth, "annotations": [{**copy_of(a), "ignore": 0} for a in truth["annotations"]]}


def assert_equal(got: dict[str, Any], expected: dict[str, float]) -> None:
    flat = {**got, **{f"AP/{name}": row["AP"] for name, row in got["per_class"].items()}}
    assert {name: flat[name] for name in expected} == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("fields", [*FIELDS.values(), "all"])
def test_equals_pycocotools(written: Callable[..., tuple[Path, Path]], fields: str) -> None:
    """Also with all fields in each result, where the areas of results are those of their boxes."""
    truth, results = unmarked(random_files(7)[0]), random_files(7)[1]
    results = results if fields == "all" else only(results, fields)
    scores = score_files(*written(truth, results))
    kinds = [kind for kind in KINDS if fields in (FIELDS[kind], "all")]
    assert list(scores) == kinds
    for kind in kinds:
        assert_equal(scores[kind], official(copy_of(truth), copy_of(results), kind))


@pytest.mark.parametrize("encoding", ["polygons", "run lengths"])
def test_other_encodings_of_masks(written: Callable[..., tuple[Path, Path]], encoding: str) -> None:
    truth, results = unmarked(random_files(8)[0]), only(random_files(8)[1], "segmentation")
    for annotation in truth["annotations"]:
        annotation["segmentation"] = encoded(annotation, encoding)
    paths = written(truth, results)
    assert_equal(score_files(*paths)["segm"], official(copy_of(truth), copy_of(results), "segm"))


def encoded(annotation: dict[str, Any], encoding: str) -> Any:
    """Two triangles in the box of an annotation, or its own mask as a list of run lengths."""
    if encoding == "polygons":
        x, y, w, h = annotation["bbox"]
        return [[x, y, x + w, y, x, y + h / 2], [x, y + h, x + w, y + h, x + w, y + h / 2]]
    dense = coco_mask.decode(annotation["segmentation"]).ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate(([0], dense)))).tolist()
    runs = np.diff([0, *changes, dense.size]).tolist()
    return {"size": annotation["segmentation"]["size"], "counts": runs}


def test_real_person_detections(samples: Path) -> None:
    folder = samples / "coco_keypoints"
    paths = folder / "test_coco.json", folder / "test_coco_det_AP_H_56.json"
    truth, results = (json.loads(path.read_text()) for path in paths)
    assert_equal(score_files(*paths)["bbox"], official(truth, results, "bbox"))


@pytest.mark.parametrize("kind", ["segm", "keypoints"])
def test_real_persons_shaken(samples: Path, written: Callable[..., tuple[Path, Path]], kind: str) -> None:
    """Results made of the ground truth of real images: some are moved, doubled or missing."""
    path = samples / "coco_keypoints" / "test_coco.json"
    truth = json.loads(path.read_text())
    results = shaken(truth, FIELDS[kind], COCO_of(truth))
    expected = official(copy_of(truth), copy_of(results), kind)
    assert 0.1 < expected["AP"] < 0.9
    assert_equal(score_files(*written(truth, results))[kind], expected)


def test_real_instances_of_133_categories(samples: Path, written: Callable[..., tuple[Path, Path]]) -> None:
    """That file has an annotation with id 0, which the official program never counts as found: number from 1 for it."""
    truth = json.loads((samples / "coco_panoptic_NC" / "panoptic_coco_detection_format.json").read_text())
    results = shaken(truth, "segmentation", COCO_of(truth))
    scores = score_files(*written(truth, results))["segm"]
    numbered = [{**annotation, "id": n} for n, annotation in enumerate(truth["annotations"], 1)]
    assert_equal(scores, official({**truth, "annotations": numbered}, copy_of(results), "segm"))


def COCO_of(truth: dict[str, Any]) -> COCO:  # noqa: N802
    coco = COCO()
    coco.dataset = copy_of(truth)
    coco.createIndex()
    return coco


def shaken(truth: dict[str, Any], field: str, coco: COCO) -> list[dict[str, Any]]:
    draw = np.random.default_rng(3)
    results = []
    for annotation in truth["annotations"]:
        for _ in range(draw.integers(0, 3)):
            entry = {name: annotation[name] for name in ("image_id", "category_id")}
            results.append({**entry, "score": float(draw.random()), field: moved(annotation, field, coco, draw)})
    return results


def moved(annotation: dict[str, Any], field: str, coco: COCO, draw: np.random.Generator) -> Any:
    if field == "keypoints":
        return (np.array(annotation["keypoints"]) + draw.normal(0, 2, 3 * K)).tolist()
    shift = draw.integers(-4, 5, 2)
    rle = coco_mask.encode(np.asfortranarray(np.roll(coco.annToMask(annotation), shift, axis=(0, 1))))
    return {"size": rle["size"], "counts": rle["counts"].decode("ascii")}


def test_no_results_score_zero_in_all_that_can_be_judged(written: Callable[..., tuple[Path, Path]]) -> None:
    scores = score_files(*written(unmarked(random_files(7)[0]), []))
    assert {kind: metrics["AP"] for kind, metrics in scores.items()} == {"bbox": 0, "segm": 0, "keypoints": 0}


def test_categories_of_one_name_are_one_class(written: Callable[..., tuple[Path, Path]]) -> None:
    truth = small_truth()
    truth["categories"] = [{"id": 1, "name": "cup"}, {"id": 2, "name": "cup"}]
    notes = Notes()
    scores = score_files(*written(truth, [small_result(category_id=2)]), notes=notes)["bbox"]
    assert scores["per_class"] == {"cup": {"AP": 1, "AP50": 1}}
    assert "category id 2 is one class with another of the same name, 'cup'" in notes.lines()[0]


def test_a_category_that_only_names_the_group_is_no_class(written: Callable[..., tuple[Path, Path]]) -> None:
    truth = small_truth()
    truth["categories"] = [
        {"id": 0, "name": "tableware", "supercategory": "none"},
        {"id": 1, "name": "cup", "supercategory": "tableware"},
    ]
    notes = Notes()
    assert list(score_files(*written(truth, [small_result()]), notes=notes)["bbox"]["per_class"]) == ["cup"]
    assert "category id 0 is no class" in notes.lines()[0]
    used = score_files(*written(truth, [small_result(), small_result(category_id=0)]))["bbox"]
    assert used["AP"] == 1 and np.isnan(used["per_class"]["tableware"]["AP"])


@pytest.mark.parametrize(("kind", "field"), [("bbox", "bbox"), ("segm", "segmentation"), ("keypoints", "keypoints")])
@pytest.mark.parametrize("change", [{"ignore": 1}, {"bbox": [90, 10, 20, 20]}])
def test_ignored_objects(written: Callable[..., tuple[Path, Path]], kind: str, field: str, change: Any) -> None:
    """Marked as ignored, or outside the image of 80 pixels; neither missed nor found."""
    truth, results = perfect()
    for record in (*truth["annotations"], *results):
        x, y, *_ = record["bbox"]
        record["keypoints"] = [value for n in range(K) for value in (x + n, y + n, 2)]
    truth["annotations"][0] |= change
    notes = Notes()
    for entries in (results, results[1:]):
        kept = [{**{name: r[name] for name in ("image_id", "category_id", "score")}, field: r[field]} for r in entries]
        scores = score_files(*written(truth, kept), [kind], notes=notes)[kind]  # type: ignore[list-item]
        extra = kind == "bbox" and "bbox" in change and entries is results  # a detection where no object is annotated
        assert (scores["per_class"]["cup"]["AP"] < 1) == extra and scores["per_class"]["plate"]["AP"] == 1
    assert ["is ignored" in line for line in notes.lines()] == [True]


def test_command_prints_one_json_object(
    written: Callable[..., tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A box of half the true width: IoU 0.5, found at one threshold of ten; nothing small or large to measure."""
    paths = [str(path) for path in written(small_truth(), [small_result(bbox=[10, 10, 20, 40])])]
    assert run("score", "coco", *paths, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["bbox"]["AP"] == pytest.approx(0.1)
    assert printed["bbox"]["APs"] is None
    assert set(NAMES["bbox"]) < set(printed["bbox"])
    assert run("score", "coco", *paths) == 0
    assert "0.1000" in capsys.readouterr().out


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    return leaving.value.code


def small_truth(**changes: Any) -> dict[str, Any]:
    """One image with one object; `changes` to its annotation."""
    annotation = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, **changes}
    return {
        "images": [{"id": 5, "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "cup"}],
        "annotations": [annotation],
    }


def small_result(**changes: Any) -> dict[str, Any]:
    return {"image_id": 5, "category_id": 1, "bbox": [10, 10, 40, 40], "score": 0.5, **changes}


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


SEGMENTED = small_truth(segmentation=[[10, 10, 50, 10, 50, 50]])


@pytest.mark.parametrize(
    ("truth", "results", "message"),
    [
        ("{", [], "gt.json is not valid JSON"),
        ([], [], "gt.json: expected a JSON object with a list 'images'"),
        (
            without(small_truth(), "categories"),
            [],
            "with a list 'categories', got an object with the fields images, an",
        ),
        ({**small_truth(), "images": 3}, [], "expected a list of objects, one per image, got 3"),
        (small_truth(image_id=6), [], "annotation id 1: 'image_id' is 6, which the ground truth does not list"),
        (
            small_truth(image_id="five"),
            [],
            "annotation id 1: 'image_id' is \"five\", which the ground truth",
        ),
        (
            small_truth(id="a1", image_id=6),
            [],
            "annotation id a1: 'image_id' is 6, which the ground truth does not list",
        ),
        (small_truth(image_id=10**30), [], "annotation id 1: 'image_id' must be an integer or text, not 1000000000"),
        (small_truth(image_id=True), [], "annotation id 1: 'image_id' must be an integer or text, not true"),
        (small_truth(image_id=5.5), [], "annotation id 1: 'image_id' must be an integer or text, not 5.5"),
        (small_truth(id="a") | {"images": [{"id": 5}, {"id": 5.0}]}, [], "the id 5 occurs twice"),
        (small_truth(bbox=[1, 2, 3]), [small_result()], "annotation id 1: 'bbox' must be 4 numbers, not 3"),
        (without(small_truth(), "annotations") | {"annotations": [{}]}, [], "annotation number 0 has no 'id'"),
        ({**small_truth(), "annotations": small_truth()["annotations"] * 2}, [], "the id 1 occurs twice"),
        (small_truth(iscrowd=2), [small_result()], "'iscrowd' must be 0 or 1, not 2"),
        (small_truth(area="16"), [small_result()], "'area' must be a finite number, not \"16\""),
        (small_truth(area=-1), [small_result()], "'area' must be 0 or more, not -1"),
        (small_truth(bbox=[10, 10, -4, 4]), [small_result()], "annotation id 1: 'bbox' must be x, y, width, height, n"),
        (small_truth(), [small_result(bbox=[10, 10, 4, -4])], "result number 0: 'bbox' must be x, y, width, height, n"),
        (small_truth(bbox=[0, 0, 4, 10**400]), [small_result()], "annotation id 1: 'bbox' must be 4 finite numbers"),
        (small_truth(bbox=[0, 0, 4, 1e308]), [small_result()], "annotation id 1: 'bbox' must be 4 finite numbers"),
        (small_truth(), [small_result(score=10**400)], "result number 0: 'score' must be a finite number"),
        (small_truth(), {"results": []}, "results.json: expected a list of objects, one per result"),
        (small_truth(), [1], "expected a list of objects, one per result"),
        (
            small_truth(),
            [small_result(image_id=1)],
            "result number 0: 'image_id' is 1, which the ground truth does not",
        ),
        (small_truth(), [small_result(category_id=3)], "result number 0: 'category_id' is 3, which the ground truth"),
        (small_truth(), [without(small_result(), "score")], "result number 0 has no 'score'"),
        (small_truth(), [small_result(score=float("nan"))], "'score' must be a finite number, not NaN"),
        (small_truth(), [small_result(bbox=[0, 0, "1", 1])], "'bbox' must be 4 finite numbers, not"),
        (small_truth(), [small_result(), without(small_result(), "bbox")], "result number 1 has no 'bbox'"),
        (small_truth(), [without(small_result(), "bbox")], "results.json holds none of bbox, segmentation, keypoints"),
        (small_truth(), [without(small_result(keypoints=[0] * 51), "bbox")], "the ground truth bbox: nothing can be"),
        (small_truth(keypoints=[0] * 6), [small_result(keypoints=[0] * 6)], "must be x, y, v of 17 points, got 6 numb"),
        (
            SEGMENTED,
            [small_result(segmentation={"size": [9, 9], "counts": "04"})],
            r"is of size \[9, 9\], the image of \[60",
        ),
        (
            SEGMENTED,
            [small_result(segmentation={"size": [60, 80], "counts": [1, 2]})],
            r"run lengths \[1, 2\] of 'segmentation' do not fill",
        ),
        (SEGMENTED, [small_result(segmentation={"size": [60, 80], "counts": ""})], "are not those of a mask"),
        (SEGMENTED, [small_result(segmentation={"size": [60, 80], "counts": "d-T"})], "are not those of a mask"),
        (SEGMENTED, [small_result(segmentation={"size": [60, 80], "counts": "é"})], "are not those of a mask"),
        (
            SEGMENTED,
            [small_result(segmentation=[[1, 2, 3]])],
            "must be polygons of three points or more",
        ),
        (
            SEGMENTED,
            [small_result(segmentation=[[1, 2, 3e9, 4, 5, 6]])],
            "must be polygons of three points or more",
        ),
        ({**SEGMENTED, "images": [{"id": 5}]}, [small_result(segmentation=[[1, 2, 3, 4, 5, 6]])], "has no 'height'"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    written: Callable[..., tuple[Path, Path]], truth: Any, results: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        score_files(*written(truth, results))
    assert "\n" not in str(refusal.value)


def perfect() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Three images with an object of each of two classes, and results equal to them."""
    truth: dict[str, Any] = {
        "images": [{"id": i, "height": 60, "width": 80} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "plate"}],
        "annotations": [],
    }
    for n in range(6):
        x = 10 + 30 * (n % 2)
        cell = {"image_id": n // 2 + 1, "category_id": n % 2 + 1, "bbox": [x, 10, 20, 20]}
        polygon = [x, 10, x + 20, 10, x + 20, 30, x, 30]
        truth["annotations"].append({"id": n + 1, **cell, "area": 400, "iscrowd": 0, "segmentation": [polygon]})
    names = ("image_id", "category_id", "bbox", "segmentation")
    return truth, [{**{name: a[name] for name in names}, "score": 0.9} for a in copy_of(truth["annotations"])]


@pytest.mark.parametrize("first", [0, -3, 0.0, 1.0, "a0"])
def test_annotations_are_matched_whatever_their_ids(written: Callable[..., tuple[Path, Path]], first: Any) -> None:
    truth, results = perfect()
    for n, annotation in enumerate(truth["annotations"]):
        annotation["id"] = f"a{n}" if isinstance(first, str) else first + n
    assert [metrics["AP"] for metrics in score_files(*written(truth, results)).values()] == [1, 1]


@pytest.mark.parametrize("make", [float, str, lambda i: f"aachen_{i}", lambda i: i - 1, lambda i: 10**18 + i])
def test_ids_of_images_and_categories(written: Callable[..., tuple[Path, Path]], make: Callable[[int], Any]) -> None:
    truth, results = perfect()
    for record in (*truth["images"], *truth["categories"]):
        record["id"] = make(record["id"])
    for record in (*truth["annotations"], *results):
        record |= {name: make(record[name]) for name in ("image_id", "category_id")}
    scores = score_files(*written(truth, results))
    assert {kind: metrics["AP"] for kind, metrics in scores.items()} == {"bbox": 1, "segm": 1}
    assert list(scores["bbox"]["per_class"]) == ["cup", "plate"]


def test_fields_that_hold_null_are_missing(written: Callable[..., tuple[Path, Path]]) -> None:
    truth, results = perfect()
    for annotation in truth["annotations"]:
        annotation |= {"iscrowd": None, "area": None, "keypoints": None}
    assert [metrics["AP"] for metrics in score_files(*written(truth, results)).values()] == [1, 1]


@pytest.mark.parametrize(("masks", "area", "range_"), [(True, 32 * 31 / 2, "APs"), (False, 40 * 40, "APm")])
def test_the_area_is_that_of_the_mask_or_box(
    written: Callable[..., tuple[Path, Path]], masks: bool, area: float, range_: str
) -> None:
    """A triangle of half of 32 x 32 pixels is small (up to 32^2), its box of 40 x 40 is medium."""
    segmentation = [[10, 10, 42, 10, 42, 42]] if masks else []
    truth = small_truth(segmentation=segmentation)
    del truth["annotations"][0]["area"]
    scores = score_files(*written(truth, [small_result()]))["bbox"]
    assert {name: scores[name] for name in ("APs", "APm", "APl")} == pytest.approx(
        {"APs": np.nan, "APm": np.nan, "APl": np.nan, range_: 1}, nan_ok=True
    )


NO_AREA = [[], {}, [[10, 10, 30, 30]], [[10, 10], [10, 10, 30, 30]], [[]], None]


@pytest.mark.parametrize("segmentation", NO_AREA)
def test_objects_without_a_mask_are_ignored_for_masks(
    written: Callable[..., tuple[Path, Path]], segmentation: Any
) -> None:
    """Its own detection counts neither way, though no mask is annotated that it could match."""
    truth, results = perfect()
    truth["annotations"][0]["segmentation"] = segmentation
    notes = Notes()
    assert score_files(*written(truth, results), ["segm"], notes=notes)["segm"]["AP"] == 1
    assert (
        sum("annotation id 1 has no mask and is ignored when masks are scored" in line for line in notes.lines()) == 1
    )
    assert score_files(*written(truth, results), ["bbox"])["bbox"]["AP"] == 1


def test_polygons_of_two_points_beside_others_have_no_part(written: Callable[..., tuple[Path, Path]]) -> None:
    truth, results = perfect()
    truth["annotations"][0]["segmentation"].insert(0, [40, 5, 60, 20])
    results[1]["segmentation"] = [[40, 5, 60, 20]]  # an empty mask, which matches nothing
    notes = Notes()
    scores = score_files(*written(truth, results), ["segm"], notes=notes)["segm"]
    assert scores["per_class"]["cup"]["AP"] == 1 and scores["per_class"]["plate"]["AP"] < 1
    assert len(notes.lines()) == 1 and "polygon of less than three points" in notes.lines()[0]
    assert "(2 such)" in notes.lines()[0]


def many(objects: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    boxes = [[20 * (n % 20), 20 * (n // 20), 10, 10] for n in range(objects)]
    truth = small_truth()
    truth["images"][0] |= {"height": 200, "width": 400}
    truth["annotations"] = [{**truth["annotations"][0], "id": n, "bbox": box} for n, box in enumerate(boxes)]
    return truth, [small_result(bbox=box) for box in boxes]


@pytest.mark.parametrize(
    ("limit", "expected", "recalls"),
    [(None, 67 / 101, ["AR1", "AR10", "AR100"]), (300, 1, ["AR1", "AR10", "AR300"]), (5, 4 / 101, ["AR1", "AR5"])],
)
def test_limit_of_detections(
    written: Callable[..., tuple[Path, Path]], limit: int | None, expected: float, recalls: list[str]
) -> None:
    """Of 150 objects 100 are found: recalls 0 to 0.66 of 101, which are 67 points; of 5, recalls 0 to 0.03."""
    notes = Notes()
    scores = score_files(*written(*many(150)), max_detections=limit, notes=notes)["bbox"]
    assert scores["AP"] == pytest.approx(expected)
    assert [name for name in scores if name[2:].isdigit() and name.startswith("AR")] == recalls
    assert [("150 of 'cup'" in line) for line in notes.lines()] == ([] if limit == 300 else [True])


def test_a_limit_below_1_is_refused(written: Callable[..., tuple[Path, Path]]) -> None:
    with pytest.raises(InputError, match="max_detections must be at least 1, got 0"):
        score_files(*written(*many(1)), max_detections=0)


def test_without_ground_truth_there_is_a_note(
    written: Callable[..., tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = written({**small_truth(), "annotations": []}, [small_result()])
    assert run("score", "coco", *map(str, paths), "--json") == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["bbox"]["AP"] is None
    assert printed["notes"] == [f"{paths[0]} has no object that counts for bbox; nothing is measured"]
    assert err == f"note: {printed['notes'][0]}\n"


def test_notes_that_are_not_collected_are_logged(
    written: Callable[..., tuple[Path, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    score_files(*written({**small_truth(), "annotations": []}, []), ["bbox"])
    assert "nothing is measured" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json", "missing.json"], "no such file: missing.json"),
        ([".", "."], "cannot read .: Is a directory"),
        (["a.json", "b.json", "--kinds", "mask"], "--kinds: cannot score 'mask'"),
        (["a.json", "b.json", "--sigmas", "0.1,x"], "--sigmas expects positive numbers"),
    ],
)
def test_command_ends_with_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", "coco", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err and err.count("\n") == 1
