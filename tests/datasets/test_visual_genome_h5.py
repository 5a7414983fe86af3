"""VG150's HDF5 file as an option of `visual_genome`: a small file in the published layout, and faulty ones."""

from __future__ import annotations

import json
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.data.sample import Sample, Supervision
from scenekit.errors import InputError
from scenekit_datasets.visual_genome.h5_image import pixel_boxes
from scenekit_plugins.relations.evaluator import graph_truth
from tests.datasets.visual_genome_files import documents, image, write

h5py = pytest.importorskip("h5py")

Open = Callable[..., Any]
NAN = float("nan")
NAMES = {
    "label_to_idx": {"hat": 1, "horse": 2, "man": 3},
    "idx_to_label": {"1": "hat", "2": "horse", "3": "man"},
    "idx_to_predicate": {"1": "on", "2": "riding"},
    "idx_to_attribute": {"1": "tall", "2": "brown", "3": "happy"},
}
"""VG-SGG-dicts-with-attri.json; names are numbered from 1."""


def arrays() -> dict[str, np.ndarray]:
    """Six images: a man on a horse, told twice; nothing; a hat alone; and three with a relation, the last two of test.

    Boxes are for images of 1024 pixels; those of the tests have 60 x 80, 12.8 times less.
    """
    horse, man, hat = [512, 576, 768, 384], [243, 371, 256, 512], [256, 128, 127, 129]
    labels = [3, 2, 1, *[3, 2] * 3]
    boxes = [man, horse, hat, *[man, horse] * 3]
    return {
        "boxes_1024": np.array(boxes, dtype=np.int32),
        "boxes_512": np.array(boxes, dtype=np.int32) // 2,
        "labels": np.array(labels, dtype=np.int64)[:, None],
        "attributes": np.array([[1, 3, 0], [0, 0, 0], [2, 0, 0], *[[0, 0, 0]] * 6], dtype=np.int64),
        "predicates": np.array([2, 1, 2, 1, 1, 1], dtype=np.int64)[:, None],
        "relationships": np.array([[0, 1], [0, 1], [0, 1], [3, 4], [5, 6], [8, 7]], dtype=np.int32),
        "split": np.array([0, 0, 0, 0, 2, 2], dtype=np.int32),
        "img_to_first_box": np.array([0, -1, 2, 3, 5, 7], dtype=np.int32),
        "img_to_last_box": np.array([1, -1, 2, 4, 6, 8], dtype=np.int32),
        "img_to_first_rel": np.array([0, -1, -1, 3, 4, 5], dtype=np.int32),
        "img_to_last_rel": np.array([2, -1, -1, 3, 4, 5], dtype=np.int32),
    }


