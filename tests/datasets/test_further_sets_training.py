"""Cityscapes, ADE20K and VG150's file learn together, each of what it labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import scenekit as sk
from tests.datasets import cityscapes_files
from tests.datasets.test_ade20k import write as write_ade20k
from tests.datasets.test_coco_training import MODEL
from tests.datasets.test_visual_genome_h5 import NAMES, arrays, write_h5
from tests.datasets.visual_genome_files import image
from tests.datasets.visual_genome_files import write as write_visual_genome

TASKS = {
    "semantic": {"channels": 16, "norm_groups": 4},
    "masks": {"channels": 16, "convs": 1},
    "panoptic": {},
    "boxes3d": {},
    "relations": {"predictor": "imp", "imp": {"hidden": 32}, "learn_on": "regions"},
}


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    """A small copy of each in its official layout."""
    roots = {name: tmp_path / name for name in ("cityscapes", "ade20k", "visual_genome")}
    cityscapes_files.write(roots["cityscapes"], cityscapes_files.instances(), cityscapes_files.boxes(), split="train")
    write_ade20k(roots["ade20k"], "ADE_train_00000001", "training")
    roots["visual_genome"].mkdir()
    entries = [image(id, "VG_100K") for id in range(1, 7)]
    write_visual_genome(roots["visual_genome"], {"image_data": entries, "dicts.json": json.dumps(NAMES)})
    write_h5(roots["visual_genome"] / "VG-SGG.h5", arrays())
    return roots


def test_a_mixture_trains(roots: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    paths = {name: str(path) for name, path in roots.items()}
    graphs = {"h5": f"{paths['visual_genome']}/VG-SGG.h5", "vocabulary": f"{paths['visual_genome']}/dicts.json"}
    stuff = {name: f"{name}-stuff" for name in ("fence", "pole", "traffic light")}  # things of ADE20K
    recipe = sk.Recipe.parse(
        {
            "model": {**MODEL, "tasks": TASKS},
            "data": {
                "train": [
                    {"name": "cityscapes", "options": {"root": paths["cityscapes"]}, "rename": stuff},
                    {"name": "ade20k", "options": {"root": paths["ade20k"]}},
                    {
                        "name": "visual_genome",
                        "options": {"root": paths["visual_genome"], "validation": 0, **graphs},
                        "weight": 3,
                    },
                ]
            },
            "train": {"steps": 4, "batch_size": 3, "workers": 0, "warmup": 1, "log_every": 1, "save_every": 10},
        }
    )
    sk.train(recipe, out=tmp_path / "run", device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert len(losses) == 4 and all(torch.tensor(list(step.values())).isfinite().all() for step in losses)
    learned = {name.split(".")[0] for step in losses for name in step}
    assert learned >= {"semantic", "masks", "boxes3d", "relations"}, sorted(learned)
