"""Predictions written as files: their scores equal those of the evaluators, and their ids are those of the data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import scenekit as sk
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.errors import InputError
from scenekit.evaluation.results import ResultsEvaluator, results_formats, results_writer, save_results
from scenekit.metrics.coco import score_files
from scenekit.metrics.kitti import score_kitti_files
from scenekit.metrics.omni3d import score_omni3d_files
from scenekit.metrics.panoptic import score_panoptic_files
from scenekit_datasets.coco import write_coco
from scenekit_plugins.boxes3d.kitti import KittiEvaluator
from scenekit_plugins.boxes3d.omni3d import Omni3DEvaluator
from scenekit_plugins.keypoints.evaluator import KeypointEvaluator
from scenekit_plugins.masks.evaluator import MaskEvaluator
from scenekit_plugins.panoptic.evaluator import PanopticEvaluator
from tests.datasets.spatial_files import annotation, omni3d, write_kitti, write_omni3d

KEYS = ("masks", "keypoints", "panoptic")
RENUMBERED = 7
"""Factor of the category ids: those of a data set are not 1, 2, 3."""


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Synthetic scenes as the data set `coco`, with category ids of its own."""
    folder = tmp_path_factory.mktemp("coco")
    scenes = sk.dataset("synthetic", split="test", keys=KEYS, size=[96, 128], cache=False)
    path = write_coco([scenes[index] for index in range(4)], folder)
    content = json.loads(path.read_text())
    segments = [segment for image in content["images"] for segment in image["panoptic"]["segments_info"]]
    for record in content["categories"]:
        record["id"] *= RENUMBERED
    for record in (*content["annotations"], *segments):
        record["category_id"] *= RENUMBERED
    path.write_text(json.dumps(content))
    return sk.dataset("coco", annotations=str(path))


def shaken(sample: sk.Sample) -> sk.Scene:
    """The ground truth with scores, in which some objects are moved, doubled or of another class."""
    scene, draw = sample.scene, torch.Generator().manual_seed(sample.id)
    rows = torch.randint(len(scene.objects), (len(scene.objects) + 2,), generator=draw)
    scene = scene.select(sk.OBJECTS, rows)
    objects = scene.objects
    labels = objects.labels.clone()
    labels[0] = (labels[0] + 1) % len(scene.vocabulary.things)
    boxes = objects.boxes + torch.randn((len(rows), 1), generator=draw) * torch.tensor([1.0, 1, 1, 1])
    scores = torch.rand(len(rows), generator=draw)
    predicted = sk.Objects(boxes, labels, scores)
    return replace(scene, streams={**scene.streams, sk.OBJECTS: predicted})


@pytest.mark.parametrize(
    ("kind", "make"), [("bbox", DetectionEvaluator), ("segm", MaskEvaluator), ("keypoints", KeypointEvaluator)]
)
def test_coco_results_score_as_evaluated(coco: Any, tmp_path: Path, kind: Any, make: Any) -> None:
    evaluator = make(coco.vocabulary)
    writer = ResultsEvaluator(results_writer("coco", tmp_path, coco))
    for index in range(len(coco)):
        sample = coco[index]
        for each in (evaluator, writer):
            each.update(sample, shaken(sample))
    assert str(tmp_path / f"{kind}.json") in writer.result()["files"]
    skeleton = coco.vocabulary.skeleton
    scores = score_files(coco.sources[0].index.path, tmp_path / f"{kind}.json", sigmas=skeleton.sigmas)
    expected = evaluator.result()
    assert 0 < expected["AP"] < 1
    scores[kind]["per_class"] = {name: scores[kind]["per_class"][name] for name in expected["per_class"]}
    assert json.dumps(scores[kind]) == json.dumps(expected), "equal to the last digit; NaN where NaN is"


def test_ids_are_those_of_the_data_set(coco: Any, tmp_path: Path) -> None:
    for path in save_results([shaken(coco[0])], tmp_path, data=coco):
        assert path.is_file() and path.name != "image_info.json"
    ids = {row["category_id"] for row in json.loads((tmp_path / "bbox.json").read_text())}
    assert ids and all(id % RENUMBERED == 0 for id in ids)


