"""Panoptic quality, held against the numbers of the official program (panopticapi) and cases worked by hand."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scenekit.cli.main import main
from scenekit.errors import InputError
from scenekit.metrics.notes import Notes
from scenekit.metrics.panoptic.files import read_id_map, score_panoptic_files
from scenekit.metrics.panoptic.quality import PanopticCategory, PanopticQuality, SegmentInfo

REFERENCE = Path(__file__).parents[1] / "reference"
CASES = json.loads((REFERENCE / "panoptic_quality.json").read_text())
NAMES = {category["id"]: category["name"] for category in CASES["gt"]["categories"]}


@pytest.fixture(scope="module")
def maps() -> dict[str, np.ndarray]:
    """Id maps `imgK_gt` and `imgK_pred`."""
    with np.load(REFERENCE / "panoptic_quality.npz") as arrays:
        return dict(arrays)


def quality(**options: Any) -> PanopticQuality:
    categories = {c["id"]: PanopticCategory(c["name"], c["isthing"] == 1) for c in CASES["gt"]["categories"]}
    return PanopticQuality(categories, **options)


def infos(segments: list[dict[str, Any]]) -> list[SegmentInfo]:
    return [SegmentInfo(s["id"], s["category_id"], s.get("area"), bool(s.get("iscrowd"))) for s in segments]


def add(score: PanopticQuality, maps: dict[str, np.ndarray], image: int) -> None:
    truth, prediction = (CASES[side]["annotations"][image]["segments_info"] for side in ("gt", "pred"))
    predicted = torch.from_numpy(maps[f"img{image}_pred"])
    score.update(maps[f"img{image}_gt"], infos(truth), predicted, infos(prediction))


def assert_official(result: dict[str, Any]) -> None:
    """All, things and stuff; per class with its sums."""
    for group, suffix in (("All", ""), ("Things", "_th"), ("Stuff", "_st")):
        got = {name: result[f"{name.upper() if name != 'n' else name}{suffix}"] for name in ("pq", "sq", "rq", "n")}
        assert got == pytest.approx(CASES["results"][group], abs=1e-9)
    for category, name in NAMES.items():
        row = {key.lower(): value for key, value in result["per_class"][name].items()}
        expected = {**CASES["results"]["per_class"][str(category)], **CASES["counts_per_category"][str(category)]}
        assert row == pytest.approx(expected, abs=1e-9)


def test_equals_panopticapi(maps: dict[str, np.ndarray]) -> None:
    score = quality()
    for image in range(len(CASES["image_names"])):
        add(score, maps, image)
    assert_official(score.result())


@pytest.mark.parametrize("image", range(len(CASES["image_names"])), ids=lambda i: f"{i}_{CASES['image_names'][i]}")
def test_each_image_equals_panopticapi(maps: dict[str, np.ndarray], image: int) -> None:
    score = quality()
    add(score, maps, image)
    counts = {str(i): [c.iou, c.tp, c.fp, c.fn] for i, c in score.counts.items()}
    assert counts == {i: pytest.approx(c, abs=1e-9) for i, c in CASES["counts_per_image_iou_tp_fp_fn"][image].items()}


def test_merging_processes_equals_one(maps: dict[str, np.ndarray]) -> None:
    first, second = quality(), quality()
    for image in range(len(CASES["image_names"])):
        add(first if image % 2 else second, maps, image)
    second.merge(pickle.loads(pickle.dumps(first)))
    assert_official(second.result())
    with pytest.raises(InputError, match="cannot be merged"):
        second.merge(quality(crowds="all"))


def test_every_crowd_excuses_on_request() -> None:
    """Two crowds of one category, a prediction on each: the official program excuses only the one on the last."""
    truth = np.array([[1, 1, 2, 2]])
    crowds = [SegmentInfo(1, 1, crowd=True), SegmentInfo(2, 1, crowd=True)]
    for rule, false_positives in (("last", 1), ("all", 0)):
        score = quality(crowds=rule)
        score.update(truth, crowds, truth + 10, [SegmentInfo(11, 1), SegmentInfo(12, 1)])
        assert (score.counts[1].fp, score.counts[1].fn) == (false_positives, 0)


def test_iou_of_exactly_one_half_is_no_match_and_void_leaves_the_union() -> None:
    """2 of 4 pixels shared: IoU 1/2. With one of the prediction's other pixels on void: 2 / 3."""
    for truth, expected in ([[1, 1, 2, 2]], (0.0, 0)), ([[1, 1, 0, 2]], (2 / 3, 1)):
        score = quality()
        segments = [SegmentInfo(1, 1), SegmentInfo(2, 2)]
        score.update(np.array(truth), segments, np.array([[5, 5, 5, 5]]), [SegmentInfo(5, 1)])
        assert (score.counts[1].iou, score.counts[1].tp) == pytest.approx(expected)


