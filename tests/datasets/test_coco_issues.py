"""Annotation files that can't be right: the message names the file, the entry and the field."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import scenekit as sk
from scenekit.cli.main import main

Change = Callable[[dict[str, Any]], Any]


def whole() -> dict[str, Any]:
    points = {"keypoints": ["a", "b"]}
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 8, "width": 10} for n in (1, 2)],
        "annotations": [
            {"id": 4, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2, 3, 4, 1]},
            {"id": 5, "image_id": 2, "category_id": 2, "bbox": [0, 0, 10, 8], "segmentation": [[0, 0, 5, 0, 5, 5]]},
        ],
        "categories": [{"id": 1, "name": "person", **points}, {"id": 2, "name": "dog"}],
    }


def opened(folder: Path, change: Change = lambda data: None, **options: Any) -> Any:
    data = whole()
    change(data)
    for n in (1, 2):
        Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folder / f"{n}.png")
    (folder / "a.json").write_text(json.dumps(data))
    return sk.dataset("coco", annotations=str(folder / "a.json"), **options)


def first(name: str, value: Any) -> Change:
    """Another value in the first annotation."""
    return lambda data: data["annotations"][0].update({name: value})


def image(name: str, value: Any) -> Change:
    return lambda data: data["images"][0].update({name: value})


AT_ONCE: dict[str, Change] = {
    "category id 1: 'keypoints' must be different names": lambda data: data["categories"][0].update(
        keypoints=["eye", "eye"]
    ),
    "annotation id 5: the id occurs twice": first("id", 5),
    "annotation id 4: 'image_id' is 9, which 'images' does not list": first("image_id", 9),
    "annotation id 4: 'category_id' is 9, which 'categories' does not list": first("category_id", 9),
    "annotation id 4: 'bbox' (x, y, width, height) [1.0, 2.0, -3.0, 4.0] has a negative side": first(
        "bbox", [1, 2, -3, 4]
    ),
    "annotation id 4: 'bbox' (x, y, width, height) [10.0, 2.0, 3.0, 4.0] is outside the image": first(
        "bbox", [10, 2, 3, 4]
    ),
    "annotation id 4: 'bbox' must be 4 numbers, not 3": first("bbox", [1, 2, 3]),
    "annotation id 4 has neither 'bbox' (x, y, width, height) nor 'segmentation'": first("bbox", None),
    "annotation id 4: 'keypoints' must be x, y, v of the points of its category, 6 numbers, not 3": first(
        "keypoints", [1, 2, 2]
    ),
    "annotation id 1.5: 'id' must be an integer": first("id", 1.5),
    "annotation id True: 'id' must be an integer": first("id", True),
    "annotation number 0 has no 'id'": lambda data: data["annotations"][0].pop("id"),
    "image id 1: the id occurs twice": lambda data: data["images"][1].update(id=1),
    "image id 1: 'height' and 'width' must be 1 or more": image("height", 0),
    "image id 1: 'file_name' is 'no.png'": image("file_name", "no.png"),
    "category id 2: the id occurs twice": lambda data: data["categories"][0].update(id=2),
    "category id 1: 'skeleton' must be pairs of numbers from 1 to 2": lambda data: data["categories"][0].update(
        skeleton=[[0, 1]]
    ),
    "category id 1: a skeleton of 2 points needs as many sigmas, got 1": lambda data: data["categories"][0].update(
        sigmas=[0.1]
    ),
    "category id 1: 'skeleton' must be pairs of numbers from 1 to 2, not [[[1], [2]]]": lambda data: data["categories"][
        0
    ].update(skeleton=[[[1], [2]]]),
    "category id 1: 'sigmas' must be numbers, one a point": lambda data: data["categories"][0].update(sigmas=["x", 1]),
    "annotation id 1267650600228229401496703205376: 'id' must be an integer": first("id", 2**100),
    "annotation id 4: 'category_id' must be an integer": first("category_id", 2**100),
    "'annotations' must be a list, not an object": lambda data: data.update(annotations={"4": {}}),
    "a list 'categories' that is not empty": lambda data: data.pop("categories"),
    "a list 'images' that is not empty": lambda data: data.pop("images"),
    "'attributes' must be a list of names, not [1]": lambda data: data.update(attributes=[1]),
    "'predicates' must be a list of names, not 5": lambda data: data.update(predicates=5),
    "image id 1: 'width' must be an integer": lambda data: (
        [picture.pop("width") for picture in data["images"]] and data["images"][0].update(width="x")
    ),
    "annotation id 4: 'keypoints' must have visibilities of 0, 1 or 2": first("keypoints", [1, 2, 2, 3, 4, 7]),
    "annotation id 4: 'segmentation' must be polygons of three points or more, or run lengths": first(
        "segmentation", [[1, 2, 3]]
    ),
    "annotation id 4: 'segmentation' has a polygon of less than three points": first("segmentation", [[1, 2, 3, 4]]),
    "annotation id 4: 'segmentation' is of size [10, 8], the image of [8, 10]": first(
        "segmentation", {"size": [10, 8], "counts": [80]}
    ),
    "annotation id 4: the run lengths [3] of 'segmentation' do not fill": first(
        "segmentation", {"size": [8, 10], "counts": [3]}
    ),
    "annotation id 4: 'segmentation': the run lengths": first("segmentation", {"size": [8, 10], "counts": "abc"}),
    "annotation id 4: 'iscrowd' must be 0 or 1": first("iscrowd", 3),
    "annotation id 4: 'captions' must be a list of texts": first("captions", "red"),
    "annotation id 4 has no 'size'": first("center", [1, 2, 3]),
    "annotation id 4: 'bbox_3d' must be 9 numbers, not 7": first("bbox_3d", [1] * 7),
    "annotation id 4: a 3D box needs width, height and length above 0": first("bbox_3d", [1, 1, 1, 0, 1, 1, 0, 0, 0]),
    "annotation id 4: 'rotation' is not a rotation": lambda data: data["annotations"][0].update(
        center=[0, 0, 5], size=[1, 1, 1], rotation=[[1, 0, 0], [0, 1, 0], [0, 0, -1]]
    ),
    "'relations' has 'no'; did you mean 'on'?": lambda data: (
        data.update(predicates=["on"]),
        image("relations", [{"subject_id": 4, "object_id": 4, "predicate": "no"}])(data),
    ),
    "image id 1: relation of image 0 0: 'object_id' is 5, which is not an object": image(
        "relations", [{"subject_id": 4, "object_id": 5, "predicate": "on"}]
    ),
    "image id 1: 'camera' must be three rows": image("camera", "pinhole"),
    "image id 1: 'camera': camera intrinsics must be finite": image("camera", [0, 1, 2, 3]),
    "its 'scale', metres a step, must be a number above 0, not \"1\"": image(
        "depth", {"file_name": "nine.png", "scale": "1"}
    ),
    "image id 1: 'classes' has 'dogs'; did you mean 'dog'?": image("classes", ["dogs"]),
    "image id 1: 'supervises' has 'keypoint'; did you mean 'keypoints'?": image("supervises", ["keypoint"]),
    "image id 1: 'exhaustive' must be true, false or a list of names": image("exhaustive", "no"),
    "image id 1: 'semantic': no such file: 'none.png'": image("semantic", "none.png"),
    "image id 1: 'depth': no such file: '../depth.png'": image("depth", {"file_name": "../depth.png"}),
    "image id 1: 'panoptic': no such file": image("panoptic", {"file_name": "none.png", "segments_info": []}),
    "image id 1: 'panoptic' must be an object": image("panoptic", 5),
    "image id 1: a segment's 'category_id' is 77, which 'categories' does not list": image(
        "panoptic", {"file_name": "1.png", "segments_info": [{"id": 1, "category_id": 77}]}
    ),
    "image id 1: 'mirrorable' must be true or false": image("mirrorable", "no"),
    "image id 1: 'supervises' must be a list of names of keys": image("supervises", False),
    "image id 1: 'annotation_ids' must be a list of ids": image("annotation_ids", [[4]]),
    "'classes' has 'dogs'; did you mean 'dog'?": lambda data: data.update(classes=["dogs"]),
    "'exhaustive' must be true, false": lambda data: data.update(exhaustive=-1),
}


@pytest.mark.parametrize("message", AT_ONCE)
def test_found_when_it_is_opened(tmp_path: Path, message: str) -> None:
    with pytest.raises(sk.InputError) as caught:
        opened(tmp_path, AT_ONCE[message])
    assert message in str(caught.value) and "a.json" in str(caught.value) and "\n" not in str(caught.value)


LATER: dict[str, Change] = {
    "the value 9 is neither the id of a category": image("semantic", "nine.png"),
    "image id 1: its size is given as [9, 10]": image("height", 9),
}


@pytest.mark.parametrize("message", LATER)
def test_found_when_the_image_is_read(tmp_path: Path, message: str) -> None:
    Image.fromarray(np.full((8, 10), 9, np.uint8)).save(tmp_path / "nine.png")
    data = opened(tmp_path, LATER[message])
    with pytest.raises(sk.InputError) as caught:
        data[0]
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert data[1].id == 2


def spoil(data: dict[str, Any]) -> None:
    data["images"].append({"id": 3, "file_name": "3.png", "height": 8, "width": 10})
    data["annotations"] += [{**data["annotations"][1], "id": n, "category_id": 8} for n in range(6, 13)]


def test_the_first_issues_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with pytest.raises(sk.InputError) as caught:
        opened(tmp_path, spoil)
    message = str(caught.value)
    assert "id 6:" in message and "id 10:" in message and "id 11:" not in message and "and 2 more" in message


def test_faulty_entries_may_be_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = opened(tmp_path, spoil, faulty="skip")
    assert len(data) == 2 and [len(data[n].scene.objects) for n in (0, 1)] == [1, 1]
    assert "category_id" in caplog.messages[0] and "3.png" in caplog.messages[1]


def test_relations_of_missing_objects_may_be_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = [{"subject_id": 4, "object_id": end, "predicate": "on"} for end in (5, 4)]
    with caplog.at_level(logging.WARNING):
        relations = opened(tmp_path, image("relations", entries), faulty="skip")[0].scene[sk.RELATIONS]
    assert (relations.subject.tolist(), relations.object.tolist()) == ([0], [0])
    assert [("'object_id' is 5" in message, message.endswith("skipped")) for message in caplog.messages] == [
        (True, True)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected a JSON object, got"),
        ('{"images": [{"id": 1}, {]}', "is not valid JSON"),
        ('{"images": [', "is not valid JSON"),
        ("", "expected a JSON object"),
        ('{"images": [{"id": 1}} ', "is not valid JSON"),
        ("{images: []}", "is not valid JSON"),
    ],
)
def test_broken_json(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(sk.InputError, match=message):
        sk.dataset("coco", annotations=str(tmp_path / "a.json"))


def test_options_that_can_not_be(tmp_path: Path) -> None:
    for options, message in (
        ({}, "needs either annotations="),
        ({"root": "x", "annotations": "y"}, "needs either annotations="),
        ({"annotations": str(tmp_path / "none.json")}, "no such file"),
        ({"root": str(tmp_path / "none")}, "is not a COCO root"),
        ({"root": str(tmp_path), "parts": ["instance"]}, "did you mean 'instances'"),
        ({"annotations": "x", "faulty": "ignore"}, "option 'faulty': input should be 'refuse' or 'skip'"),
        ({"annotation": "x"}, "did you mean 'annotations'"),
    ):
        with pytest.raises(sk.InputError, match=message):
            sk.dataset("coco", **options)


def test_the_command_line_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sk.InputError):
        opened(tmp_path, first("bbox", [1, 2, -3, 4]))
    with pytest.raises(SystemExit) as leaving:
        main(["evaluate", "--data", "coco", "--split", "val", "--option", f"annotations={tmp_path / 'a.json'}"])
    said = capsys.readouterr().err
    assert leaving.value.code == 2 and "annotation id 4: 'bbox'" in said and said.count("\n") == 1
