"""Files of Omni3D that cannot be right: one line each that names the file, the entry and the field."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenekit as sk
from scenekit.cli.main import main
from scenekit.errors import InputError
from tests.datasets.spatial_files import annotation, image, intrinsics, omni3d, write_omni3d

Change = Callable[[dict[str, Any]], Any]


def opened(folder: Path, data: dict[str, Any] | str | None = None, **options: Any) -> Any:
    write_omni3d(folder, omni3d() if data is None else data)
    return sk.dataset("omni3d", **{"root": str(folder), **options})


def changed(field: str, row: int = 0, **values: Any) -> Change:
    """Values of an entry; None takes a field away."""

    def change(data: dict[str, Any]) -> None:
        entry = data[field][row]
        entry.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del entry[key]

    return change


def focal(value: Any) -> Change:
    """fx of the first image."""

    def change(data: dict[str, Any]) -> None:
        data["images"][0]["K"][0][0] = value

    return change


ENTRIES: dict[str, Change] = {
    "image id 2 has no 'K'": changed("images", 1, K=None),
    "image id 2: 'K' must be three rows of three finite numbers, not [1, 0, 0]": changed("images", 1, K=[1, 0, 0]),
    "image id 2: 'K' must be three rows of three finite numbers, not [[1, 0, 0], [0, \"fy\"": changed(
        "images", 1, K=[[1, 0, 0], [0, "fy", 0], [0, 0, 1]]
    ),
    "image id 2: 'K': camera intrinsics must be finite, with focal lengths above 0, got": changed(
        "images", 1, K=[[-50, 0, 40], [0, 50, 30], [0, 0, 1]]
    ),
    "image id 2: 'K': camera intrinsics fx, fy, cx, cy = 1.2, 1.6, 0.5, 0.4 are relative to the size of the": changed(
        "images", 1, K=[[1.2, 0, 0.5], [0, 1.6, 0.4], [0, 0, 1]]
    ),
    "image id 2: 'K': the last row of a camera matrix must be 0 0 1, got [40.0, 30.0, 1.0]; is the matrix tr": changed(
        "images", 1, K=[[50, 0, 0], [0, 50, 0], [40, 30, 1]]
    ),
    "image id 2 has no 'file_path'": changed("images", 1, file_path=None),
    "image id 2: 'height' and 'width' must be 1 or more": changed("images", 1, height=0),
    "image id 1: the id occurs twice": changed("images", 1, id=1),
    "image number 2: expected an object, got [1]": lambda data: data["images"].append([1]),
    "annotation id 13 has no 'image_id'": lambda data: data["annotations"].append(
        {"id": 13, "category_id": 1, "bbox2D_proj": [0, 0, 1, 1]}
    ),
    "annotation id 13: 'category_name' must be text, not [\"car\"]": lambda data: data["annotations"].append(
        annotation(13, 1, 1, category_name=["car"])
    ),
    "annotation id 13: 'image_id' is 5, which 'images' does not list": lambda data: data["annotations"].append(
        annotation(13, 5, 1)
    ),
    "annotation id 13: 'category_id' is 7, which 'categories' does not list": lambda data: data["annotations"].append(
        annotation(13, 1, 7, category_name="tram")
    ),
}
"""What is said when the file is opened; nothing else is left out."""


@pytest.mark.parametrize("message", ENTRIES)
def test_faulty_entries(tmp_path: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    data = omni3d()
    ENTRIES[message](data)
    path = tmp_path / "Omni3D" / "Drive_train.json"
    write_omni3d(tmp_path, omni3d())
    path.write_text(json.dumps(data))
    with caplog.at_level(logging.WARNING):
        found = sk.dataset("omni3d", root=str(tmp_path))
    assert f"{path}: {message}" in caplog.text and caplog.text.count("\n") == 1
    assert found[0].scene.names() == ["car", "person"]
    with pytest.raises(InputError, match=re.escape(message) + ".*faulty=skip"):
        sk.dataset("omni3d", root=str(tmp_path), faulty="refuse")


ROWS: dict[str, Change] = {
    "annotation id 11: 'dimensions' must be a width, height and length above 0, not 2, 0, 4": changed(
        "annotations", dimensions=[2.0, 0, 4.0]
    ),
    "annotation id 11: 'dimensions' must be 3 finite numbers": changed("annotations", dimensions=[float("nan"), 1, 4]),
    "annotation id 11: 'center_cam' must be 3 numbers, not 2": changed("annotations", center_cam=[0.0, 1.0]),
    "'R_cam' must be a rotation from the object's axes to the camera's, but it is left-handed": changed(
        "annotations", R_cam=[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]
    ),
    "but its columns are not orthonormal": changed("annotations", R_cam=[[2, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "annotation id 11 has no 'R_cam'": changed("annotations", R_cam=None),
    "annotation id 11 has no 'valid3D'": changed("annotations", valid3D=None),
    "annotation id 11 has no 'behind_camera', which Omni3D's annotations have": changed(
        "annotations", behind_camera=None
    ),
    "annotation id 11: 'valid3D' must be 0 or 1": changed("annotations", valid3D="yes"),
}
"""What is said of a 3D box when its image is asked for: the 2D box stays, ignored."""


@pytest.mark.parametrize("message", ROWS)
def test_faulty_rows(tmp_path: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    data = omni3d()
    ROWS[message](data)
    found = opened(tmp_path, data)
    with caplog.at_level(logging.WARNING):
        scene = found[0].scene
    assert message in caplog.text and len(found.issues(0)) == 1
    assert scene.names() == ["car", "person"] and scene.objects.ignore.tolist() == [True, True]
    assert scene.rows_with(sk.BOXES3D).tolist() == [False, True]
    caplog.clear()
    assert found[0] and not caplog.text, "reported once"
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path, data, faulty="refuse")[0]


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (
            "annotation id 11 has no 2D box; expected 'bbox2D_tight', 'bbox2D_trunc' or 'bbox2D_proj'",
            dict.fromkeys(("bbox2D_tight", "bbox2D_trunc", "bbox2D_proj")),
        ),
        ("annotation id 11: '2D box' must be 4 finite numbers", {"bbox2D_trunc": [1, 2, None, 4]}),
    ],
)
def test_without_a_2d_box_there_is_no_object(tmp_path: Path, message: str, values: dict[str, Any]) -> None:
    data = omni3d()
    changed("annotations", **values)(data)
    found = opened(tmp_path, data)
    assert found[0].scene.names() == ["person"] and len(found.issues(0)) == 1 and message in found.issues(0)[0]


def test_objects_behind_the_camera_are_not_an_issue(tmp_path: Path) -> None:
    data = omni3d()
    changed("annotations", center_cam=[0.5, 0.1, -8.0])(data)
    changed("annotations", 1, behind_camera=True)(data)
    found = opened(tmp_path, data)
    assert not found.issues(0) and found[0].scene.rows_with(sk.BOXES3D).tolist() == [False, False]


FILES = {
    "expected a JSON object, got": "[]",
    "expected a JSON object with a list 'categories' that is not empty": json.dumps({"images": [image(1)]}),
    "expected a JSON object with a list 'images' that is not empty": json.dumps(
        {"categories": [{"id": 1, "name": "a"}]}
    ),
    "is not valid JSON": '{"images": [',
    "expected a JSON object, got an empty file": "",
    "category id 1 has no 'name'": json.dumps({"images": [image(1)], "categories": [{"id": 1}]}),
}


@pytest.mark.parametrize("message", FILES)
def test_faulty_files(tmp_path: Path, message: str) -> None:
    for faulty in ("refuse", "skip"):
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            opened(tmp_path, FILES[message], faulty=faulty)
        assert "Drive_train.json" in str(caught.value) and "\n" not in str(caught.value)


def test_no_image_is_left(tmp_path: Path) -> None:
    data = omni3d()
    for entry in data["images"]:
        entry["K"] = [[0, 0, 40], *intrinsics().tolist()[1:]]
    with pytest.raises(InputError, match="focal lengths above 0"):
        opened(tmp_path, data)


def test_missing_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path)
    (tmp_path / "drive" / "1.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert [sample.id for sample in sk.dataset("omni3d", root=str(tmp_path))] == [2]
    assert "image id 1: 'file_path' is 'drive/1.png', which" in caplog.text
    (tmp_path / "drive" / "2.png").unlink()
    with pytest.raises(InputError, match=r"no image of .* is left; check the options root, categories"):
        sk.dataset("omni3d", root=str(tmp_path))


def test_a_image_of_another_size(tmp_path: Path) -> None:
    found = opened(tmp_path, {**omni3d(), "images": [image(1, width=81), image(2)]})
    with pytest.raises(InputError, match=r"image id 1: its size is given as \[60, 81\], .* has \[60, 80\]"):
        found[0]


def test_two_files_with_one_id(tmp_path: Path) -> None:
    write_omni3d(tmp_path, omni3d(), "A_train")
    with pytest.raises(InputError, match=r"B_train.json and .*A_train.json both have an image id 1; open them as two"):
        write_omni3d(tmp_path, omni3d(), "B_train")
        sk.dataset("omni3d", root=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "has no file *_val.json; name the files with annotations="),
        ({"root": None}, "data set 'omni3d' needs annotations=FILE.json, or root=FOLDER"),
        ({"annotations": "nowhere.json"}, "no such file: nowhere.json"),
        ({"annotations": []}, "annotations must name a JSON file"),
        ({"categories": ["cars"]}, "categories names 'cars'; did you mean 'car'"),
        ({"categories": []}, "expected names of classes such as"),
        ({"boxes": "tigth"}, "input should be 'tight', 'trunc' or 'proj', got 'tigth'"),
        ({"keys": ["masks"]}, "Omni3D's files have no labels 'masks'"),
        ({"faulty": "ignore"}, "option 'faulty': input should be 'refuse' or 'skip'"),
    ],
)
def test_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path, **options)


def test_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(tmp_path)
    with pytest.raises(SystemExit) as status:
        main(["doctor", "data", "omni3d", "--set", f"root={tmp_path}", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert not status.value.code and found["labels"]["boxes3d"]["rows"] == 2
    assert found["things"]["car"]["objects"] == 1 and found["ranges"]["boxes3d: length, m"]["max"] == 4
