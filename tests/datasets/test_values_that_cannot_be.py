"""Any value in any field of an annotation file: an InputError in one line, or a sample of finite numbers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import scenekit as sk
from tests.datasets import spatial_files, visual_genome_files

VALUES = {
    "1e308": "1e308",
    "400 digits": "1" * 400,
    "5000 digits": "-" + "7" * 5000,
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "null": "null",
    "true": "true",
    "text": '"abc"',
    "digits": '"7"',
    "list": "[1, [2]]",
    "empty list": "[]",
    "object": '{"a": {"b": 1}}',
    "deep": "[" * 400 + "]" * 400,
}
"""Values of JSON by what they are."""

SPOT = "@@"


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a document, of lists the first and the last entry."""
    keys = list(data) if isinstance(data, dict) else sorted({0, len(data) - 1}) if data else []
    for key in keys:
        yield data, key
        if isinstance(data[key], dict | list):
            yield from places(data[key])


def spoiled(data: Any, number: int, value: str) -> str:
    """The document with another value at one place."""
    changed = copy.deepcopy(data)
    holder, key = list(places(changed))[number]
    holder[key] = SPOT
    return json.dumps(changed).replace(f'"{SPOT}"', value)


def check(opened: Any) -> None:
    """Open a data set with each choice of `faulty` and read all of it."""
    for faulty in ("refuse", "skip"):
        try:
            data = opened(faulty)
        except sk.InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 3000
            continue
        for index in range(len(data)):
            try:
                scene = data[index].scene
            except sk.InputError as error:
                assert "\n" not in str(error) and faulty == "skip", f"refused late: {error}"
                continue
            assert all(bool(regions.boxes.isfinite().all()) for regions in scene.streams.values())
            assert bool(scene.objects.area.isfinite().all())
            for key, value in scene.values.items():
                issues = key.field.validate(value, scene.frame(key)).issues
                assert not [issue for issue in issues if "finite" in issue.message], (key, issues)


def coco() -> dict[str, Any]:
    square = [2, 1, 6, 1, 6, 4, 2, 4]
    box3d = {"center": [0, 0, 5], "size": [1, 1, 1], "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    return {
        "images": [
            {
                "id": 1,
                "file_name": "1.png",
                "height": 8,
                "width": 10,
                "camera": [5, 5, 5, 4],
                "relations": [{"subject_id": 1, "object_id": 2, "predicate": "on"}],
                "phrases": [{"bbox": [1, 1, 3, 3], "captions": ["a cat"]}],
            }
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [1, 2, 3, 4],
                "area": 12,
                "iscrowd": 0,
                "segmentation": [square],
                "keypoints": [1, 2, 2, 3, 4, 1],
                "num_keypoints": 2,
                "attributes": {"tall": 1},
                "captions": ["a cat"],
                **box3d,
            },
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [8, 10], "counts": [3, 4, 73]}},
        ],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["a", "b"], "skeleton": [[1, 2]], "sigmas": [0.1, 0.1]}],
    }


def each(data: Any, shift: int) -> Iterator[str]:
    """The document with a value at each of its places, another kind from place to place."""
    for number in range(len(list(places(data)))):
        yield spoiled(data, number, VALUES[list(VALUES)[(number + shift) % len(VALUES)]])


@pytest.mark.parametrize("shift", [0, 5])
def test_coco(tmp_path: Path, shift: int) -> None:
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(tmp_path / "1.png")
    path = tmp_path / "a.json"
    for text in each(coco(), shift):
        path.write_text(text)
        check(lambda faulty: sk.dataset("coco", annotations=str(path), faulty=faulty))


def test_omni3d(tmp_path: Path) -> None:
    path = spatial_files.write_omni3d(tmp_path, spatial_files.omni3d())
    for text in each(spatial_files.omni3d(), 3):
        path.write_text(text)
        check(lambda faulty: sk.dataset("omni3d", root=str(tmp_path), annotations=str(path), faulty=faulty))


@pytest.mark.parametrize("name", ["image_data", "objects", "relationships", "attributes", "region_descriptions"])
def test_visual_genome(tmp_path: Path, name: str) -> None:
    documents = visual_genome_files.documents()
    visual_genome_files.write(tmp_path, documents)
    vocabulary = {"objects": ["man", "horse", "hat"], "predicates": ["riding", "wearing"], "attributes": ["tall"]}
    options = {"root": str(tmp_path), "split": "all", "vocabulary": vocabulary, "cache": False}
    for text in each(documents[name][:1], 7):
        (tmp_path / f"{name}.json").write_text(text)
        check(lambda faulty: sk.dataset("visual_genome", faulty=faulty, **options))
