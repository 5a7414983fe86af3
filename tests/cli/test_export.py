"""`scenekit export`: a folder that predicts, and one line with exit status 2 where that cannot be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.runtimes import whole as runtimes_whole
from scenekit.weights import save_model
from tests.training import toy

toy.register()
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("toy") / "model"
    save_model(sk.build(toy.recipe(steps=1).model, toy.VOCABULARY), folder)
    return folder


def test_the_folder_is_a_model(run: Run, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", saved, "-o", out, "--format", "pt2", "--size", "64x64", "--tasks", "masks", "--json")
    assert result.status == 0, result.err
    assert "heads.masks" in result.json["networks"] and result.json["in_torch"]["masks"] == 0.0
    photo = tmp_path / "photo.png"
    Image.effect_noise((80, 60), 90).convert("RGB").save(photo)
    predicted = run("predict", photo, "--model", out, "--device", "cpu", "--threshold", "0", "--json")
    assert predicted.status == 0, predicted.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "480"], "--size: expected height x width in pixels, such as 480x640, each 1 to 32768, got '480'"),
        (["--size", "0x64"], "--size: expected height x width in pixels, such as 480x640, each 1 to 32768, got '0x64'"),
        (["--size", "64x64", "--dynamic"], "--size and --dynamic exclude each other"),
        (["--format", "onxx"], "unknown runtime 'onxx'"),
        (["--tasks", "mask"], "no task 'mask'"),
        (["--tasks", "trunk"], "no task 'trunk'"),
        (["--whole"], "--whole writes a graph for one size: give --size, such as 480x640"),
        (["--whole", "--dynamic"], "--whole writes a graph for one size: give --size, such as 480x640"),
        (["--whole", "--size", "64x64", "--format", "pt2"], "--whole writes ONNX, not 'pt2'; leave out --format"),
        (
            ["--whole", "--size", "64x64", "--int8", "--calibrate", "{empty}"],
            "--whole writes float, no int8; leave out --int8 and --calibrate",
        ),
        (["--whole", "--size", "0x64"], "--size: expected height x width in pixels"),
        (["--whole", "--size", "64x64", "--tasks", "mask"], "no task 'mask'"),
        (["--detections", "5"], "--detections is an option of --whole; leave it out, or add --whole"),
        (["--threshold", "0.5"], "--threshold is an option of --whole; leave it out, or add --whole"),
        (["--int8"], "--int8 and --calibrate DATA go together"),
        (["--int8", "--calibrate", "nowhere"], "--calibrate: expected a folder of images or synthetic, got 'nowhere'"),
        (["--int8", "--calibrate", "{empty}"], "has no images"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    run: Run, saved: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    named = [argument.format(empty=empty) for argument in arguments]
    result = run("export", saved, "-o", tmp_path / "out", *named)
    assert result.status == 2 and message in result.err and len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_folder_can_have_is_one_line(run: Run, saved: Path, tmp_path: Path) -> None:
    result = run("export", saved, "-o", tmp_path / ("a" * 300))
    assert result.status == 2 and "File name too long" in result.err and len(result.err.splitlines()) == 1


def test_tasks_that_read_others_name_the_option(run: Run, tiny_model: str, tmp_path: Path) -> None:
    result = run("export", tiny_model, "-o", tmp_path / "out", "--format", "pt2", "--tasks", "panoptic")
    assert result.status == 2
    named = result.err.strip().rpartition("--tasks ")[2].split(",")
    assert named[0] == "panoptic" and set(named) == {"panoptic", "masks", "semantic"}


def test_what_can_be_checked_is_checked_before_the_work(
    run: Run, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("scenekit.cli.export.calibration_images", lambda data: pytest.fail("renders"))
    for arguments, message in (
        (("--tasks", "mask"), "no task 'mask'"),
        (("--format", "onxx"), "unknown runtime 'onxx'"),
        (("--format", "pt2", "--size", "0x64"), "--size: expected"),
        (("--format", "pt2", "--int8", "--calibrate", "synthetic"), "format 'pt2' has no int8"),
    ):
        result = run("export", folder, "-o", tmp_path / "out", *arguments)
        assert result.status == 2 and message in result.err


def test_detection_alone_is_exported_with_a_note_of_what_is_refused(run: Run, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", saved, "-o", out, "--format", "pt2", "--size", "64x64", "--tasks", "detection")
    assert result.status == 0, result.err
    assert sk.load(out).tasks == () or not sk.load(out).specs
    (note,) = (line for line in result.err.splitlines() if line.startswith("note:"))
    assert "modules are no network as a whole" in note and "stages.proposals" in note


def test_an_export_can_be_exported_again_without_its_networks(run: Run, saved: Path, tmp_path: Path) -> None:
    options = ("--format", "pt2", "--size", "64x64", "--tasks", "detection", "--json")
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("export", saved, "-o", first, *options).status == 0
    shutil.rmtree(first / "networks")
    result = run("export", first, "-o", second, *options)
    assert result.status == 0, result.err
    assert "stages.backbone" in result.json["networks"] and (second / "networks").is_dir()


@pytest.mark.parametrize("out", ["{file}/out", "{file}", "x" * 300])
@pytest.mark.parametrize("options", [(), ("--whole", "--size", "64x64")])
def test_folders_that_cannot_be_are_refused_at_once(
    run: Run, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, options: tuple[str, ...]
) -> None:
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    monkeypatch.setattr(runtimes_whole, "export_whole", lambda *_: pytest.fail("exported before the folder was made"))
    file = tmp_path / "file"
    file.touch()
    result = run("export", saved, "-o", out.format(file=file), *options)
    assert result.status == 2 and len(result.err.strip().splitlines()) == 1


def test_a_folder_with_files_is_left_alone(run: Run, saved: Path) -> None:
    result = run("export", saved, "-o", saved)
    assert result.status == 2 and "exists and is not an empty folder" in result.err


@pytest.mark.slow
def test_a_model_becomes_one_file(run: Run, saved: Path, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason=f"the extra `export` is not installed: no {package}")
    out = tmp_path / "out"
    options = ("--whole", "--size", "64x64", "--tasks", "masks", "--detections", "4", "--json")
    result = run("export", saved, "-o", out, *options)
    assert result.status == 0, result.err
    assert result.json["outputs"] == ["boxes", "scores", "labels", "valid", "masks"]
    assert sorted(path.name for path in out.iterdir()) == ["whole.json", "whole.onnx"]
