"""Paths of images in files: relative to the file, and without the folders of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.errors import InputError
from scenekit.io.files import located, portable
from scenekit.scene import Objects


def test_paths_are_relative_to_the_file() -> None:
    assert portable("/data/images/a.jpg", "/data/out/a.json") == "../images/a.jpg"
    assert portable("/data/out/a.jpg", Path("/data/out/a.json")) == "a.jpg"
    assert portable("images/a.jpg", "out/a.json") == "../images/a.jpg"
    assert portable(None, "a.json") is None
    assert portable("rtsp://camera/1", "out/a.json") == located("rtsp://camera/1", "out/a.json") == "rtsp://camera/1"


def test_folders_of_the_machine_stay_out() -> None:
    assert portable("/home/someone/a.jpg", "/results/a.json") == "a.jpg"


def test_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(portable("images/a.jpg", "out/a.json"), "out/a.json") == "images/a.jpg"
    assert located("/data/a.jpg", "out/a.json") == "/data/a.jpg" and located(None, "a.json") is None
    (tmp_path / "a.jpg").touch()
    assert located("a.jpg", "out/a.json") == "a.jpg"  # from the working directory, as older files have it


def test_a_scene_is_drawn_again_where_its_image_is(tmp_path: Path) -> None:
    objects = Objects(torch.tensor([[2.0, 2.0, 20.0, 20.0]]), torch.tensor([0]))
    scene = sk.Scene((30, 40), sk.Vocabulary(("cat",)), {sk.OBJECTS: objects}, path=str(tmp_path / "images" / "a.png"))
    for name in ("images", "out"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.png")
    scene.save(tmp_path / "out" / "a.json")
    assert str(tmp_path) not in (tmp_path / "out" / "a.json").read_text()
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    again = sk.Scene.load(moved / "out" / "a.json")
    assert again.path == str(moved / "images" / "a.png")
    assert again.draw().tobytes() == again.draw(moved / "images" / "a.png").tobytes()
    (moved / "images" / "a.png").unlink()
    with pytest.raises(InputError, match=r"a.png: no such file, though the scene names it.*pass the image"):
        again.draw()
