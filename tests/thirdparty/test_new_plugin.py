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


def written(kind: Kind, name: str, out: Path) -> Path:
    """The folder that `new-plugin` writes."""
    with pytest.raises(SystemExit) as leaving:
        main(["new-plugin", name, "--kind", kind, "--out", str(out)])
    assert leaving.value.code == 0
    return out / f"scenekit-{name.replace('_', '-')}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """A new plugin of each kind, each under its own name."""
    out = tmp_path_factory.mktemp("plugins")
    return {kind: written(kind, f"shelf-{kind}", out) for kind in Kind}


@pytest.fixture(scope="module")
def site(folders: dict[Kind, Path], install: Callable[..., Path]) -> Path:
    """One installation with all of them."""
    return install(*folders.values())


@pytest.fixture(scope="module")
def tested(folders: dict[Kind, Path], site: Path, python: Callable) -> str:
    """The report on the tests of all of them."""
    return python(site, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *folders.values()).stdout


@pytest.mark.parametrize("kind", Kind)
def test_its_own_test_passes(kind: Kind, folders: dict[Kind, Path], tested: str) -> None:
    folder = folders[kind]
    test = f"test_shelf_{kind}.py"
    files = [path for path in folder.iterdir() if path.name != "__pycache__"]  # the tests may have run already
    assert {path.name for path in files} == {"README.md", "pyproject.toml", f"scenekit_shelf_{kind}.py", test}
    left = [path for path in files if re.search(r"example(?!=)", path.read_text(), re.IGNORECASE)]
    assert not left, "`example=` is an argument of sk.Key"
    outcomes = re.findall(rf"^([A-Z]+) .*\b{test}", tested, re.MULTILINE)
    assert outcomes and set(outcomes) == {"PASSED"}, tested


@pytest.fixture(scope="module")
def answered(site: Path, answers: Callable) -> list[tuple[int, str]]:
    """What the program says of all of them."""
    names = ("shelf_object", "--detector", "shelf_detector", "--data", "shelf_dataset")
    return answers(site, ["plugins", "--json"], ["check", *names, "--json"])


def test_all_kinds_are_listed(answered: list[tuple[int, str]]) -> None:
    _, listing = answered[0]
    assert all(f"shelf_{kind}" in listing for kind in Kind if kind not in (Kind.METRIC, Kind.COMMAND))
    assert not json.loads(listing)["failures"]


def test_the_check_finds_them_by_name(answered: list[tuple[int, str]]) -> None:
    status, out = answered[1]
    reports = json.loads(out)["reports"]
    assert status == 0, out
    assert [report["name"] for report in reports] == ["shelf_object", "shelf_detector", "shelf_dataset"]
    assert all(report["ok"] and len(report["passed"]) > 5 for report in reports)


@pytest.mark.parametrize("command", [("score", "shelf_metric"), ("shelf_command",)], ids=lambda names: names[-1])
def test_its_command_has_a_help(command: tuple[str, ...], site: Path, python: Callable) -> None:
    done = python(site, "-m", "scenekit", *command, "--help")
    assert done.returncode == 0 and "Print " in done.stdout, done.stdout + done.stderr


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
