"""Files of KITTI that cannot be right: one line each that names the file, what was expected and what came."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenekit as sk
from scenekit.cli.main import main
from scenekit.errors import InputError, SkippedSampleError
from tests.datasets.spatial_files import CAR, ELSEWHERE, WALKER, calibration, write_kitti, write_scan

Change = Callable[[Path], Any]

NAME = "000003"


def written(folder: str, text: str, suffix: str = "txt") -> Change:
    """A file of the first image is replaced."""
    return lambda root: (root / "training" / folder / f"{NAME}.{suffix}").write_text(text)


def removed(folder: str, suffix: str = "txt") -> Change:
    return lambda root: (root / "training" / folder / f"{NAME}.{suffix}").unlink()


def scan(content: bytes, **lines: str) -> Change:
    """A laser scan, and changed lines of the calibration."""

    def change(root: Path) -> None:
        write_scan(root / "training", NAME, []).write_bytes(content)
        written("calib", calibration(**lines))(root)

    return change


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write_kitti(tmp_path, {NAME: [CAR], "000007": [WALKER]})
    return tmp_path


def opened(folder: Path, **options: Any) -> Any:
    return sk.dataset("kitti", **{"root": str(folder), **options})


MISSING: dict[str, Change] = {
    "image 000003 has no {folder}/calib/000003.txt": removed("calib"),
    "image 000003 has no {folder}/label_2/000003.txt": removed("label_2"),
}


@pytest.mark.parametrize("message", MISSING)
def test_missing_files(made: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    MISSING[message](made)
    expected = message.format(folder=made / "training")
    with pytest.raises(InputError, match=re.escape(expected) + r".*faulty=skip"):
        opened(made)
    with caplog.at_level(logging.WARNING):
        assert [sample.id for sample in opened(made, faulty="skip")] == [7]
    assert expected in caplog.text


PROJECTION = "50 0 40 0 0 50 30 0 0 0 1 0"

DAMAGED: dict[str, Change] = {
    "calib/000003.txt has no line 'P2'; expected P2, R0_rect and Tr_velo_to_cam, got R0_rect": written(
        "calib", calibration(P2="")
    ),
    "P2: camera intrinsics must be finite, with focal lengths above 0, got fx, fy = (-50.0, 50.0)": written(
        "calib", calibration(P2=f"-{PROJECTION}")
    ),
    "focal lengths above 0, got fx, fy = (50.0, 0.0)": written(
        "calib", calibration(P2=PROJECTION.replace("0 50 30", "0 0 30"))
    ),
    "P2 must be fx 0 cx . 0 fy cy . 0 0 1 .": written("calib", calibration(P2="50 0 40 0 0 50 30 0 0 0 0 0")),
    "P2 must be 12 finite numbers, got 11": written("calib", calibration(P2=PROJECTION[:-2])),
    "P2 must be 12 finite numbers, got 12": written("calib", calibration(P2=PROJECTION.replace("40", "nan"))),
    'P2 must be numbers, not "fifty': written("calib", calibration(P2=PROJECTION.replace("50", "fifty"))),
    "calib/000003.txt, which is not encoded in UTF-8": lambda root: (
        root / "training" / "calib" / f"{NAME}.txt"
    ).write_bytes(b"\xff\xfe\x00"),
}
"""Calibrations without which an image cannot be used."""


def test_intrinsics_relative_to_the_image_are_refused_when_it_is_read(made: Path) -> None:
    message = "3.txt: P2: camera intrinsics fx, fy, cx, cy = 1.2, 1.2, 0.5, 0.5 are relative to the size of the image"
    written("calib", calibration(P2="1.2 0 0.5 0 0 1.2 0.5 0 0 0 1 0"))(made)
    for faulty, kind in (("refuse", InputError), ("skip", SkippedSampleError)):
        with pytest.raises(kind, match=re.escape(message)):
            opened(made, faulty=faulty)[0]


@pytest.mark.parametrize("message", DAMAGED)
def test_damaged_calibrations(made: Path, message: str) -> None:
    DAMAGED[message](made)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        opened(made)
    assert "\n" not in str(caught.value)
    data = opened(made, faulty="skip")
    with pytest.raises(SkippedSampleError, match=re.escape(message)):
        data[0]
    assert data[1].id == 7, "the other one is as good as before"


def test_a_damaged_image_is_refused_or_skipped_when_it_is_read(made: Path) -> None:
    written("image_2", "", "png")(made)
    for faulty, kind in (("refuse", InputError), ("skip", SkippedSampleError)):
        with pytest.raises(kind, match=r"image_2/000003\.png: the file is empty") as caught:
            opened(made, faulty=faulty)[0]
        assert caught.type is kind


LINES = {
    "label_2/000003.txt, line 2: expected a class and 14 numbers": "Car 0 0",
    "label_2/000003.txt, line 2: expected finite numbers": CAR.replace("8.00", "nan"),
    "label_2/000003.txt, line 2: expected finite numbers of at most 1e+12, got 810e73": CAR.replace("40.00", "810e73"),
    "line 2: the box [40.0, 20.0, 10.0, 50.0] is reversed": CAR.replace("10.00 20.00 40.00", "40.00 20.00 10.00"),
}
"""Lines that are skipped or refused."""


@pytest.mark.parametrize("message", LINES)
def test_lines_that_cannot_be(made: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    written("label_2", f"{CAR}\n{LINES[message]}\n")(made)
    with pytest.raises(InputError, match=re.escape(message)):
        opened(made)
    with caplog.at_level(logging.WARNING):
        assert len(opened(made, faulty="skip")[0].scene.objects) == 1
    assert message in caplog.text


@pytest.mark.parametrize("sizes", ["0.00 1.60 4.00", "1.50 -1.60 4.00"])
def test_boxes_without_volume(made: Path, sizes: str, caplog: pytest.LogCaptureFixture) -> None:
    written("label_2", f"{WALKER}\n\n{CAR.replace('1.50 1.60 4.00', sizes)}\n")(made)
    message = "label_2/000003.txt, line 3: the Car needs a height, width and length above 0, got"
    with pytest.raises(InputError, match=message):
        opened(made)[0]
    data = opened(made, faulty="skip")
    with caplog.at_level(logging.WARNING):
        scene = data[0].scene
    assert message in caplog.text and scene.rows_with(sk.BOXES3D).tolist() == [True, False]
    caplog.clear()
    assert data[0] and not caplog.text, "reported once"


SCANS: dict[str, Change] = {
    "velodyne/000003.bin has 0 bytes; expected x, y, z and reflectance": scan(b""),
    "velodyne/000003.bin has 15 bytes": scan(b"\0" * 15),
    "velodyne/000003.bin: none of its 1 points is in view of the camera": scan(b"\0" * 16),
    "calib/000003.txt has no line 'Tr_velo_to_cam', which": scan(b"\0" * 16, Tr_velo_to_cam=""),
}
"""What is wrong with a scan: the image is as good without."""


@pytest.mark.parametrize("message", SCANS)
def test_faulty_scans(made: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    SCANS[message](made)
    with pytest.raises(InputError, match=re.escape(message)):
        opened(made)[0]
    with caplog.at_level(logging.WARNING):
        sample = opened(made, faulty="skip")[0]
    assert message in caplog.text
    assert sk.DEPTH not in sample.scene and sk.DEPTH not in sample.supervision.keys and len(sample.scene.objects) == 1
    assert opened(made, keys=["boxes3d"])[0].scene.objects, "what is not asked for is not read"


def test_r0_rect_is_needed_for_scans_alone(made: Path) -> None:
    written("calib", calibration(R0_rect="", Tr_velo_to_cam=""))(made)
    assert opened(made)[0].scene.camera is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "nowhere"}, "expected a folder with training/image_2 or image_2, but nowhere has neither"),
        ({"split": "val"}, "KITTI has no val of its own, and there is no "),
        ({"split": "vale"}, "has no split 'vale'; did you mean 'val'"),
        ({"splits": "nowhere.txt"}, "no such file: nowhere.txt"),
        ({"classes": []}, "expected names of classes such as"),
        ({"classes": "Car"}, "input should be a list or input should be a section of names with values"),
        ({"keys": ["boxes"]}, "KITTI has no labels 'boxes'; did you mean 'boxes3d'"),
        ({"keys": ["depth"]}, "keys names 'depth', but "),
        ({"difficulty": "hart"}, "input should be 'easy', 'moderate' or 'hard', got 'hart'"),
        ({"faulty": "ignore"}, "option 'faulty': input should be 'refuse' or 'skip'"),
        ({"classes": ["Tram"], "drop_empty": True}, "none of 2 images has an object of Tram"),
    ],
)
def test_options(made: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        opened(made, **options)


def test_folders_without_what_is_needed(made: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder with testing/image_2"):
        opened(made, split="test")
    for path in (made / "training" / "label_2").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="has no label_2"):
        opened(made)
    for path in (made / "training" / "image_2").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="has no images; expected files such as"):
        opened(made)


def test_names_of_a_split(made: Path) -> None:
    names = made / "train.txt"
    names.write_text("000099\n000003\n000003\n")
    with pytest.raises(InputError, match=r"train.txt: image 000099 has no .*000099.png"):
        opened(made, splits=str(names))
    assert len(opened(made, splits=str(names), faulty="skip")) == 1
    names.write_text("\n")
    with pytest.raises(InputError, match="names no image"):
        opened(made, splits=str(names))


def test_doctor(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written("label_2", f"{CAR}\n{ELSEWHERE}\n")(made)
    write_scan(made / "training", NAME, [[10.0, 0, -0.3], [12.0, 1, -0.3], [math.nan, 0, 0]])
    with pytest.raises(SystemExit) as status:
        main(["doctor", "data", "kitti", "--option", f"root={made}", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert not status.value.code and found["labels"]["boxes3d"] == {"images": 2, "supervised": 2, "rows": 2}
    assert found["ranges"]["depth: values"]["count"] == 2
    assert found["findings"]["classes without objects"]["places"] == ["Cyclist"], "a DontCare region is none"
    away = found["findings"]["3D boxes away from their 2D box"]
    assert away["places"] == ["image 3, boxes3d of objects 0", "image 7, boxes3d of objects 0"]
