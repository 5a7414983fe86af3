"""The data set `coco` and `scenekit score coco` read the same objects, whichever way a file is written."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.errors import InputError
from scenekit.metrics.coco import score_files
from scenekit.metrics.coco.files import _mask, _read, _targets
from scenekit.metrics.notes import Notes
from scenekit_datasets.coco import CocoResults
from scenekit_plugins.masks.evaluator import MaskEvaluator

File = dict[str, Any]
Change = Callable[[File], Any]

HEIGHT, WIDTH = 60, 80
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
TWO_POINTS = [12, 12, 20, 20]
RUNS = [WIDTH * HEIGHT - 100, 100]
"""The last 100 pixels by columns."""


def base() -> File:
    """One image with a cup, which the variants change, and a plate."""
    plate = [50, 10, 70, 10, 70, 40, 50, 40]
    return {
        "images": [{"id": 1, "file_name": "1.png", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "plate"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 399, "segmentation": [SQUARE]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [50, 10, 20, 30], "area": 599, "segmentation": [plate]},
        ],
    }


def cup(**fields: Any) -> Change:
    """Other fields of the first annotation."""
    return lambda data: data["annotations"][0].update(fields)


def without(*names: str) -> Change:
    return lambda data: [data["annotations"][0].pop(name) for name in names]


def ids(image: Any, category: Any, annotation: Any) -> Change:
    """Other ids of the image, the cup's category and the cup."""

    def change(data: File) -> None:
        data["images"][0]["id"] = image
        data["categories"][0]["id"] = category
        for entry in data["annotations"]:
            entry["image_id"] = image
        data["annotations"][0].update(id=annotation, category_id=category)

    return change


def categories(*entries: tuple[int, str, str]) -> Change:
    return lambda data: data.update(categories=[{"id": i, "name": n, "supercategory": s} for i, n, s in entries])


def rle(counts: Any, size: Any = (HEIGHT, WIDTH)) -> Change:
    return cup(segmentation={"size": list(size), "counts": counts}, bbox=None, area=None)


def compressed() -> str:
    counts: bytes = coco_mask.frPyObjects({"size": [HEIGHT, WIDTH], "counts": RUNS}, HEIGHT, WIDTH)["counts"]
    return counts.decode()


SAME: dict[str, Change] = {
    "as it is": lambda data: None,
    "ids as floats": ids(1.0, 1.0, 1.0),
    "ids as digits": ids("1", "1", "1"),
    "ids of two spellings": lambda data: [entry.update(image_id="1", category_id=1.0) for entry in data["annotations"]],
    "ids as texts": ids("aachen_1", "cup", "a"),
    "ids of 0": ids(0, 0, 0),
    "ids below 0": ids(-5, -5, -5),
    "ids of 18 digits": ids(10**17, 10**17, 10**17),
    "area missing": without("area"),
    "area null": cup(area=None),
    "area 0": cup(area=0),
    "area of the box": without("area", "segmentation"),
    "segmentation null": cup(segmentation=None),
    "segmentation empty": cup(segmentation=[], area=None),
    "segmentation an empty object": cup(segmentation={}),
    "segmentation a list of numbers": cup(segmentation=SQUARE, area=None),
    "segmentation of two polygons": cup(segmentation=[SQUARE, [40, 40, 44, 40, 44, 44]], area=None),
    "an empty polygon": cup(segmentation=[[]], area=None),
    "an empty polygon beside others": cup(segmentation=[[], SQUARE], area=None),
    "run lengths": rle(RUNS),
    "run lengths in a list": cup(segmentation=[{"size": [HEIGHT, WIDTH], "counts": RUNS}], bbox=None, area=None),
    "compressed run lengths": rle(compressed()),
    "run lengths of a float size": rle(RUNS, (float(HEIGHT), float(WIDTH))),
    "bbox missing": without("bbox"),
    "bbox null": cup(bbox=None),
    "bbox empty": cup(bbox=[]),
    "bbox across the border": cup(bbox=[-5, 10, 20, 20]),
    "bbox without area": cup(bbox=[10, 10, 0, 20]),
    "iscrowd null": cup(iscrowd=None),
    "iscrowd true": cup(iscrowd=True),
    "iscrowd 1": cup(iscrowd=1),
    "ignore 1": cup(ignore=1),
    "ignore null": cup(ignore=None),
    "categories of one name": categories((1, "cup", "x"), (2, "plate", "x"), (3, "cup", "x")),
    "both categories of one name": categories((1, "cup", "x"), (2, "cup", "y")),
    "a category of the group": categories((0, "tableware", "none"), (1, "cup", "tableware"), (2, "plate", "tableware")),
    "a group of a class's name": categories((0, "cup", "none"), (1, "cup", "cup"), (2, "plate", "cup")),
    "sizes as floats": lambda data: data["images"][0].update(height=float(HEIGHT), width=float(WIDTH)),
}
"""Both read the same."""