def test_nothing_to_measure_is_undefined() -> None:
    result = quality().result()
    assert np.isnan(result["PQ"]) and result["n"] == 0
    assert result["per_class"]["t1"]["PQ"] == 0


ONE = [SegmentInfo(1, 1)]


@pytest.mark.parametrize(
    ("prediction", "segments", "message"),
    [
        ([[1, 1, 1]], ONE, "a panoptic map of 1 x 3 was predicted for one of 1 x 2"),
        ([[1, 2]], ONE, "holds the segment id 2, which its list of segments lacks"),
        ([[0, 0]], ONE, "segment 1 is listed but has no pixel"),
        ([[1, 1]], [SegmentInfo(1, 55)], "unknown category 55"),
        ([[1, 1]], ONE * 2, "predicted segment id 1 is listed twice"),
        ([[0.5, 1]], ONE, "must be integers"),
        ([[-1, 1]], ONE, "must be 0 to 2"),
    ],
)
def test_bad_predictions_are_refused(prediction: Any, segments: list[SegmentInfo], message: str) -> None:
    score = quality()
    with pytest.raises(InputError, match=message):
        score.update(np.array([[1, 1]]), ONE, np.array(prediction), segments)
    assert not score.counts


@pytest.fixture
def files(maps: dict[str, np.ndarray], tmp_path: Path) -> list[Path]:
    """The reference cases in the official layout: GT.json, its folder, PRED.json, its folder."""
    paths = []
    for side in ("gt", "pred"):
        folder = tmp_path / side
        folder.mkdir()
        for image in range(len(CASES["image_names"])):
            ids = maps[f"img{image}_{side}"]
            colors = np.stack((ids % 256, ids // 256 % 256, ids // 65536), axis=-1).astype(np.uint8)
            Image.fromarray(colors).save(folder / f"{image}.png")
        paths += [tmp_path / f"{side}.json", folder]
        paths[-2].write_text(json.dumps(CASES[side]))
    return paths


def test_files_equal_panopticapi(files: list[Path]) -> None:
    shutil.copy(REFERENCE / "panoptic_img2_gt.png", files[1] / "2.png")
    assert_official(score_panoptic_files(*files))


def test_the_map_counts_where_the_json_contradicts_it(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    """Stale areas, a missing one, a segment without a pixel; the maps count, and it is logged once."""
    right = score_panoptic_files(*files)
    assert not caplog.messages
    document = json.loads(files[0].read_text())
    segments = document["annotations"][0]["segments_info"]
    segments[0]["area"] = 1
    del segments[1]["area"]
    document["annotations"][1]["segments_info"][0]["area"] += 1
    files[0].write_text(json.dumps(document))
    assert score_panoptic_files(*files) == right
    (message,) = caplog.messages
    assert message.count("'area' is") == 2 and message.endswith("areas are counted in the maps")
    segments.append({"id": 77777, "category_id": segments[0]["category_id"], "area": 9, "iscrowd": 0})
    files[0].write_text(json.dumps(document))
    missed = score_panoptic_files(*files)
    assert "the segment 77777 has no pixels in its map" in caplog.messages[1]
    assert sum(row["fn"] for row in missed["per_class"].values()) == 1 + sum(
        row["fn"] for row in right["per_class"].values()
    )


def test_pixels_that_the_json_does_not_list(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    document = json.loads(files[0].read_text())
    lost = document["annotations"][0]["segments_info"].pop()
    files[0].write_text(json.dumps(document))
    score_panoptic_files(*files)
    (message,) = caplog.messages
    assert f"its map has {lost['area']} pixels of {lost['id']}, which is not listed" in message


def test_png_ids_are_r_plus_256_g_plus_65536_b(maps: dict[str, np.ndarray]) -> None:
    assert (read_id_map(REFERENCE / "panoptic_img2_gt.png") == maps["img2_gt"]).all()


def test_real_images_score_perfectly_against_themselves(samples: Path) -> None:
    folder = samples / "coco_panoptic_NC"
    pair = folder / "panoptic_examples.json", folder / "panoptic_examples"
    result = score_panoptic_files(*pair, *pair)
    assert (result["PQ"], result["SQ"], result["RQ"]) == (1, 1, 1)
    assert sum(row["tp"] for row in result["per_class"].values()) == 50 - crowds_in(pair[0])


def crowds_in(path: Path) -> int:
    annotations = json.loads(path.read_text())["annotations"]
    return sum(segment["iscrowd"] for annotation in annotations for segment in annotation["segments_info"])


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as leaving:
        main(["score", "panoptic", *arguments])
    return leaving.value.code


def test_command_prints_one_json_object(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*map(str, files), "--json") == 0
    assert_official(json.loads(capsys.readouterr().out))
    assert run(*map(str, files)) == 0
    printed = capsys.readouterr().out
    assert "0.4230" in printed and "never_seen" not in printed


@pytest.mark.parametrize("make", [float, str, lambda i: f"aachen_{i:06}_000019"])
def test_ids_of_any_kind(files: list[Path], make: Callable[[int], Any]) -> None:
    """Those of images and categories; the script of Cityscapes writes names as ids of images."""
    for path in (files[0], files[2]):
        content = json.loads(path.read_text())
        for annotation in content["annotations"]:
            annotation["image_id"] = make(annotation["image_id"])
            for segment in annotation["segments_info"]:
                segment["category_id"] = make(segment["category_id"])
        for category in content.get("categories", ()):
            category["id"] = make(category["id"])
        path.write_text(json.dumps(content))
    assert_official(score_panoptic_files(*files))


def test_areas_and_crowd_flags_may_be_missing(files: list[Path]) -> None:
    """Then the area is that of the map, and a segment is no crowd."""
    content = json.loads(files[0].read_text())
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment["area"] = None
            segment |= {} if segment["iscrowd"] else {"iscrowd": None}
    files[0].write_text(json.dumps(content))
    assert_official(score_panoptic_files(*files))


def test_nothing_to_measure_is_noted(files: list[Path]) -> None:
    for path in (files[0], files[2]):
        path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    notes = Notes()
    assert np.isnan(score_panoptic_files(*files, notes=notes)["PQ"])
    assert notes.lines() == [f"{files[0]} has no segment that counts; nothing is measured"]


def test_bad_files_are_refused(files: list[Path]) -> None:
    """Each entry spoils one file of a good set; what is said names it."""
    gt, gt_maps, pred, pred_maps = files
    original = json.loads(pred.read_text())
    another = {"image_id": 99, "file_name": "99.png", "segments_info": []}
    spoiled = {
        "has no prediction for image 8 ": {"annotations": original["annotations"][:-1]},
        "a prediction for image 99, which": {"annotations": [*original["annotations"], another]},
        "the image_id 0 occurs twice": {"annotations": original["annotations"] * 2},
        "'category_id' is 5, which the ground truth": changed(original, segments_info=[{"id": 1, "category_id": 5}]),
        "segment of annotation 0 number 0 has no 'id'": changed(original, segments_info=[{"category_id": 1}]),
        "image 0: no such file: .*none.png": changed(original, file_name="none.png"),
        "image 0: .* has no pixel in the map": changed(original, segments_info=[{"id": 12345, "category_id": 1}], id=8),
        "with a list 'annotations', got \\[\\]": [],
    }
    for message, content in spoiled.items():
        pred.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            score_panoptic_files(gt, gt_maps, pred, pred_maps)


def test_categories_must_say_whether_they_are_things(files: list[Path]) -> None:
    files[0].write_text(json.dumps({**CASES["gt"], "categories": [{"id": 1, "name": "t1"}]}))
    with pytest.raises(InputError, match="category id 1 has no 'isthing'"):
        score_panoptic_files(*files)


def changed(prediction: dict[str, Any], id: int = 0, **fields: Any) -> dict[str, Any]:
    """Predictions of which the first has other fields; `id`: the case whose image it takes."""
    first = {**prediction["annotations"][0], "file_name": f"{id}.png", **fields}
    return {"annotations": [first, *prediction["annotations"][1:]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("L", (64, 48)), "ids in R, G and B; this image is L"),
        (Image.new("RGB", (64, 47)), "a panoptic map of 47 x 64 was predicted for one of 48 x 64"),
        (b"no image", "as an image"),
        (b"", "as an image"),
    ],
)
def test_bad_images_end_with_status_2(
    files: list[Path], content: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files[3] / "8.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path)
    assert run(*map(str, files)) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and "image 8" in err and err.count("\n") == 1


def test_a_file_in_place_of_a_folder(files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(files[0]), str(files[0]), str(files[2]), str(files[3])) == 2
    assert "expected a folder of PNG files" in capsys.readouterr().err