def write_h5(path: Path, data: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in data.items():
            file[name] = value
    return path


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Writes image_data.json with the damaged image 1592 between the others, names, images and the file; opens them."""

    def opened(changes: dict[str, Any] | None = None, **options: Any) -> Any:
        ids = (1, 2, 1592, 3, 4, 5, 6)
        write(tmp_path, {"image_data": [image(id, "VG_100K") for id in ids], "VG-SGG-dicts.json": json.dumps(NAMES)})
        data = {name: value for name, value in {**arrays(), **(changes or {})}.items() if value is not None}
        files = {"h5": str(write_h5(tmp_path / "VG-SGG.h5", data)), "vocabulary": str(tmp_path / "VG-SGG-dicts.json")}
        return sk.dataset("visual_genome", root=str(tmp_path), **{"cache": False, **files, **options})

    return opened


def test_objects_relations_and_attributes(opened: Open) -> None:
    """Worked by hand: 12.8 times smaller, names from 1, relations listed twice once."""
    data = opened(validation=0)
    sample = data[0]
    scene = sample.scene
    assert data.vocabulary.things == ("hat", "horse", "man") and scene.names() == ["man", "horse"]
    expected = [[115 / 12.8, 115 / 12.8, 371 / 12.8, 627 / 12.8], [10, 30, 70, 60]]
    torch.testing.assert_close(scene.objects.boxes, torch.tensor(expected))
    found = scene[sk.RELATIONS]
    assert torch.stack((found.subject, found.predicate, found.object)).T.tolist() == [[0, 1, 1], [0, 0, 1]]
    assert found.count.tolist() == [2, 1]
    expected = torch.tensor([[1, 0, 1], [NAN, NAN, NAN]])
    torch.testing.assert_close(scene[sk.ATTRIBUTES], expected, equal_nan=True)
    assert scene.rows_with(sk.ATTRIBUTES).tolist() == [True, False]
    assert sample.supervision.keys == {sk.RELATIONS, sk.ATTRIBUTES} and not sample.supervision.exhaustive
    assert checked(sample, strict=True) is sample
    assert torch.isnan(opened(validation=0, unlisted="unknown")[0].scene[sk.ATTRIBUTES][0]).tolist() == [0, 1, 0]


def test_corners_are_whole_numbers_as_in_published_evaluations() -> None:
    """Worked by hand: 256 - 127 / 2 = 192.5 is 192, 0 - 3 / 2 = -1.5 is -1; what reaches over the image is clipped."""
    boxes = np.array([[256, 128, 127, 129], [0, 4, 3, 8], [1000, 700, 48, 200]], dtype=np.int32)
    expected = [[192, 63, 319, 192], [0, 0, 2, 8], [976, 600, 1024, 768]]
    assert pixel_boxes(boxes, 1024, (768, 1024)).tolist() == expected
    assert pixel_boxes(boxes.astype(np.float32), 1024, (768, 1024))[0].tolist() == [192.5, 63.5, 319.5, 192.5]


def test_splits(opened: Open) -> None:
    """The first of train that have a relation are val; the damaged image has no row."""

    def ids(**options: Any) -> dict[str, list[int]]:
        sets = {split: opened(split=split, **options) for split in ("train", "val", "test", "all")}
        return {split: [data[n].id for n in range(len(data))] for split, data in sets.items()}

    assert ids(validation=1) == {"train": [4], "val": [1], "test": [5, 6], "all": [1, 4, 5, 6]}
    assert ids(validation=1, unrelated=True) == {"train": [3, 4], "val": [1], "test": [5, 6], "all": [1, 3, 4, 5, 6]}
    numbers = {"split": np.array([0, 1, 1, 1, 2, 2])}
    assert ids(changes=numbers) == {"train": [1], "val": [4], "test": [5, 6], "all": [1, 4, 5, 6]}


def test_the_splits_alone(opened: Open, tmp_path: Path) -> None:
    opened(validation=0)
    write(tmp_path, documents())
    with h5py.File(tmp_path / "split.h5", "w") as file:
        file["split"] = np.array([2, 0, 2])
    data = sk.dataset("visual_genome", root=str(tmp_path), split="test", splits=str(tmp_path / "split.h5"), cache=False)
    assert [data[n].id for n in range(len(data))] == [1, 3]


def test_without_attributes_and_with_coarse_boxes_and_phrases(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "region_descriptions.json").write_text(json.dumps(documents()["region_descriptions"]))
    scene = opened({"attributes": None, "boxes_1024": None}, validation=0)[0].scene
    assert scene.objects.boxes[1].tolist() == [10, 30, 70, 60] and sk.ATTRIBUTES not in scene.values
    assert scene[sk.PHRASE_CAPTIONS].texts == (("A man rides.",), ("the horse's tail",))
    assert sk.PHRASES not in opened(validation=0, keys=["relations"])[0].scene.streams


def test_it_survives_pickling(opened: Open) -> None:
    data = opened(validation=0)
    assert pickle.loads(pickle.dumps(data))[0].scene.names() == data[0].scene.names()


def test_repeated_relations_count_as_often_as_they_are_listed(opened: Open, tmp_path: Path) -> None:
    """The protocol of the published numbers has one row for each; so has a scene that was written and read."""
    scene = opened(validation=0)[0].scene
    assert graph_truth(scene).relations.tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 1]]
    scene.save(tmp_path / "scene.json")
    assert len(graph_truth(sk.Scene.load(tmp_path / "scene.json")).relations) == 3
    kept = Sample(torch.zeros(3, 60, 80, dtype=torch.uint8), scene, Supervision(frozenset({sk.RELATIONS})), 1)
    assert checked(kept, strict=True).scene[sk.RELATIONS].count is not None


FAULTS: dict[str, dict[str, Any]] = {
    "has no 'predicates'; expected VG150's VG-SGG.h5": {"predicates": None},
    "has no 'boxes_1024'": {"boxes_1024": None, "boxes_512": None},
    "'labels' must be an array of numbers": {"labels": [b"man"] * 9},
    "expected as many rows in each of these arrays, got boxes_1024 9, labels 2": {"labels": np.ones((2, 1), int)},
    "'relationships' must have 2 columns, got the shape [6, 3]": {"relationships": np.zeros((6, 3), int)},
    "'labels' counts to 9, but the vocabulary has 3 names; give the VG-SGG-dicts": {"labels": np.full((9, 1), 9)},
    "img_to_first_box leads behind the end of the 9 rows": {"img_to_last_box": np.full(6, 9)},
    "has 5 images, but": {name: np.zeros(5, int) for name in arrays() if name.startswith("img") or name == "split"},
}


@pytest.mark.parametrize("message", FAULTS)
def test_files_that_do_not_fit(opened: Open, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        opened(FAULTS[message])


ROWS: dict[str, dict[str, Any]] = {
    "relation 0 is of the objects 0 and 7; the image has 2": {"relationships": np.array([[0, 7], *[[0, 1]] * 5])},
    "relation 0 has the predicate 0": {"predicates": np.array([0, 1, 2, 1, 1, 1])},
    "relation 0 is of object 1 with itself": {
        "relationships": np.array([[1, 1], [0, 1], [0, 1], [3, 4], [5, 6], [8, 7]])
    },
    "object 1 has the label 0": {"labels": np.array([3, 0, 1, 3, 2, 3, 2, 3, 2])},
    "object 0 is empty or outside the image": {"boxes_1024": np.array([[500, 900, 10, 10], *[[90, 90, 9, 9]] * 8])},
}


@pytest.mark.parametrize("message", ROWS)
def test_rows_that_mean_nothing(opened: Open, message: str) -> None:
    """They are left out, with what refers to them, or refused."""
    data = opened(ROWS[message], validation=0)
    assert any(message in issue for issue in data.issues(0))
    assert checked(data[0], strict=True) and len(data[0].scene[sk.RELATIONS]) < 3
    with pytest.raises(InputError, match=re.escape(message)):
        opened(ROWS[message], validation=0, faulty="refuse")


def test_files_that_cannot_be_read(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(validation=0)
    whole = (tmp_path / "VG-SGG.h5").read_bytes()
    for name, content in (("cut.h5", whole[: len(whole) // 2]), ("text.h5", b"<html>quota exceeded</html>")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name} cannot be read as HDF5 \(.*\); download the file again"):
            opened(h5=str(tmp_path / name))
    with pytest.raises(InputError, match=r"no such file: .*absent\.h5"):
        opened(h5=str(tmp_path / "absent.h5"))
    with pytest.raises(InputError, match="h5 has splits of its own"):
        opened(splits="hash")
    with pytest.raises(InputError, match="'labels' counts to 3, but the vocabulary has 0 names"):
        opened(vocabulary="all")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=re.escape("h5 needs h5py to be read (import of h5py halted; None in sys.mod")):
        sk.dataset("visual_genome", root=str(tmp_path), h5=str(tmp_path / "VG-SGG.h5"), cache=False)