NO_PIXEL: dict[str, Change] = {
    "segmentation without a pixel": cup(segmentation=[[10.1, 10.1, 10.2, 10.1, 10.2, 10.2]]),
    "run lengths without a pixel": cup(segmentation={"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}),
}
"""Both read a mask that matches nothing, as in the official program."""

LEFT_OUT: dict[str, Change] = {
    "two points": cup(segmentation=[TWO_POINTS]),
    "two points, area missing": cup(segmentation=[TWO_POINTS], area=None),
    "two points in no list": cup(segmentation=TWO_POINTS),
    "two points beside others": cup(segmentation=[TWO_POINTS, SQUARE], area=None),
    "two points beside others, bbox missing": cup(segmentation=[TWO_POINTS, SQUARE], bbox=None),
    "one point": cup(segmentation=[[12, 12]]),
    "bbox outside": cup(bbox=[90, 10, 20, 20]),
}
"""The data set refuses the file, or with faulty="skip" reads what the scorer reads with a note."""

REFUSED: dict[str, Change] = {
    "an id that is true": ids(1, 1, True),
    "an image id of 1.5": ids(1.5, 1, 1),
    "a category id that is null": ids(1, None, 1),
    "an id of 30 digits": ids(1, 1, 10**30),
    "an id that occurs twice": cup(id=2),
    "ids that are equal": cup(id="2"),
    "an image that is not listed": cup(image_id=7),
    "a category that is not listed": cup(category_id="7"),
    "area below 0": cup(area=-1),
    "area as text": cup(area="12"),
    "area too large": cup(area=1e13),
    "three numbers": cup(segmentation=[[1, 2, 3]]),
    "seven numbers": cup(segmentation=[[*SQUARE[:7]]]),
    "a polygon with text": cup(segmentation=[[*SQUARE[:5], "1"]]),
    "a polygon with NaN": cup(segmentation=[[*SQUARE[:5], float("nan")]]),
    "a polygon far away": cup(segmentation=[[*SQUARE[:5], 1e7]]),
    "segmentation as text": cup(segmentation="abc"),
    "run lengths of another size": rle(RUNS, (WIDTH, HEIGHT)),
    "run lengths that do not fill": rle([100]),
    "run lengths below 0": rle([WIDTH * HEIGHT + 5, -5]),
    "run lengths as other text": rle("abc"),
    "run lengths without size": cup(segmentation={"counts": RUNS}),
    "bbox of a negative side": cup(bbox=[10, 10, -5, 20]),
    "bbox of three numbers": cup(bbox=[10, 10, 20]),
    "bbox too large": cup(bbox=[0, 0, 20, 1e13]),
    "bbox beyond single precision": cup(bbox=[0, 0, 20, 1e308]),
    "bbox of 400 digits": cup(bbox=[0, 0, 20, 10**400]),
    "neither bbox nor segmentation": without("bbox", "segmentation"),
    "iscrowd 2": cup(iscrowd=2),
    "iscrowd as text": cup(iscrowd="1"),
    "ignore 2": cup(ignore=2),
    "a category without a name": lambda data: data["categories"][0].pop("name"),
    "a category twice": categories((1, "cup", "x"), (2, "plate", "x"), (1, "fork", "x")),
    "an image without pixels": lambda data: data["images"][0].update(height=0),
}
"""Both refuse the file."""


def written(folder: Path, change: Change) -> Path:
    data = base()
    change(data)
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / "1.png")
    (folder / "a.json").write_text(json.dumps(data))
    (folder / "none.json").write_text("[]")
    return folder / "a.json"


def scored_rows(path: Path, notes: Notes) -> list[dict[str, Any]]:
    """The objects of `score coco`, without those that are ignored: class, box, area, crowd, mask."""
    tables = _read(path, path.with_name("none.json"), notes)
    masks = [_mask(record, tables, ["segm"], notes) for record in tables.annotations]
    boxes, segments = (_targets(tables, masks, kind, 17, notes) for kind in ("bbox", "segm"))  # type: ignore[arg-type]
    names = {row["id"]: row["name"] for row in tables.table([]).dataset["categories"]}
    return [
        {
            "name": names[row["category_id"]],
            "bbox": row["bbox"],
            "area": row["area"],
            "crowd": bool(row["iscrowd"]),
            "mask": segment["segmentation"],
            "crowd mask": bool(segment["iscrowd"]),
        }
        for row, segment in zip(boxes, segments, strict=True)
        if np.isfinite(row["area"])
    ]


def read_rows(sample: sk.Sample) -> list[dict[str, Any]]:
    """The same of the data set; of objects without a mask, that of their box."""
    scene = sample.scene
    objects, kept = scene.objects, scene.rows_with(sk.MASKS)
    xywh = torch.cat((objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]), dim=1)
    assert objects.area is not None
    return [
        {
            "name": scene.vocabulary.things[int(objects.labels[row])],
            "bbox": xywh[row].tolist(),
            "area": float(objects.area[row]),
            "crowd": bool(objects.crowd[row]),
            "mask": scene[sk.MASKS].rles[row] if kept[row] else None,
            "crowd mask": bool(objects.crowd[row] or not kept[row]),
        }
        for row in (~objects.ignore).nonzero()[:, 0].tolist()
    ]


