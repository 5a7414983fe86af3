"""`scenekit doctor` and `scenekit doctor data`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import scenekit
from scenekit.cli import environment
from scenekit.hooks import registry
from scenekit.hooks.manager import Failure, Origin


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three images, one of which is missing its annotation, one of which cannot be read."""
    for name in ("a.png", "b.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"not an image")
    images = [
        {"id": n, "file_name": name, "height": 30, "width": 40} for n, name in enumerate(("a.png", "b.png", "c.png"))
    ]
    annotations = [{"id": n, "image_id": 0, "category_id": 1, "bbox": [1, 2, 10, 12]} for n in (4, 5)]
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(data))
    return tmp_path / "a.json"


def test_everything_that_works(run: Callable[..., Any]) -> None:
    result = run("doctor")
    assert result.status == 0 and "everything works" in result.out
    for text in ("torch", "cpu", "pip install 'scenekit[", "synthetic", "small", "scenekit  "):
        assert text in result.out


def test_json(run: Callable[..., Any]) -> None:
    found = run("doctor", "--json").json
    assert found["versions"]["scenekit"] == scenekit.__version__ and found["problems"] == []
    assert {package["name"] for package in found["packages"]} >= {"torch", "torchvision", "pluggy"}
    assert all(package["found"] for package in found["packages"])
    assert {extra["name"] for extra in found["extras"]} >= {"synth", "timm", "viz"}
    assert found["devices"][0]["name"] == "cpu" and "masks" in found["plugins"]["task"] and "small" in found["models"]
    assert {folder["purpose"] for folder in found["folders"]} == {"scenekit", "torch hub", "Hugging Face hub"}


def test_what_is_broken_is_told(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A failed plugin, a package that is missing, one that is too old, a cache that cannot be."""
    known = environment.version
    (tmp_path / "file").touch()

    def version(name: str) -> str:
        if name == "trimesh":
            raise PackageNotFoundError
        return "0.9.9" if name == "pluggy" else known(name)

    monkeypatch.setattr(environment, "version", version)
    monkeypatch.setenv("SCENEKIT_CACHE", str(tmp_path / "file" / "cache"))
    failure = Failure(Origin("shapes", "acme", "3"), "ImportError: no module named frobnicate")
    monkeypatch.setattr(registry(), "failures", [failure])
    result = run("doctor", "--json")
    assert result.status == 1
    told = " | ".join(result.json["problems"])
    for text in ("trimesh is not installed", "pluggy 0.9.9 is older than 1.5", "shapes of acme 3 failed", "frobnicate"):
        assert text in told
    assert str(tmp_path / "file") in told and "cannot be written" in told


def test_commands_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    entry = EntryPoint("broken", "no_such_module:main", environment.COMMANDS)
    monkeypatch.setattr(environment, "entry_points", lambda group: [entry])
    (found,) = environment.broken_commands()
    assert found.plugin == "command broken" and "no_such_module" in found.cause


def test_versions_are_compared_by_number() -> None:
    def fault(found: str, least: str) -> str | None:
        return environment.Package("x", least, found).problem

    assert fault("2.10.0+cpu", "2.9") is None and fault("1.7.1.post5", "1.7") is None
    assert fault("2.9", "2.10") == "x 2.9 is older than 2.10"


def test_data_set(run: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    result = run("doctor", "data", "coco", "--set", f"annotations={file}", "--out", page, "--drawn", "1")
    assert result.status == 1 and f"wrote {page}" in result.out
    for text in ("inspected 3 of 3", "2 objects", "boxes that repeat another one", "objects 1 (id 5)", "c.png"):
        assert text in result.out
    assert page.read_text().count("<article") == 1


def test_data_set_as_json(run: Callable[..., Any], file: Path) -> None:
    result = run("doctor", "data", "coco", "--set", f"annotations={file}", "--limit", "2", "--json")
    assert result.status == 0 and result.json["looked_at"] == 2 and result.json["length"] == 3
    assert result.json["things"] == {"cat": {"objects": 2, "images": 1}}
    assert set(result.json["findings"]) == {"boxes that repeat another one", "images without labels"}


def test_refusals(refused: Callable[..., str], file: Path) -> None:
    assert "did you mean 'coco'" in refused("doctor", "data", "cocoo")
    assert "no option 'annotation'; did you mean 'annotations'" in refused(
        "doctor", "data", "coco", "--set", "annotation=x"
    )
    assert "--set expects KEY=VALUE" in refused("doctor", "data", "coco", "--set", "annotations")
    assert "no split 'dev'" in refused("doctor", "data", "coco", "--set", f"annotations={file}", "--split", "dev")
    assert "no split 'dev'" in refused("doctor", "data", "coco", "--set", f"annotations={file}", "--set", "split=dev")


def test_what_is_exported_can_be_looked_at(run: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    written = run(
        "export-data", "coco", "--set", f"annotations={file}", "--limit", "2", "--out", tmp_path / "new", "--json"
    )
    assert written.status == 0 and written.json["samples"] == 2
    found = run("doctor", "data", "coco", "--set", f"annotations={written.json['annotations']}", "--json").json
    assert found["looked_at"] == 2 and found["things"] == {"cat": {"objects": 2, "images": 1}}


def test_what_cannot_be_read_is_not_exported(run: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    options = ("export-data", "coco", "--set", f"annotations={file}", "--out", tmp_path / "new", "--json")
    assert run(*options).status == 2
    count = len(json.loads(file.read_text())["images"])
    assert run(*options, "--set", "faulty=skip").json["samples"] == count - 1


@pytest.mark.parametrize("arguments", [["doctor", "--help"], ["doctor", "data", "--help"], ["export-data", "--help"]])
def test_help_needs_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom scenekit.cli.main import main\n"
        f"try:\n    main({arguments})\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_derived_labels_are_counted(run: Callable[..., Any]) -> None:
    arguments = ("doctor", "data", "synthetic", "--set", "keys=[masks, amodal_masks]", "--limit", "2", "--json")
    plain, derived = (run(*arguments, *more).json for more in ((), ("--labelers", "visibility")))
    assert "visibility" not in plain["labels"]
    assert derived["labels"]["visibility"] == derived["labels"]["amodal_masks"] | {"supervised": 2}


def test_classes_of_images_are_counted(run, tmp_path: Path) -> None:
    """Without objects there is no table of their sizes."""
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    result = run("doctor", "data", "image_folder", "--set", f"root={tmp_path}")
    assert result.status == 0 and "2 cat, 1 dog" in result.out and "objects by size" not in result.out


def test_coverage_of_a_recipe(run: Callable[..., Any], file: Path) -> None:
    recipe = file.parent / "recipe.yaml"
    options = f"{{annotations: {file}, images: {file.parent}}}"
    recipe.write_text(f"model: {{tasks: {{keypoints: {{}}}}}}\ndata: {{train: [{{name: coco, options: {options}}}]}}\n")
    result = run("doctor", "coverage", str(recipe))
    assert result.status == 1  # nothing has keypoints
    assert "coco/train" in result.out and "nothing supervises the task keypoints: of 3 images none has" in result.out
    found = run("doctor", "coverage", str(recipe), "--set", "model.tasks={}", "--limit", "0", "--json")
    assert found.status == 0 and found.json["warnings"] == []
    boxes = {"images": 1, "instances": 2, "classes": ["cat"], "estimated_from": None}
    assert found.json["tasks"] == {"detection": {"boxes": {"coco/train": boxes}}}
