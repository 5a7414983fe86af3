"""`scenekit score kitti`, on the stored case."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Result

FOLDER = Path(__file__).parents[1] / "reference" / "mesh3d" / "kitti"
FILES = (str(FOLDER / "label_2"), str(FOLDER / "pred"))


def test_the_numbers_of_the_public_evaluator(run: Callable[..., Result]) -> None:
    expected = json.loads((FOLDER / "results.json").read_text())["results"]["kitti_eval_dict"]
    found = run("score", "kitti", *FILES, "--json").json
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_tables_for_people(run: Callable[..., Result]) -> None:
    result = run("score", "kitti", *FILES)
    assert result.status == 0
    for text in ("KITTI AP40", "KITTI AP11", "Car, AOS", "Cyclist, BEV"):
        assert text in result.out + result.err


def test_the_folders_around_the_files_will_do(tmp_path: Path, run: Callable[..., Result]) -> None:
    """training/ with its label_2/, and the results with their data/, as KITTI's own program takes them."""
    for name, files in zip(("training/label_2", "results/data"), FILES, strict=True):
        shutil.copytree(files, tmp_path / name)
    found = run("score", "kitti", str(tmp_path / "training"), str(tmp_path / "results"), "--json").json
    expected = run("score", "kitti", *FILES, "--json").json
    assert [len(scores.pop("notes")) for scores in (found, expected)] == [2, 2], "detections of Van and Person_sitting"
    assert found == expected


def test_a_missing_file_is_one_line_and_status_2(tmp_path: Path, run: Callable[..., Result]) -> None:
    (tmp_path / "000000.txt").touch()
    result = run("score", "kitti", FILES[0], str(tmp_path))
    assert result.status == 2
    assert "has no 000001.txt (19 of 20 files are missing)" in " ".join(result.err.split())