def assert_same(read: list[dict[str, Any]], scored: list[dict[str, Any]]) -> None:
    assert len(read) == len(scored)
    for one, other in zip(read, scored, strict=True):
        for name in ("name", "crowd", "crowd mask"):
            assert one[name] == other[name], name
        assert one["bbox"] == pytest.approx(other["bbox"])
        assert one["area"] == pytest.approx(other["area"])
        if one["mask"] is not None:
            assert (coco_mask.decode(one["mask"]) == coco_mask.decode(other["mask"])).all()


def assert_scores(data: Any, path: Path, masks: float = 1.0) -> None:
    """The ground truth as its own predictions has AP 1, and this one of masks, by evaluators and by `score coco`."""
    writer, evaluators = CocoResults(path.parent, data), {"bbox": DetectionEvaluator, "segm": MaskEvaluator}
    made = {kind: make(data.vocabulary) for kind, make in evaluators.items()}
    sample = checked(data[0])
    scores = torch.ones(len(sample.scene.objects))
    found = replace(sample.scene.objects, scores=scores)
    prediction = replace(sample.scene, streams={**sample.scene.streams, sk.OBJECTS: found})
    writer.add(prediction, sample.id, "1.png")
    writer.finish()
    for kind, evaluator in made.items():
        expected = pytest.approx(1 if kind == "bbox" else masks)
        evaluator.update(sample, prediction)
        assert evaluator.result()["AP"] == expected, kind
        assert score_files(path, path.with_name(f"{kind}.json"), [kind])[kind]["AP"] == expected, kind  # type: ignore[list-item]


@pytest.mark.parametrize("name", SAME)
def test_the_same_objects(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, SAME[name])
    data = sk.dataset("coco", annotations=str(path))
    assert_same(read_rows(checked(data[0])), scored_rows(path, Notes()))
    assert_scores(data, path)


@pytest.mark.parametrize("name", NO_PIXEL)
def test_a_mask_without_a_pixel(tmp_path: Path, name: str) -> None:
    """The cup is missed and the plate matched."""
    path = written(tmp_path, NO_PIXEL[name])
    data = sk.dataset("coco", annotations=str(path))
    assert_same(read_rows(checked(data[0])), scored_rows(path, Notes()))
    assert_scores(data, path, masks=0.5)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_same_is_left_out(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    path, notes = written(tmp_path, LEFT_OUT[name]), Notes()
    with pytest.raises(InputError, match="annotation id 1"):
        sk.dataset("coco", annotations=str(path))
    with caplog.at_level(logging.WARNING):
        data = sk.dataset("coco", annotations=str(path), faulty="skip")
    assert "annotation id 1" in caplog.text
    assert_same(read_rows(data[0]), scored_rows(path, notes))
    assert any("annotation id 1" in line for line in notes.lines())
    assert_scores(data, path)


@pytest.mark.parametrize("name", REFUSED)
def test_the_same_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, REFUSED[name])
    for read in (
        lambda: sk.dataset("coco", annotations=str(path)),
        lambda: score_files(path, path.with_name("none.json"), ["bbox", "segm"]),
    ):
        with pytest.raises(InputError) as refusal:
            read()
        assert "\n" not in str(refusal.value)
