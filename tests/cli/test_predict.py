"""`scenekit predict`: what programs read, what people get, what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_masks

import scenekit as sk
from scenekit.cli.image_inputs import unique_stems
from scenekit.weights import save_model


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_json_is_an_array_of_scenes(run, tiny_model, photo, tmp_path) -> None:
    Image.new("CMYK", (50, 40)).save(tmp_path / "other.tif")
    result = run("predict", photo, tmp_path / "other.tif", "--model", tiny_model, "--json", "--threshold", "0")
    assert result.status == 0
    first, second = result.json
    assert {name: first["image"][name] for name in ("path", "width", "height")} == {
        "path": str(photo), "width": 80, "height": 60,
    }  # fmt: skip
    assert second["image"]["width"] == 50
    objects = first["objects"]
    assert len(objects["boxes"]) == len(objects["labels"]) == len(objects["names"]) == len(objects["scores"]) == 5
    assert {"masks", "keypoints", "semantic", "panoptic"} <= set(first)
    assert coco_masks.decode(first["masks"][0]).shape == (60, 80)
    assert sk.Scene.from_json(first).names() == objects["names"]


def test_tasks_and_threshold(run, tiny_model, photo) -> None:
    (scene,) = run("predict", photo, "--model", tiny_model, "--json", "--tasks", "semantic").json
    assert "semantic" in scene and not {"masks", "keypoints", "panoptic"} & set(scene)
    (scene,) = run("predict", photo, "--model", tiny_model, "--json", "--threshold", "1").json
    assert scene["objects"]["boxes"] == []


def test_out_holds_a_drawing_and_a_scene_per_image(run, tiny_model, photo, tmp_path) -> None:
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / "photo.png"
    Image.open(photo).save(twin)
    result = run("predict", photo, twin, "--model", tiny_model, "--out", tmp_path / "new" / "out")
    assert result.status == 0 and "photo.jpg" in result.out
    names = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert names == ["photo-2.json", "photo-2.png", "photo.json", "photo.png"]
    assert sk.Scene.load(tmp_path / "new" / "out" / "photo-2.json").path == str(twin)


@pytest.mark.parametrize("name", ["x" * 240, "図" * 80])
def test_files_of_a_long_name_fit_the_file_system(run, tiny_model, photo, tmp_path, name: str) -> None:
    image = photo.rename(tmp_path / f"{name}.jpg")
    result = run("predict", image, "--model", tiny_model, "--tasks", "masks", "--out", tmp_path / "out")
    assert result.status == 0
    (scene,) = (tmp_path / "out").glob("*.json")
    assert sk.Scene.load(scene).path == str(image) and len(list((tmp_path / "out").glob("*.png"))) >= 1


def test_names_of_files_differ_even_where_capitals_are_ignored() -> None:
    long = "x" * 240
    stems = unique_stems(["a/b.png", "c/b.jpg", "B.png", f"{long}1.png", f"{long}2.png", f"d/{long}1.png"])
    assert stems[:3] == ["b", "b-2", "B-3"] and len({stem.casefold() for stem in stems}) == 6
    assert all(len(stem) < 190 for stem in stems)


def test_names_beyond_the_file_system_are_refused(refused, tiny_model, photo) -> None:
    assert "no such file" in refused("predict", "x" * 300 + ".png", "--model", tiny_model)
    assert "name another one" in refused("predict", photo, "--model", tiny_model, "--out", "x" * 300)


def test_given_scenes_say_where_the_objects_are(run, refused, tiny_model, photo, tmp_path) -> None:
    """What one run found is what the next one looks at, whatever its threshold."""
    common = ("predict", photo, "--model", tiny_model, "--tasks", "masks", "--json")
    (found,) = run(*common, "--threshold", "0", "--out", tmp_path / "known").json
    (again,) = run(*common, "--threshold", "1", "--given", tmp_path / "known").json
    assert again["objects"]["labels"] == found["objects"]["labels"] and len(again["masks"]) == 5
    np.testing.assert_allclose(again["objects"]["boxes"], found["objects"]["boxes"], atol=1e-3)
    assert "nowhere/photo.json: no such file" in refused(*common, "--given", tmp_path / "nowhere")


def test_the_class_of_the_image_is_in_its_line(run, photo, tmp_path) -> None:
    """A classifier of one class is sure of it."""
    config = {
        "input": {"min_size": 32, "max_size": 64},
        "backbone": {"name": "mobilenet_v3_small"},
        "pyramid": None,
        "detector": None,
        "tasks": {"classification": {}},
    }
    one = sk.Vocabulary(things=(), lists={"image_classes": ("tiger",)})
    save_model(sk.build(sk.ModelConfig.model_validate(config), one), tmp_path / "classifier")
    assert "classification: tiger 1.00" in run("predict", photo, "--model", tmp_path / "classifier").out


def proposals_of(name: str, path: Path) -> Path:
    """Write two boxes of an image, the better one last."""
    boxes = {0.5: [4, 6, 30, 20], 1.0: [10, 2, 40, 33.5]}
    path.write_text(json.dumps([{"file_name": name, "bbox": box, "score": score} for score, box in boxes.items()]))
    return path


def test_proposals_of_a_file_are_classified(run, tiny_model, photo, tmp_path) -> None:
    """The same objects as with these boxes given, best first; nothing else is proposed."""
    file = proposals_of(photo.name, tmp_path / "p.json")
    scene = run("predict", photo, "--model", tiny_model, "--proposals", file, "--threshold", "0", "--json").json[0]
    network = sk.load(tiny_model)
    boxes = [[10, 2, 50, 35.5], [4, 6, 34, 26]]
    expected = network.predict(photo, given={sk.PROPOSALS: boxes}, threshold=0.0)
    assert len(expected.objects) and scene["objects"]["names"] == expected.names()
    torch.testing.assert_close(torch.tensor(scene["objects"]["boxes"]), expected.objects.boxes, atol=0.02, rtol=0)


def test_a_model_with_proposals_of_a_file_finds_the_image_by_its_path(run, photo, tmp_path) -> None:
    config = {
        "input": {"min_size": 64, "max_size": 96},
        "backbone": {"name": "mobilenet_v3_small"},
        "pyramid": {"kind": "single", "levels": [16], "channels": 16},
        "detector": "fast_rcnn",
        "detector_options": {
            "proposals": {
                "name": "files",
                "files": {"path": str(proposals_of(photo.name, tmp_path / "p.json"))},
            },
            "box_head": {"fcs": [8]},
        },
    }
    model = sk.build(sk.ModelConfig.model_validate(config), sk.Vocabulary(("a",)))
    save_model(model, tmp_path / "model")
    result = run("predict", photo, "--model", tmp_path / "model", "--threshold", "0", "--json")
    assert result.status == 0 and result.json[0]["objects"]["names"]


def test_proposals_that_cannot_be_classified(refused, tiny_model, photo, tmp_path) -> None:
    file = proposals_of(photo.name, tmp_path / "p.json")
    options = ("predict", photo, "--model", tiny_model)
    assert "name one of them" in refused(*options, "--proposals", file, "--given", tmp_path)
    other = proposals_of("other.jpg", tmp_path / "other.json")
    assert "no entry has the 'file_name'" in refused(*options, "--proposals", other)
    assert "no such file" in refused(*options, "--proposals", tmp_path / "none.json")
    config = {"input": {"min_size": 64, "max_size": 96}, "backbone": {"name": "mobilenet_v3_small"}, "detector": "fcos"}
    fcos = sk.ModelConfig.model_validate({**config, "pyramid": {"channels": 16}})
    save_model(sk.build(fcos, sk.Vocabulary(("a",))), tmp_path / "fcos")
    message = refused("predict", photo, "--model", tmp_path / "fcos", "--proposals", file)
    assert "--proposals is for a model that classifies proposals; the detector of this one is 'fcos'" in message


def test_refusals(refused, tiny_model, photo, tmp_path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:600])
    model = ("--model", tiny_model)
    assert "none.jpg: no such file" in refused("predict", photo, tmp_path / "none.jpg", *model)
    assert "empty.jpg: the file is empty" in refused("predict", tmp_path / "empty.jpg", *model, "--tasks", "semantic")
    assert "cut.jpg: the image is damaged" in refused("predict", tmp_path / "cut.jpg", *model)
    assert "a folder" in refused("predict", tmp_path, *model)
    assert "did you mean 'masks'?" in refused("predict", photo, *model, "--tasks", "maks")
    assert "unknown device 'gpu'" in refused("predict", photo, *model, "--device", "gpu")
    assert "unknown model 'tiny'" in refused("predict", photo, "--model", "tiny")
    assert "cannot be created" in refused("predict", photo, *model, "--out", photo)


def test_unreadable_images_do_not_cost_the_others(run, tiny_model, photo, tmp_path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no image")
    images = (tmp_path / "empty.jpg", photo, tmp_path / "text.png", photo)
    result = run("predict", *images, "--model", tiny_model, "--json", "--out", tmp_path / "out")
    assert result.status == 2
    assert [scene["image"]["path"] for scene in result.json] == [str(photo), str(photo)]
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "empty.jpg: the file is empty" in errors[0] and "text.png" in errors[1]
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["photo-2.json", "photo-2.png", "photo.json", "photo.png"]
    result = run("predict", tmp_path / "empty.jpg", "--model", tiny_model, "--json")
    assert (result.status, result.json) == (2, [])


def test_threshold_outside_the_range_is_wrong_usage(run, tiny_model, photo) -> None:
    result = run("predict", photo, "--model", tiny_model, "--threshold", "1.5")
    assert result.status == 2 and "--threshold" in result.err and result.out == ""


def test_cut_off_weights(refused, tiny_model, photo, tmp_path) -> None:
    for source in Path(tiny_model).iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes()[: source.stat().st_size - 1000])
    assert "is not valid JSON" in refused("predict", photo, "--model", tmp_path)


def test_real_images(run, tiny_model, samples) -> None:
    images = sorted(p for folder in ("imagenet_check", "coco_keypoints") for p in (samples / folder).glob("*.jpg"))
    result = run("predict", *images, "--model", tiny_model, "--json", "--tasks", "semantic")
    assert len(result.json) == len(images) > 3


def test_graph_of_one_image(run, refused, tiny_model, photo, tmp_path) -> None:
    arguments = ("predict", photo, "--model", tiny_model, "--tasks", "masks", "--threshold", "0")
    for name in ("new/out.graphml", "new/out.json"):
        result = run(*arguments, "--json", "--graph", tmp_path / name)
        (scene,) = result.json
        assert result.status == 0 and "note: " in result.err and "has the objects only" in result.err
        graph = sk.load_graph(tmp_path / name)
        assert [node["label"] for node in graph.nodes.values()] == scene["objects"]["names"]
        assert graph.graph["path"] == "../photo.jpg" and graph.number_of_edges() == 0
    assert ".graphml or .json" in refused(*arguments, "--graph", tmp_path / "out.txt")
    assert "cannot be created" in refused(*arguments, "--graph", photo / "out.json")


def test_graphs_of_several_images(run, refused, tiny_model, photo, tmp_path) -> None:
    arguments = ("predict", photo, photo, "--model", tiny_model, "--tasks", "masks")
    assert "name a folder" in refused(*arguments, "--graph", tmp_path / "out.json")
    assert run(*arguments, "--graph", tmp_path / "graphs").status == 0
    assert sorted(path.name for path in (tmp_path / "graphs").iterdir()) == ["photo-2.graphml", "photo.graphml"]
    assert run(*arguments[:2], *arguments[3:], "--graph", tmp_path / "graphs").status == 0, "a folder serves one, too"


def test_mesh_and_recording_are_refused_before_any_work(refused, tiny_model, photo, tmp_path, monkeypatch) -> None:
    model = ("--model", tiny_model, "--tasks", "masks")
    assert ".glb or .obj" in refused("predict", photo, *model, "--mesh", tmp_path / "out.stl")
    assert "name a folder" in refused("predict", photo, photo, *model, "--mesh", tmp_path / "out.glb")
    assert "has no meshes, 3D boxes" in refused("predict", photo, *model, "--mesh", tmp_path / "out.glb")
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert "pip install 'scenekit[viz]'" in refused("predict", photo, *model, "--rerun", tmp_path / "out.rrd")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_recording_holds_all_images(run, tiny_model, photo, tmp_path) -> None:
    chunks = pytest.importorskip("rerun.chunk")
    result = run("predict", photo, photo, "--model", tiny_model, "--tasks", "masks", "--rerun", tmp_path / "new/o.rrd")
    assert result.status == 0
    found = [chunk for chunk in chunks.RrdReader(tmp_path / "new/o.rrd").stream() if chunk.entity_path == "/name"]
    assert sum(chunk.num_rows for chunk in found) == 2


def test_results_of_a_benchmark(run, tiny_model, photo, tmp_path) -> None:
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / "photo.png"
    Image.open(photo).save(twin)
    common = ("--model", tiny_model, "--threshold", "0")
    result = run("predict", photo, twin, *common, "--format", "coco", "--out", tmp_path / "coco")
    assert result.status == 0 and "note: wrote" in result.err
    names = {path.name for path in (tmp_path / "coco").iterdir()}
    assert names == {"bbox.json", "segm.json", "keypoints.json", "panoptic.json", "panoptic", "image_info.json"}
    rows = json.loads((tmp_path / "coco" / "bbox.json").read_text())
    assert [row["image_id"] for row in rows] == [1] * 5 + [2] * 5
    run("predict", photo, twin, *common, "--format", "kitti", "--out", tmp_path / "kitti")
    assert {path.name for path in (tmp_path / "kitti").iterdir()} == {"photo.txt", "photo-2.txt"}


def test_formats_that_cannot_be_written(refused, tiny_model, photo, tmp_path) -> None:
    common = ("predict", photo, "--model", tiny_model)
    assert "--format coco needs a folder to write to: --out FOLDER" in refused(*common, "--format", "coco")
    assert "did you mean 'coco'?" in refused(*common, "--format", "cocos", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