def test_without_a_data_set_the_ids_are_listed(coco: Any, tmp_path: Path) -> None:
    scenes = [shaken(coco[index]) for index in range(2)]
    save_results(scenes, tmp_path)
    info = json.loads((tmp_path / "image_info.json").read_text())
    names = {entry["id"]: entry["name"] for entry in info["categories"]}
    rows = json.loads((tmp_path / "bbox.json").read_text())
    assert [entry["id"] for entry in info["images"]] == [1, 2] and info["images"][0]["height"] == 96
    assert [names[row["category_id"]] for row in rows] == [name for scene in scenes for name in scene.names()]
    assert tuple(names.values()) == coco.vocabulary.labels


def test_classes_that_the_data_set_lacks_are_not_written(
    coco: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    objects = sk.Objects(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]]), torch.tensor([0, 1]), torch.ones(2))
    name = coco.vocabulary.things[0]
    save_results([sk.Scene((8, 8), sk.Vocabulary(("unicorn", name)), {sk.OBJECTS: objects})], tmp_path, data=coco)
    (row,) = json.loads((tmp_path / "bbox.json").read_text())
    assert row["category_id"] == coco.category_ids[name] and row["bbox"] == [0, 0, 4, 4]
    assert "classes that the data set does not have are not written: unicorn (1)" in caplog.text


def test_panoptic_results_score_as_evaluated(coco: Any, tmp_path: Path) -> None:
    targets, predictions = tmp_path / "targets", tmp_path / "predictions"
    evaluator = PanopticEvaluator(coco.vocabulary)
    moved = []
    for index in range(len(coco)):
        scene = coco[index].scene
        panoptic = replace(scene[sk.PANOPTIC], ids=scene[sk.PANOPTIC].ids.roll(3, dims=1))
        moved.append(replace(scene, values={sk.PANOPTIC: panoptic}, valid={}))
        evaluator.update(coco[index], moved[-1])
    save_results([replace(coco[index].scene, valid={}) for index in range(len(coco))], targets, data=coco)
    save_results(moved, predictions, data=coco)
    truth = json.loads((targets / "panoptic.json").read_text())
    things = set(coco.vocabulary.things)
    truth["categories"] = [
        {"id": id, "name": name, "isthing": int(name in things)} for name, id in coco.category_ids.items()
    ]
    (targets / "panoptic.json").write_text(json.dumps(truth))
    files = [folder / name for folder in (targets, predictions) for name in ("panoptic.json", "panoptic")]
    scores, expected = score_panoptic_files(*files), evaluator.result()
    assert 0 < expected["PQ"] < 1
    assert {name: scores[name] for name in ("PQ", "SQ", "RQ", "n")} == pytest.approx(
        {name: expected[name] for name in ("PQ", "SQ", "RQ", "n")}
    )


CARS = [
    "Car 0.00 0 -1.57 40 20 60 40 1.50 1.60 4.00 0.50 1.60 20.00 -1.55",
    "Car 0.00 0 1.57 10 10 60 60 1.40 1.70 3.80 -3.00 1.50 12.00 1.32",
    "Pedestrian 0.00 0 0.00 70 10 90 60 1.80 0.60 0.80 2.00 1.60 9.00 0.22",
]


