"""The recipe of all tasks takes steps on samples in the official formats of COCO, Visual Genome, KITTI and Pix3D.

Relations learn from detections, of which an untrained network has none that match an object.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import scenekit as sk

SMALL = (
    "data.train.0.options.parts=[panoptic]",
    "data.train.1.split=all",
    "data.train.1.options.splits=null",
    "data.train.3.split=all",
    "data.train.3.options.splits=null",
    "data.train.4.options={length: 2, size: [96, 128], cache: false}",
    "data.val=null",
    "model.backbone={name: mobilenet_v3_small, weights: null}",
    "model.input={min_size: 96, max_size: 160}",
    "model.pyramid={channels: 16}",
    "model.detector_options={rpn: {pre_nms_train: 40, post_nms_train: 20}, box_head: {fcs: [32], samples: 16}}",
    "model.tasks.semantic={channels: 16, norm_groups: 4}",
    "model.tasks.masks={channels: 16, convs: 1}",
    "model.tasks.keypoints={channels: 16, convs: 1}",
    "model.tasks.boxes3d={fcs: [32]}",
    "model.tasks.meshes={max_verts: 500, max_regions: 2}",
    "train.steps=2",
    *(f"data.train.{number}.weight=1" for number in range(5)),
    "train.batch_size=10",
    "train.precision=no",
    "train.log_every=1",
    "train.warmup=1",
    "train.workers=0",
)
"""A small network, a few steps, and what the samples lack."""


@pytest.fixture
def roots(samples: Path, tmp_path: Path) -> Path:
    """The samples in the official layouts, below one folder as the recipe names them."""
    coco, panoptic = tmp_path / "coco", samples / "coco_panoptic_NC"
    shutil.copytree(panoptic / "input_images", coco / "train2017")
    shutil.copytree(panoptic / "panoptic_examples", coco / "annotations" / "panoptic_train2017")
    shutil.copy(panoptic / "panoptic_examples.json", coco / "annotations" / "panoptic_train2017.json")
    shutil.copytree(samples / "boxes3d" / "kitti_NC", tmp_path / "kitti" / "training")
    (tmp_path / "kitti" / "training" / "image_2" / "000007.png").unlink()  # has no label file
    for name, folder in (("vg", "visual_genome"), ("pix3d", "pix3d")):
        (tmp_path / name).symlink_to(samples / folder)
    return tmp_path


def test_a_damaged_file_does_not_end_the_run(repository: Path) -> None:
    """COCO, KITTI and Pix3D refuse them by default, two days into a run of theirs."""
    labels = f"data.labels={repository / 'recipes' / 'joint_labels.yaml'}"
    entries = sk.Recipe.load(repository / "recipes" / "joint.yaml", [labels]).data.entries
    skipping = [entry.name for entry in entries if entry.options.get("faulty") == "skip"]
    assert skipping == ["coco", "kitti", "pix3d", "coco"], "visual_genome does by default"


def test_joint_recipe_takes_steps_on_the_official_formats(roots: Path, repository: Path, tmp_path: Path) -> None:
    names = ("coco", "vg", "kitti", "pix3d")
    places = [f"data.train.{number}.options.root={roots / name}" for number, name in enumerate(names)]
    labels = f"data.labels={repository / 'recipes' / 'joint_labels.yaml'}"
    recipe = sk.Recipe.load(repository / "recipes" / "joint.yaml", [*SMALL, *places, labels])
    model = sk.train(recipe, out=tmp_path / "run", device="cpu", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert len(losses) == 2 and not any(line.get("skipped") for line in lines)
    learned = {name.partition(".")[0] for step in losses for name, value in step.items() if value}
    assert learned >= {"semantic", "masks", "attributes", "captions", "boxes3d", "meshes"}
    assert {"bicycle", "airplane", "cyclist", "wardrobe", "mug"} <= set(model.vocabulary.things)
    assert {"plane", "man", "Car", "sofa"}.isdisjoint(model.vocabulary.things)
