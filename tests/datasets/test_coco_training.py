"""Real images, synthetic scenes and partial labels learn together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import scenekit as sk
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
