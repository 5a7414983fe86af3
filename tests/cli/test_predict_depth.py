"""`scenekit predict --depth` and `--input`, `scenekit evaluate --with`: what images come with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.weights import save_model
from scenekit_plugins import depth_samples
from tests.cli.conftest import SMALL

CAMERA = "70,70,40,30"


@pytest.fixture(scope="module")
def spatial_model(vocabulary: sk.Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a saved model with 3D boxes."""
    torch.manual_seed(0)
    config = {**SMALL, "tasks": {"boxes3d": {"pooled": 3, "fcs": [16]}}}
    folder = tmp_path_factory.mktemp("spatial") / "model"
    save_model(sk.build(sk.ModelConfig.model_validate(config), vocabulary), folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two images, and their depth of 2 and 3 metres in a folder."""
    (tmp_path / "depth").mkdir()
    for name, metres in (("a", 2), ("b", 3)):
        Image.fromarray(np.full((60, 80, 3), 40 * metres, dtype=np.uint8)).save(tmp_path / f"{name}.png")
        millimetres = np.full((60, 80), 1000 * metres, dtype=np.uint16)
        Image.fromarray(millimetres).save(tmp_path / "depth" / f"{name}.png")
    return [tmp_path / "a.png", tmp_path / "b.png"]


def test_depth_of_one_and_of_several_images(run, spatial_model, photos) -> None:
    common = ("predict", *photos, "--model", spatial_model, "--threshold", "0", "--camera", CAMERA, "--json")
    without = run(*common)
    folder = ("--depth", photos[0].parent / "depth", "--depth-scale", "0.001")
    beside = run(*common, *folder)
    assert without.status == beside.status == 0
    assert without.out != beside.out
    one = run("predict", photos[1], *common[3:], "--depth", photos[0].parent / "depth" / "b.png", *folder[2:])
    assert one.json == beside.json[1:]
    assert beside.json[0]["image"]["camera"]["matrix"] == [[70, 0, 40], [0, 70, 30], [0, 0, 1]]


def test_points_by_the_option_for_any_modality(run, spatial_model, photos, tmp_path) -> None:
    points = torch.stack(torch.meshgrid(torch.arange(-90.0, 90), torch.arange(-70.0, 70), indexing="ij"), dim=2) / 60
    cloud = torch.cat((points.reshape(-1, 2), torch.full((180 * 140, 1), 2.0)), dim=1)
    np.save(tmp_path / "scan.npy", cloud.numpy())
    np.save(tmp_path / "turned.npy", cloud.numpy() * np.float32([1, -1, -1]))
    common = ("predict", photos[0], "--model", spatial_model, "--threshold", "0", "--camera", CAMERA, "--json")
    straight = run(*common, "--input", f"points={tmp_path / 'scan.npy'}")
    turn = "points_to_camera=[[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0]]"
    turned = run(*common, "--input", f"points={tmp_path / 'turned.npy'}", "--input", turn)
    assert straight.json == turned.json != run(*common).json


def test_refusals(refused, spatial_model, photos, tmp_path) -> None:
    common = ("predict", *photos, "--model", spatial_model)
    one = ("predict", photos[0], "--model", spatial_model)
    depth = tmp_path / "depth"
    assert "--focal and --camera: name one" in refused(*common, "--focal", "70", "--camera", CAMERA)
    assert "expected fx,fy,cx,cy in pixels" in refused(*common, "--camera", "70,70")
    assert "no such file or folder" in refused(*common, "--depth", tmp_path / "nothing")
    assert "is one file for 2 images; name a folder" in refused(*common, "--depth", depth / "a.png")
    assert "looks like millimetres, pass depth_scale=0.001" in refused(*one, "--depth", depth / "a.png")
    assert "points need the camera of the image" in refused(*one, "--input", f"points={scan(tmp_path)}")
    assert "did you mean 'points'?" in refused(*one, "--input", "pionts=x.npy")
    assert "depth_scale without depth: pass depth too" in refused(*common, "--depth-scale", "0.001")
    assert "points_to_camera without points" in refused(*one, "--input", f"points_to_camera={np.eye(4).tolist()}")
    scaled = ("--input", f"points_to_camera={(np.eye(4) * 3)[:3].tolist()}")
    assert "of points_to_camera must be a rotation" in refused(*one, "--input", f"points={scan(tmp_path)}", *scaled)
    (depth / "b.png").unlink()
    assert "has no file that is called b, as" in refused(*common, "--depth", depth)


def scan(folder: Path) -> Path:
    np.save(folder / "scan.npy", np.ones((3, 3), dtype=np.float32))
    return folder / "scan.npy"


def test_evaluation_with_depth(run, refused, spatial_model, monkeypatch) -> None:
    seen, sampled = [], depth_samples.samples_of
    monkeypatch.setattr(depth_samples, "samples_of", lambda *view: seen.append(view[2].shape) or sampled(*view))
    scenes = ("--option", "size=[64, 96]", "--option", "cache=false", "--limit", "2", "--split", "test")
    common = ("evaluate", "--model", spatial_model, "--tasks", "boxes3d", *scenes)
    assert run(*common, "--json").status == 0 and seen == []
    assert run(*common, "--json", "--with", "depth").status == 0
    assert seen == [(1, 1, 64, 96)] * 2
    assert "no ground truth stands for a modality 'points'; known: depth" in refused(*common, "--with", "points")
