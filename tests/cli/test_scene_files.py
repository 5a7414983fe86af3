"""What is written of a scene: which files, in folders and alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trimesh
from PIL import Image

import scenekit as sk
from scenekit.cli import demo
from scenekit.cli.scene_files import Files, check_target, mesh_format
from scenekit.visualization import ReportEntry, write_report
from tests.visualization.scenes import gray_image
from tests.visualization.spatial_scenes import ahead, cuboids


@pytest.fixture
def scene(tmp_path: Path) -> sk.Scene:
    """A cube in metres whose image is a file."""
    path = tmp_path / "photo.png"
    made = replace(cuboids([ahead()]), path=str(path))
    gray_image(made).save(path)
    return made


def test_folders_get_a_file_each(scene: sk.Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    Files(folder=out, graph=out, mesh=out).write(scene, "one")
    names = {path.name for path in out.iterdir()}
    assert names == {"one.json", "one.png", "one-birds-eye.png", "one.graphml", "one.glb"}
    assert Image.open(out / "one-birds-eye.png").width > 400
    assert "guess" not in capsys.readouterr().err
    assert set(trimesh.load(out / "one.glb").geometry) == {"crate_0"}


def test_one_file_alone_and_a_camera_that_nobody_knows(
    scene: sk.Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Files(mesh=tmp_path / "out.obj").write(replace(scene, camera=None), "one")
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "out.obj", "out.mtl"}
    assert "metres in" in capsys.readouterr().err


def test_targets(tmp_path: Path) -> None:
    check_target("--mesh", None, 3, mesh_format)
    check_target("--mesh", tmp_path, 1, mesh_format)
    check_target("--mesh", tmp_path / "new" / "out.glb", 1, mesh_format)
    check_target("--mesh", tmp_path / "several", 2, mesh_format)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "several"}
    with pytest.raises(sk.InputError, match=r"--mesh names one file for 2 images"):
        check_target("--mesh", tmp_path / "out.glb", 2, mesh_format)


def test_demo_and_report_show_the_scene_from_above(scene: sk.Scene, tmp_path: Path) -> None:
    entry = ReportEntry("world", Image.open(scene.path).convert("RGB"), scene, {}, ground_truth=scene)
    demo.save(entry, tmp_path)
    assert {"world.glb", "world-birds-eye.png", "world.json"} <= {path.name for path in tmp_path.iterdir()}
    write_report(tmp_path / "report.html", [entry], title="t", model_info={})
    page = (tmp_path / "report.html").read_text()
    assert "Birds-eye view" in page and 'download="world.glb"' in page and "distance in m" in page
    assert "0.00, 0.00, 5.00" in page and "2.00 × 2.00 × 2.00" in page
