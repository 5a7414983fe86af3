"""`scenekit demo`: the report and the files beside it."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.cli import demo
from scenekit.visualization import ReportEntry
from tests.structures import worlds


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_synthetic_scenes(run, tiny_model, tmp_path) -> None:
    out = tmp_path / "demo"
    result = run("demo", "--model", tiny_model, "--out", out, "--count", "1", "--threshold", "0", "--json")
    assert result.status == 0
    assert result.json["clip"] == [str(out / "clip.mp4")], "a map needs 3D boxes"
    assert sk.video(out / "clip.mp4").frame_count == 40
    (image,) = result.json["images"]
    assert image["objects"] == 5 and image["name"] == "scene-0"
    assert {"preprocess", "backbone", "semantic", "masks", "keypoints", "panoptic", "finish"} <= set(image["seconds"])
    report = (out / "report.html").read_text()
    assert "scene-0" in report and "ground truth" in report
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", report), "the report must hold everything itself"
    layers = {"image", "boxes", "semantic", "masks", "panoptic"}
    written = {path.name for path in out.glob("*.png")}
    assert written - {"scene-0-keypoints.png"} == {"scene-0.png"} | {f"scene-0-{name}.png" for name in layers}
    again = sk.Scene.load(out / "scene-0.json")
    assert again.size == (240, 320) and again.draw().tobytes() == Image.open(out / "scene-0.png").tobytes()


def test_a_clip_with_events(run, clip_model, tmp_path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sk, "clips", partial(sk.clips, frames=20, size=(60, 80)))
    out = tmp_path / "demo"
    result = run("demo", "--model", clip_model, "--out", out, "--count", "1", "--threshold", "0", "--json")
    assert result.json["clip"] == [str(out / "clip.mp4"), str(out / "clip.json")] and len(result.json["images"]) == 1
    whole = sk.ClipScene.load(out / "clip.json")
    texts, spans = whole[sk.EVENTS].captions.texts, whole[sk.EVENTS].spans
    assert len(whole) == 20 and len(texts) > 0
    assert torch.allclose(torch.tensor([event["span"] for event in result.json["events"]]), spans, atol=1e-3)
    report = (out / "report.html").read_text()
    assert "clip, frame 10" in report and texts[0][0] in report and "Events" in report
    demo.print_summary(out / "report.html", [], demo.DemoClip([out / "clip.mp4"], whole), as_json=False)
    said = capsys.readouterr().out
    assert "clip.mp4: events" in said and texts[0][0][:20] in said and "wrote " in said


def test_own_image(run, tiny_model, tmp_path) -> None:
    Image.new("RGBA", (70, 50), (0, 0, 255, 128)).save(tmp_path / "mine.png")
    result = run("demo", "--model", tiny_model, "--out", tmp_path / "out", "--image", tmp_path / "mine.png")
    assert result.status == 0 and "report.html" in result.out
    assert sk.Scene.load(tmp_path / "out" / "mine.json").path == str(tmp_path / "mine.png")


def test_refusals_write_nothing(refused, tiny_model, tmp_path) -> None:
    (tmp_path / "empty.png").touch()
    for name, reason in (("empty.png", "is empty"), ("none.png", "no such file")):
        said = refused("demo", "--model", tiny_model, "--out", tmp_path / "out", "--image", tmp_path / name)
        assert reason in said and not (tmp_path / "out").exists()


def test_what_is_found_is_counted_and_the_graph_written(tmp_path) -> None:
    scene = worlds.scene(2)
    image = Image.new("RGB", (scene.size[1], scene.size[0]))
    assert demo.counts(scene) == {"objects": 2, "phrases": 2, "relations": 2}
    assert demo.counts(scene.select(sk.OBJECTS, torch.tensor([0]))) == {"objects": 1, "phrases": 2, "relations": 0}
    demo.save(ReportEntry("world", image, scene, {}), tmp_path)
    assert sk.load_graph(tmp_path / "world.graphml").number_of_edges() == 2