def test_kitti_files_are_in_the_frame_of_the_labels(tmp_path: Path) -> None:
    labels = {"000000": CARS, "000007": CARS[:1]}
    folder = write_kitti(tmp_path, labels)
    data = sk.dataset("kitti", root=str(tmp_path), classes={"Car": "vehicle", "Pedestrian": "person"})
    evaluator = KittiEvaluator(data.vocabulary, {"vehicle": "Car", "person": "Pedestrian"})
    writer = results_writer("kitti", tmp_path / "out", data)
    for index in range(len(data)):
        sample = data[index]
        objects = sample.scene.objects
        predicted = sk.Objects(objects.boxes, objects.labels, torch.linspace(0.9, 0.5, len(objects)))
        prediction = replace(sample.scene, streams={sk.OBJECTS: predicted})
        evaluator.update(sample, prediction)
        writer.add(prediction, sample.id, "elsewhere.png")
    assert writer.finish() == [tmp_path / "out"]
    for name, lines in labels.items():
        written = (tmp_path / "out" / f"{name}.txt").read_text().splitlines()
        for line, label in zip(written, lines, strict=True):
            ours, theirs = line.split(), label.split()
            assert ours[:3] == [theirs[0], "-1", "-1"] and len(ours) == 16
            assert [float(n) for n in ours[4:15]] == pytest.approx([float(n) for n in theirs[4:]], abs=1e-4)
    scores, expected = score_kitti_files(folder / "label_2", tmp_path / "out"), evaluator.result()
    space = [name for name in expected if "_3D_" in name or "_BEV_" in name]
    assert {name: scores[name] for name in space} == pytest.approx(
        {name: expected[name] for name in space}, nan_ok=True
    )
    assert scores["KITTI/Car_3D_AP11_easy_strict"] > 0


def test_kitti_lines_of_objects_without_a_3d_box(tmp_path: Path) -> None:
    objects = sk.Objects(torch.tensor([[1.0, 2, 30, 40]]), torch.tensor([0]), torch.tensor([0.5]))
    scenes = [sk.Scene((60, 80), sk.Vocabulary(("big car",)), {sk.OBJECTS: objects}, path="a/1.png")] * 2
    save_results(scenes, tmp_path, "kitti")
    line = "big_car -1 -1 -10 1 2 30 40 -1 -1 -1 -1000 -1000 -1000 -10 0.5\n"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"1.txt": line, "1-2.txt": line}


def test_omni3d_results_score_as_evaluated(tmp_path: Path) -> None:
    content = omni3d()
    content["categories"] = [{"id": 30, "name": "car"}, {"id": 10, "name": "person"}]
    content["annotations"] = [annotation(11, 1, 30), annotation(12, 2, 10)]
    content["annotations"] = [with_corners(entry) for entry in content["annotations"]]
    path = write_omni3d(tmp_path, content)
    data = sk.dataset("omni3d", root=str(tmp_path))
    evaluator = Omni3DEvaluator(data.vocabulary)
    writer = results_writer("omni3d", tmp_path / "out", data)
    for index in range(len(data)):
        sample = data[index]
        boxes, objects = sample.scene[sk.BOXES3D], sample.scene.objects
        moved = replace(boxes, center=boxes.center + torch.tensor([1.5, 0.0, 0.0]))
        predicted = sk.Objects(objects.boxes, objects.labels, torch.full((len(objects),), 0.5))
        prediction = replace(sample.scene, streams={sk.OBJECTS: predicted}, values={sk.BOXES3D: moved}, valid={})
        evaluator.update(sample, prediction)
        writer.add(prediction, sample.id, "any")
    (written,) = writer.finish()
    rows = json.loads(written.read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(1, 30), (2, 10)]
    scores, expected = score_omni3d_files(path, written)["3D"], evaluator.result()["3D"]
    assert expected["AP"] == pytest.approx(0.9), "IoU 2.5 / 5.5: right at 9 of 10 thresholds"
    assert json.dumps(scores) == json.dumps(expected)


def with_corners(entry: dict[str, Any]) -> dict[str, Any]:
    """The annotation with the corners of its box, which is 4 m long along x."""
    box = sk.Boxes3D(
        *(torch.tensor([entry[name]], dtype=torch.float32) for name in ("center_cam", "dimensions", "R_cam"))
    )
    return {**entry, "bbox3D_cam": box.corners[0].tolist()}


def test_formats() -> None:
    assert {"coco", "kitti", "omni3d"} <= set(results_formats()) and "synthetic" not in results_formats()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown format of results 'cocos'; did you mean 'coco'"):
        results_writer("cocos", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this folder cannot be created"):
        results_writer("coco", tmp_path / "file")
    writer = ResultsEvaluator(results_writer("coco", tmp_path / "new"))
    with pytest.raises(InputError, match="written by one process"):
        writer.merge(writer)
