"""LVIS's files in a small copy of the official layout: what each image covers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster
from PIL import Image

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.detection.evaluator import DetectionEvaluator
from scenekit.hooks import registry
from scenekit.keys import MASKS, OBJECTS
from scenekit.ops.losses import covered_cross_entropy
from scenekit.recipe import InputConfig
from scenekit.testing.datasets import check_dataset

NAMES = ("aerosol_can", "apple", "banana", "zebra", "bat_(animal)")
IDS = {name: 10 * n for n, name in enumerate(NAMES, 1)}


def image(id: int, folder: str, negative: list[str], partial: list[str]) -> dict[str, Any]:
    return {
        "id": id,
        "width": 12,
        "height": 8,
        "coco_url": f"http://images.cocodataset.org/{folder}/{id:012d}.jpg",
        "license": 3,
        "date_captured": "2013-11-18 02:53:27",
        "flickr_url": "http://farm9.staticflickr.com/8186/x.jpg",
        "neg_category_ids": [IDS[name] for name in negative],
        "not_exhaustive_category_ids": [IDS[name] for name in partial],
    }


def annotation(id: int, image: int, name: str, box: list[float]) -> dict[str, Any]:
    x, y, width, height = box
    polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
    area = width * height
    return {"id": id, "image_id": image, "category_id": IDS[name], "bbox": box, "area": area, "segmentation": [polygon]}


def document() -> dict[str, Any]:
    """Three images of which the first has apples, all of them, some bananas and no zebra, and the last nothing."""
    categories = [
        {"id": id, "name": name, "frequency": frequency, "synset": f"{name}.n.01", "synonyms": [name], "def": ""}
        for (name, id), frequency in zip(IDS.items(), "ccffr", strict=True)
    ]
    return {
        "info": {"version": "1.0"},
        "licenses": [],
        "categories": categories,
        "images": [
            image(7, "val2017", ["zebra"], ["banana"]),
            image(8, "train2017", ["apple", "banana"], []),
            image(9, "val2017", [], []),
        ],
        "annotations": [
            annotation(1, 7, "apple", [1, 1, 4, 4]),
            annotation(2, 7, "banana", [6, 2, 4, 4]),
            annotation(3, 8, "aerosol_can", [2, 2, 3, 5]),
        ],
    }


def layout(root: Path, data: dict[str, Any], folder: str = "") -> Path:
    for entry in data["images"]:
        path = root / "/".join(entry["coco_url"].split("/")[-2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 12, 3), entry["id"], np.uint8)).save(path)
    (root / folder).mkdir(exist_ok=True)
    (root / folder / "lvis_v1_val.json").write_text(json.dumps(data))
    return root


@pytest.mark.parametrize("folder", ["", "annotations"])
def test_what_an_image_covers(tmp_path: Path, folder: str) -> None:
    data: Any = sk.dataset("lvis", root=str(layout(tmp_path, document(), folder)), split="val")
    first, second, third = (data[index].supervision for index in range(3))
    assert data.vocabulary.things == NAMES
    assert (first.classes, first.partial) == ({"apple", "zebra"}, {"banana"})
    assert (second.classes, second.partial) == ({"aerosol_can", "apple", "banana"}, set())
    assert (third.classes, third.partial) == (set(), set())
    assert data[1].image.float().mean() == pytest.approx(8, abs=1), "an image of COCO's train split"
    assert data[0].scene[MASKS].area.tolist() == [16, 16]


def test_gradient_of_each_class(tmp_path: Path) -> None:
    """Regions: an apple, a banana of which others are not annotated, background; classes in the order of NAMES."""
    data: Any = sk.dataset("lvis", root=str(layout(tmp_path, document())), split="val")
    config = InputConfig(min_size=8, max_size=16, divisor=16)
    ground_truth = collate([data[0]], vocabulary=data.vocabulary, keys=(), config=config)[1].streams[OBJECTS]
    assert not ground_truth.crowd.any()
    logits = torch.zeros(3, 6, requires_grad=True)
    covered = ground_truth.covered.expand(3, -1)
    covered_cross_entropy(logits, torch.tensor([1, 2, -1]), covered).sum().backward()
    assert logits.grad is not None
    third, fourth = 1 / 3, 1 / 4
    expected = [
        [0, third - 1, 0, third, 0, third],  # apple, zebra and background compete
        [0, fourth, fourth - 1, fourth, 0, fourth],  # its own class besides
        [0, third, 0, third, 0, third - 1],  # background says nothing of the others
    ]
    torch.testing.assert_close(logits.grad, torch.tensor(expected))


@pytest.mark.parametrize(("wrong", "ap"), [(1, 0.5), (2, 1.0)])
def test_only_covered_classes_are_evaluated(tmp_path: Path, wrong: int, ap: float) -> None:
    """A better-scored false apple costs half where there is none for sure, and nothing where that was not verified."""
    data: Any = sk.dataset("lvis", root=str(layout(tmp_path, document())), split="val")
    evaluator = DetectionEvaluator(data.vocabulary)
    for index, score in ((0, 0.5), (wrong, 0.9)):
        sample = data[index]
        evaluator.update(sample, predicted(sample, "apple", [1.0, 1, 5, 5], score))
    found = evaluator.result()["per_class"]
    assert found["apple"]["AP50"] == pytest.approx(ap)
    assert math.isnan(found["banana"]["AP50"]), "those of the first image are annotated in part"


def predicted(sample: sk.Sample, name: str, box: list[float], score: float) -> sk.Scene:
    objects = sk.Objects(torch.tensor([box]), torch.tensor([NAMES.index(name)]), scores=torch.tensor([score]))
    return sk.Scene(sample.scene.size, sample.scene.vocabulary, {OBJECTS: objects})


@pytest.mark.parametrize(("wrong", "ap"), [(1, 0.5), (2, 1.0)])
def test_written_predictions_are_scored_by_the_official_protocol(tmp_path: Path, wrong: int, ap: float) -> None:
    """What docs/reference/lvis.md shows: apples are all that the image has, so two classes of three are missed."""
    root = layout(tmp_path, document())
    data: Any = sk.dataset("lvis", root=str(root), split="val")
    writer = registry().get("dataset", "lvis").results(root, data)
    for index, score in ((0, 0.5), (wrong, 0.9)):
        writer.add(predicted(data[index], "apple", [1.0, 1, 5, 5], score), data[index].id, "")
    writer.finish()
    truth = COCO(str(root / "lvis_v1_val.json"))
    scores = COCOeval_faster(truth, truth.loadRes(str(root / "bbox.json")), "bbox", lvis_style=True)
    scores.run()
    assert scores.stats_as_dict["AP_50"] == pytest.approx(ap / 3, abs=0.01)
    assert scores.stats_as_dict["APc"] == pytest.approx(ap / 2, abs=0.01)


def test_it_keeps_the_rules_of_data_sets(tmp_path: Path) -> None:
    layout(tmp_path, document())
    report = check_dataset(registry().get("dataset", "lvis"), split="val", options={"root": str(tmp_path)})
    assert report.ok, str(report)


@pytest.mark.parametrize("field", ["neg_category_ids", "not_exhaustive_category_ids"])
@pytest.mark.parametrize(
    ("value", "message"), [([999], "has 999, which 'categories' does not list"), ("x", "must be a list of ids")]
)
def test_ids_that_cannot_be(tmp_path: Path, field: str, value: Any, message: str) -> None:
    data = document()
    data["images"][0][field] = value
    root = str(layout(tmp_path, data))
    with pytest.raises(sk.InputError, match=f"image id 7: '{field}' {message}"):
        sk.dataset("lvis", root=root, split="val")
    kept: Any = sk.dataset("lvis", root=root, split="val", faulty="skip")
    assert len(kept) == (3 if value == [999] else 2)


@pytest.mark.parametrize("options", [{}, {"root": "x", "annotations": "y"}, {"root": "missing"}])
def test_options_that_cannot_be(options: dict[str, str]) -> None:
    with pytest.raises(sk.InputError, match=r"either root=FOLDER or annotations=FILE.json|is not a folder"):
        sk.dataset("lvis", **options)
