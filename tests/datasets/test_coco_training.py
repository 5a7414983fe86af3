"""Real images, synthetic scenes and partial labels learn together."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.model.build import build
from scenekit.recipe import ModelConfig
from scenekit_datasets.coco import write_coco

MODEL = {
    "input": {"min_size": 64, "max_size": 96},
    "backbone": {"name": "mobilenet_v3_small"},
    "pyramid": {"channels": 16},
    "detector_options": {
        "rpn": {"pre_nms_train": 40, "post_nms_train": 20, "samples": 16},
        "box_head": {"fcs": [32], "samples": 8},
    },
    "tasks": {
        "semantic": {"channels": 16, "norm_groups": 4},
        "masks": {"channels": 16, "convs": 1},
        "keypoints": {"channels": 16, "convs": 1},
    },
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of two synthetic scenes, masks alone, of which only persons and cars are labelled."""
    data = sk.dataset("synthetic", split="test", keys=["masks"], size=[96, 128], cache=False)
    path = write_coco([data[0], data[1]], tmp_path_factory.mktemp("own"))
    content = json.loads(path.read_text()) | {"classes": ["person", "car"]}
    path.write_text(json.dumps(content))
    return str(path)


def test_a_mixture_trains(samples: Path, own: str, tmp_path: Path) -> None:
    scenes = {"length": 2, "size": [96, 128], "keys": ["semantic", "masks", "keypoints"], "cache": False}
    recipe = sk.Recipe.parse(
        {
            "model": MODEL,
            "data": {
                "train": [
                    {"name": "synthetic", "options": scenes},
                    {"name": "coco", "options": {"annotations": str(samples / "coco_keypoints" / "test_coco.json")}},
                    {"name": "coco", "options": {"annotations": own}},
                ]
            },
            "augment": {"flip": 0.5, "crop": 0.5},
            "train": {"steps": 4, "batch_size": 3, "workers": 0, "warmup": 1, "log_every": 1, "save_every": 10},
        }
    )
    sk.train(recipe, out=tmp_path / "run", device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert len(losses) == 4
    assert all(torch.tensor(list(step.values())).isfinite().all() for step in losses)
    assert {name.split(".")[0] for name in losses[-1]} >= {"semantic", "masks", "keypoints"}


def test_one_vocabulary_for_scenes_and_photographs(samples: Path) -> None:
    photographs = sk.dataset("coco", annotations=str(samples / "coco_keypoints" / "test_coco.json"))
    scenes = sk.dataset("synthetic", split="test", cache=False)
    merged = scenes.vocabulary.merged(photographs.vocabulary)
    assert merged.things == scenes.vocabulary.things and merged.skeleton == photographs.vocabulary.skeleton


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Four images of which one is cut off, of two classes with a skeleton each."""
    noise = np.random.default_rng(0)
    names = [f"{n}.png" for n in range(4)]
    for name in names:
        Image.fromarray(noise.integers(0, 255, (64, 80, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / names[2]).write_bytes((tmp_path / names[2]).read_bytes()[:500])
    points = {1: [12, 12, 2, 20, 20, 2, 25, 25, 1], 2: [45, 10, 2, 55, 15, 2]}
    boxes = {1: [10, 10, 20, 20], 2: [40, 5, 20, 15]}
    data = {
        "images": [{"id": n, "file_name": name, "height": 64, "width": 80} for n, name in enumerate(names)],
        "categories": [
            {"id": 1, "name": "red", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2]], "sigmas": [0.1, 0.1, 0.1]},
            {"id": 2, "name": "blue", "keypoints": ["p", "q"], "skeleton": [[1, 2]], "sigmas": [0.1, 0.1]},
        ],
        "annotations": [
            {"id": 2 * n + c, "image_id": n, "category_id": c, "bbox": boxes[c], "keypoints": points[c]}
            for n in range(4)
            for c in (1, 2)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    return tmp_path / "a.json"


def test_two_skeletons_and_an_image_that_is_cut_off(
    programs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"annotations": str(programs), "faulty": "skip"}
    tasks = {"keypoints": {"channels": 16, "convs": 1}}
    recipe = sk.Recipe.parse(
        {
            "model": {**MODEL, "tasks": tasks},
            "data": {"train": [{"name": "coco", "options": options}]},
            "train": {"steps": 2, "batch_size": 4, "workers": 1, "warmup": 1, "log_every": 1, "save_every": 10},
        }
    )
    with caplog.at_level(logging.WARNING):
        model = sk.train(recipe, out=tmp_path / "run", device="cpu")
        data = sk.dataset("coco", **options)
        results = sk.evaluate(model, data)
    assert not any("another skeleton" in message for message in caplog.messages)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert losses and all(value > 0 for step in losses for name, value in step.items() if "keypoints" in name)
    assert any("keypoints" in name for name in losses[0])
    listed = [message for message in caplog.messages if message.startswith("1 of 4 samples were skipped (1 of ")]
    assert len(listed) == 2 and all("2.png" in message for message in listed), "by the run, and by the evaluation"
    assert 0 <= results["keypoints"]["AP"] <= 1
    scene = data[0].scene
    assert sk.evaluate(model, data, limit=1).keys() == results.keys() and scene.draw(data[0].image).size[0] > 0


def test_predictions_have_the_points_of_their_class(programs: Path) -> None:
    data = sk.dataset("coco", annotations=str(programs), faulty="skip")
    model = build(
        ModelConfig.model_validate({**MODEL, "tasks": {"keypoints": {"channels": 16, "convs": 1}}}), data.vocabulary
    )
    scene = model.eval().predict(data[0].image, threshold=0.0)
    seen = scene[sk.KEYPOINTS].visibility != 0
    for row, name in enumerate(scene.names()):
        assert seen[row].nonzero()[:, 0].tolist() == list(data.vocabulary.points_of(name))
    assert len(scene.objects)
