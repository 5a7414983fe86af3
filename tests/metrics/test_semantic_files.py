"""Folders of label maps: a case worked by hand, the command, and files that cannot be scored."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenekit.cli.main import main
from scenekit.errors import InputError
from scenekit.metrics.notes import Notes
from scenekit.metrics.semantic import read_label_map, score_label_maps


def save(path: Path, labels: object, dtype: type = np.uint8) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.array(labels, dtype=dtype)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Over both images: label 0 is right on 2 of 3 pixels (union 3), label 1 on 2 of 2 (union 3), one is ignored."""
    truth, prediction = tmp_path / "truth", tmp_path / "prediction"
    save(truth / "a.png", [[0, 0], [1, 255]])
    save(prediction / "a.png", [[0, 1], [1, 1]])
    save(truth / "b.png", [[0, 1]])
    save(prediction / "b.png", [[0, 1]])
    return truth, prediction


def test_by_hand(folders: tuple[Path, Path]) -> None:
    result = score_label_maps(*folders)
    assert result["mIoU"] == pytest.approx((2 / 3 + 2 / 3) / 2) and result["pACC"] == pytest.approx(4 / 5)
    assert result["per_class"]["0"] == {"IoU": pytest.approx(2 / 3), "ACC": pytest.approx(2 / 3)}
    named = score_label_maps(*folders, classes=["wall", "floor", "sky"])
    assert named["mIoU"] == result["mIoU"] and math.isnan(named["per_class"]["sky"]["IoU"])


def test_the_command(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\ufeffwall\nfloor\n\n", encoding="utf-8")
    with pytest.raises(SystemExit) as leaving:
        main(["score", "semantic", *map(str, folders), "--names", str(names), "--json"])
    assert not leaving.value.code
    assert json.loads(capsys.readouterr().out)["per_class"]["floor"]["ACC"] == 1.0
    with pytest.raises(SystemExit):
        main(["score", "semantic", *map(str, folders), "--names", str(names), "--json"])
    assert list(json.loads(capsys.readouterr().out)["per_class"]) == ["wall", "floor"]
    with pytest.raises(SystemExit):
        main(["score", "semantic", *map(str, folders)])
    assert "mIoU" in capsys.readouterr().out


def test_classes_that_are_left_out_are_noted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    save(folders[1] / "a.png", [[0, 3], [1, 2]])
    notes = Notes()
    score_label_maps(*folders, ["wall", "floor", "sky", "sea", "sea"], notes=notes)
    expected = "has pixels of the class 'sea', which has no ground truth: left out of the means"
    assert notes.lines() == [f"{folders[1]} {expected}"], "the pixel of sky is ignored"
    save(folders[0] / "a.png", [[255, 255], [255, 255]])
    save(folders[0] / "b.png", [[255, 255]])
    notes = Notes()
    assert list(score_label_maps(*folders, ["sea", "a", "b", "sea"], notes=notes)["per_class"]) == [
        "sea (0)", "a", "b", "sea (3)"
    ]  # fmt: skip
    assert notes.lines() == [f"{folders[0]} has no pixel that counts; nothing is measured"]


def test_palettes_and_16_bits_hold_labels(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 2]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30] * 3)
    image.save(tmp_path / "palette.png")
    save(tmp_path / "wide.png", [[0, 300]], np.uint16)
    assert read_label_map(tmp_path / "palette.png").tolist() == [[0, 2]]
    assert read_label_map(tmp_path / "wide.png").tolist() == [[0, 300]]


def test_files_that_cannot_be_scored(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, prediction = folders
    with pytest.raises(InputError, match="no such folder"):
        score_label_maps(truth, tmp_path / "none")
    with pytest.raises(InputError, match=r"a.png: .* label map holds 1; expected 0 to 0"):
        score_label_maps(truth, prediction, classes=["wall"])
    save(prediction / "c.png", [[0]])
    with pytest.raises(InputError, match=r"has a prediction c\.png, for which"):
        score_label_maps(truth, prediction)
    (truth / "c.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"c\.png: not a readable image"):
        score_label_maps(truth, prediction)
    save(truth / "c.png", [[[1, 2, 3]]])
    with pytest.raises(InputError, match="got 3 channels of color"):
        score_label_maps(truth, prediction)
    (prediction / "a.png").unlink()
    with pytest.raises(InputError, match=r"has no prediction a.png \(1 of 3 are missing\)"):
        score_label_maps(truth, prediction)
