"""COCO-style files: data set and scorer read them alike, and refuse or leave out what cannot be right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import scenekit as sk
from scenekit.metrics.coco.files import score_files
from scenekit_datasets.coco import write_coco
from tests.properties.hostile import dumped, files, refused_or, replace
from tests.properties.invariants import assert_finite, assert_sound

SIZE = (8, 10)
SQUARE = {"size": list(SIZE), "counts": [17, 3, 5, 3, 52]}
POINTS = {"keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]]}
DOCUMENT: dict[str, Any] = {
    "info": {"year": 2017},
    "images": [{"id": n, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for n in (1, 2)],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12.0, "iscrowd": 0}
        | {"keypoints": [1, 2, 2, 3, 4, 1], "num_keypoints": 2, "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [2, 1, 2, 3], "segmentation": SQUARE, "iscrowd": 1},
        {
            "id": 3,
            "image_id": 2,
            "category_id": 2,
            "bbox": [0, 0, 10, 8],
            "attributes": {"wet": True},
            "caption": "a dog",
        },
    ],
    "categories": [{"id": 1, "name": "person", **POINTS}, {"id": 2, "name": "dog", "supercategory": "animal"}],
}
RESULTS = [
    {
        "image_id": 1,
        "category_id": 1,
        "bbox": [1, 2, 3, 4],
        "score": 0.9,
        "segmentation": SQUARE,
        "keypoints": [1, 2, 1, 3, 4, 1],
    },
    {
        "image_id": 2,
        "category_id": 2,
        "bbox": [0, 0, 9, 8],
        "score": 0.3,
        "segmentation": SQUARE,
        "keypoints": [0, 0, 0, 0, 0, 0],
    },
]
POLICIES = st.sampled_from(["skip", "refuse"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images."""
    folder = tmp_path_factory.mktemp("coco")
    for n in (1, 2):
        Image.fromarray(np.full((*SIZE, 3), 90 * n, np.uint8)).save(folder / f"{n}.png")
    return folder


def assert_read(path: Path, faulty: str) -> None:
    """Open a data set and read each of its samples."""
    data = refused_or(lambda: sk.dataset("coco", annotations=str(path), faulty=faulty))
    for index in range(len(data) if data is not None else 0):
        sample = refused_or(lambda index=index: data[index])  # type: ignore[misc]
        if sample is not None:
            assert_sound(sample)


def test_the_valid_file(folder: Path) -> None:
    """Otherwise the properties below would hold of files that are all refused."""
    path = replace(folder / "valid.json", dumped(DOCUMENT))
    data = sk.dataset("coco", annotations=str(path), faulty="refuse")
    assert [len(data[index].scene.objects) for index in range(2)] == [2, 1]
    assert score_files(path, replace(folder / "r.json", dumped(RESULTS)))["boxes"]["AP"] > 0


@given(files(DOCUMENT), POLICIES)
def test_data_set(folder: Path, content: bytes, faulty: str) -> None:
    assert_read(replace(folder / "a.json", content), faulty)


@given(files(DOCUMENT))
def test_ground_truth_of_scores(folder: Path, content: bytes) -> None:
    truth, results = replace(folder / "truth.json", content), replace(folder / "r.json", dumped(RESULTS))
    assert_finite(refused_or(lambda: score_files(truth, results)))


@given(files(RESULTS))
def test_results(folder: Path, content: bytes) -> None:
    truth, results = replace(folder / "truth.json", dumped(DOCUMENT)), replace(folder / "results.json", content)
    assert_finite(refused_or(lambda: score_files(truth, results)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A synthetic scene with every kind of value, as a COCO-style file."""
    data = sk.dataset("synthetic", split="test", size=[48, 64], cache=False)
    folder = tmp_path_factory.mktemp("exported")
    path = write_coco([data[0]], folder)
    return path, json.loads(path.read_text())


@given(st.data(), POLICIES)
def test_every_kind_of_value(exported: tuple[Path, Any], data: st.DataObject, faulty: str) -> None:
    path, document = exported
    assert_read(replace(path.with_name("hostile.json"), data.draw(files(document))), faulty)
