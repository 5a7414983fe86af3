"""What `scenekit new-plugin` writes works at once: installed, checked, tested."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scenekit.cli.main import main
from scenekit.cli.new_plugin import Kind


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", *map(str, arguments)])
    said = capsys.readouterr()
    assert leaving.value.code == 2 and said.out == "" and said.err.count("\n") == 1
    return said.err


CHECKED = {"object": (), "image": (), "pair": (), "detector": ("--detector",), "dataset": ("--data",)}
"""Kinds that `scenekit check` knows, and how it is told the name."""


@pytest.mark.parametrize("kind", Kind)
def test_it_works_at_once(kind: Kind, tmp_path: Path, install: Callable[..., Path], python: Callable) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", "shelf-life", "--kind", kind, "--out", str(tmp_path)])
    folder = tmp_path / "scenekit-shelf-life"
    assert leaving.value.code == 0
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "pyproject.toml",
        "scenekit_shelf_life.py",
        "test_shelf_life.py",
    }
    left = [path for path in folder.iterdir() if re.search(r"example(?!=)", path.read_text(), re.IGNORECASE)]
    assert not left, "`example=` is an argument of sk.Key"
    site = install(folder)
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
    if kind in CHECKED:
        listing = python(site, "-m", "scenekit", "plugins", "--json").stdout
        assert "shelf_life" in listing and not json.loads(listing)["failures"]
    else:
        command = ("score", "shelf_life") if kind == Kind.METRIC else ("shelf_life",)
        done = python(site, "-m", "scenekit", *command, "--help")
        assert done.returncode == 0 and "Print " in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("kind", [Kind.OBJECT, Kind.DETECTOR, Kind.DATASET])
def test_the_check_finds_it_by_name(kind: Kind, tmp_path: Path, install: Callable[..., Path], python: Callable) -> None:
    with pytest.raises(SystemExit):
        main(["new-plugin", "shelf_life", "--kind", kind, "--out", str(tmp_path)])
    site = install(tmp_path / "scenekit-shelf-life")
    done = python(site, "-m", "scenekit", "check", *CHECKED[kind], "shelf_life", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)["reports"]
    assert report["ok"] and report["name"] == "shelf_life" and len(report["passed"]) > 5


def test_data_is_short_for_kind_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", "shelf", "--data", "--out", str(tmp_path)])
    assert leaving.value.code == 0 and "the data set 'shelf'" in capsys.readouterr().out
    assert "scenekit_datasets" in (tmp_path / "scenekit-shelf" / "scenekit_shelf.py").read_text()
    assert "cannot be combined with --kind pair" in refused(capsys, "other", "--data", "--kind", "pair")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scenekit-shelf").mkdir()
    assert "exists already" in refused(capsys, "shelf", "--out", tmp_path)
    assert not list((tmp_path / "scenekit-shelf").iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shelf", "a Python identifier in lower case"),
        ("shelf_", "a Python identifier in lower case"),  # scenekit-shelf- is no name of a distribution
        ("2d", "a Python identifier in lower case"),
        ("class", "a Python identifier in lower case"),
        ("plugins", "a module scenekit_plugins is installed already"),
        ("masks", "there is a task or a part of every model named 'masks' already"),
        ("backbone", "there is a task or a part of every model named 'backbone' already"),
    ],
)
def test_names_that_cannot_be(name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reason in refused(capsys, name, "--out", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("detector", "faster_rcnn", "there is a detector named 'faster_rcnn' already"),
        ("dataset", "coco", "there is a data set named 'coco' already"),
        ("metric", "kitti", "there is a metric named 'kitti' already"),
        ("command", "new-plugin", "there is a command named 'new_plugin' already"),
    ],
)
def test_names_that_others_of_the_kind_have(
    kind: str, name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refused(capsys, name, "--kind", kind, "--out", tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot make" in refused(capsys, "shelf", "--out", tmp_path / "file")
