"""What `scenekit new-plugin` writes works at once: installed, checked, tested."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scenekit.cli.main import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", *map(str, arguments)])
    said = capsys.readouterr()
    assert leaving.value.code == 2 and said.out == "" and said.err.count("\n") == 1
    return said.err


def test_it_works_at_once(tmp_path: Path, install: Callable[..., Path], python: Callable) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", "shelf_life", "--out", str(tmp_path)])
    folder = tmp_path / "scenekit-shelf-life"
    assert leaving.value.code == 0
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "pyproject.toml",
        "scenekit_shelf_life.py",
        "test_shelf_life.py",
    }
    assert not [path for path in folder.iterdir() if "example" in path.read_text().lower()]
    site = install(folder)
    done = python(site, "-m", "scenekit", "check", "shelf_life", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scenekit-shelf").mkdir()
    assert "exists already" in refused(capsys, "shelf", "--out", tmp_path)
    assert not list((tmp_path / "scenekit-shelf").iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shelf", "a Python identifier in lower case"),
        ("shelf_", "a Python identifier in lower case"),  # scenekit-shelf- is no name of a distribution
        ("my-shelf", "a Python identifier in lower case"),
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


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot make" in refused(capsys, "shelf", "--out", tmp_path / "file")
