"""The data set `ade20k`: challenges in the official layout, and the real samples of the full release."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.errors import InputError, SkippedSampleError
from scenekit_datasets.ade20k.classes import classes

SIZE = (12, 20)
WALL, TREE, BED, PERSON = 1, 5, 8, 13
"""Numbers of the scene parsing challenge; bed and person are 1 and 4 of the instance challenge."""


def opened(root: Path, **options: Any) -> Any:
    return sk.dataset("ade20k", root=str(root), **{"split": "val", **options})


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def maps() -> np.ndarray:
    """A wall with a tree, a bed, and two persons of whom one is too small for the instance challenge; one void row."""
    out = np.full(SIZE, WALL, dtype=np.uint8)
    out[:, :4], out[6:11, 5:12], out[2:9, 14:17], out[0:2, 18:20] = TREE, BED, PERSON, PERSON
    out[11] = 0
    return out


def instances() -> np.ndarray:
    """Red is the class, green the number of the instance, whatever its class."""
    out = np.zeros((*SIZE, 3), dtype=np.uint8)
    out[6:11, 5:12, :2], out[2:9, 14:17, :2] = (1, 7), (4, 3)
    return out


def write(root: Path, name: str = "ADE_val_00000017", part: str = "validation") -> Path:
    """One image in the layout of ADEChallengeData2016."""
    save(root / "images" / part / f"{name}.jpg", np.full((*SIZE, 3), 90, np.uint8))
    save(root / "annotations" / part / f"{name}.png", maps())
    save(root / "annotations_instance" / part / f"{name}.png", instances())
    return root


def test_the_classes() -> None:
    """The 100 classes with instances in the order of their challenge, and 50 kinds of stuff."""
    found = classes()
    names = found.vocabulary.labels
    assert (len(found.vocabulary.things), len(found.vocabulary.stuff), len(found.full)) == (100, 50, 153)
    assert [names[found.maps[n]] for n in (1, 8, 13, 150)] == ["wall", "bed", "person", "flag"]
    assert [names[found.instances[n]] for n in (1, 4, 58, 85, 100)] == ["bed", "person", "television", "screen", "flag"]
    assert [names[found.full[n]] for n in (2978, 783, 774, 954)] == ["wall", "door", "door", "flag"]


def test_challenges(tmp_path: Path) -> None:
    """Worked by hand: objects by their number, stuff behind them, void where a thing has no instance."""
    sample = opened(write(tmp_path))[0]
    scene = sample.scene
    assert scene.names() == ["person", "bed"] and scene.objects.ids.tolist() == [3, 7] and sample.id == 17
    assert scene.objects.boxes.tolist() == [[14, 2, 17, 9], [5, 6, 12, 11]]
    assert scene[sk.MASKS].area.tolist() == scene.objects.area.tolist() == [21, 35]
    names = [*scene.vocabulary.labels, "ignored"]
    found = [names[int(scene[sk.SEMANTIC][pixel])] for pixel in ((0, 0), (0, 5), (7, 6), (0, 19), (11, 0))]
    assert found == ["tree", "wall", "bed", "person", "ignored"]
    panoptic = scene[sk.PANOPTIC]
    assert [(names[s.label], s.is_thing, s.object) for s in panoptic.segments] == [
        *(("wall", False, None), ("tree", False, None)),
        *(("person", True, 0), ("bed", True, 1)),
    ]
    assert [int(panoptic.ids[pixel]) for pixel in ((0, 19), (11, 0), (3, 15), (7, 6))] == [0, 0, 1003, 1007]
    assert sample.supervision.keys == {sk.MASKS, sk.SEMANTIC, sk.PANOPTIC}
    assert sample.supervision.streams == sample.supervision.exhaustive == {sk.OBJECTS}
    assert checked(sample, strict=True) is sample


def test_parts_of_the_challenges(tmp_path: Path) -> None:
    """Maps of classes alone supervise no objects; instances alone no maps; test images nothing."""
    write(tmp_path)
    write(tmp_path, "ADE_test_00000001", "testing")
    assert opened(tmp_path, keys=["semantic"])[0].supervision.keys == {sk.SEMANTIC}
    test = opened(tmp_path, split="test")[0]
    assert not test.supervision.keys and not test.supervision.streams
    (tmp_path / "annotations" / "validation" / "ADE_val_00000017.png").unlink()
    alone = opened(tmp_path)[0]
    assert alone.supervision.keys == {sk.MASKS} and len(alone.scene.objects) == 2
    write(tmp_path)
    (tmp_path / "annotations_instance" / "validation" / "ADE_val_00000017.png").unlink()
    alone = opened(tmp_path)[0]
    assert alone.supervision.keys == {sk.SEMANTIC} and not alone.supervision.streams


@pytest.fixture
def full(samples: Path, tmp_path: Path) -> Path:
    """The samples in the layout of ADE20K_2021_17_01."""
    folder = tmp_path / "images" / "ADE" / "training" / "urban" / "street"
    folder.mkdir(parents=True)
    for path in (samples / "ade20k_NC").iterdir():
        (folder / path.name).symlink_to(path)
    return tmp_path


@pytest.mark.parametrize("index", [0, 1])
def test_real_samples_of_the_full_release(full: Path, samples: Path, index: int) -> None:
    """As many objects of each class as the JSON file of the image lists, parts of objects aside."""
    data = opened(full, split="train")
    assert [data[n].id for n in range(len(data))] == [16900, 16964]
    sample = data[index]
    path = samples / "ade20k_NC" / f"ADE_train_000{sample.id}.json"
    listed = json.loads(path.read_text())["annotation"]["object"]
    whole = [entry for entry in listed if entry["parts"]["part_level"] == 0]
    vocabulary, labels = data.vocabulary, classes().full
    names = [vocabulary.labels[labels[entry["name_ndx"]]] for entry in whole if entry["name_ndx"] in labels]
    assert Counter(sample.scene.names()) == Counter(name for name in names if name in vocabulary.things)
    synonyms = {entry["name_ndx"]: entry["name"].split(", ") for entry in listed}
    assert all(vocabulary.labels[labels[id]] in synonyms[id] for id in synonyms if id in labels and id != 783)
    present = set(sample.scene[sk.SEMANTIC].unique().tolist()) - {-1}
    assert {vocabulary.labels[label] for label in present} == set(names)
    assert checked(sample, strict=True) is sample


def test_visible_parts_lie_in_whole_objects(full: Path, samples: Path) -> None:
    """The masks of the release are of whole objects, hidden parts included."""
    scene = opened(full, split="train")[1].scene
    folder = samples / "ade20k_NC" / "ADE_train_00016964"
    listed = json.loads((samples / "ade20k_NC" / "ADE_train_00016964.json").read_text())["annotation"]["object"]
    things = {index for index, label in classes().full.items() if label < 100}
    whole = [
        torch.from_numpy(np.asarray(Image.open(folder / Path(entry["instance_mask"]).name)) > 0)
        for entry in listed
        if entry["name_ndx"] in things and entry["parts"]["part_level"] == 0
    ]
    step = (slice(None), slice(2, None, 8), slice(2, None, 8))  # every eighth pixel
    masks = scene[sk.MASKS].dense[step].flatten(1).float()
    inside = torch.stack(whole)[step].flatten(1).float() @ masks.T / masks.sum(1)
    best = inside.max(dim=0)
    assert bool((best.values > 0.98).all()) and len(set(best.indices.tolist())) == len(masks) == len(whole)


BAD: dict[str, Callable[[Path], None]] = {
    "annotations/validation/ADE_val_00000017.png has the number 151; expected classes from 1 to 150": lambda root: save(
        root / "annotations" / "validation" / "ADE_val_00000017.png", np.full(SIZE, 151, np.uint8)
    ),
    "has an instance of the class 101; expected 1 to 100": lambda root: save(
        root / "annotations_instance" / "validation" / "ADE_val_00000017.png", np.full((*SIZE, 3), 101, np.uint8)
    ),
    "expected an RGB image of [12, 20] (height, width); got [12, 20]": lambda root: save(
        root / "annotations_instance" / "validation" / "ADE_val_00000017.png", np.full(SIZE, 1, np.uint8)
    ),
    "expected one whole number a pixel, [12, 20] (height, width); got [4, 4]": lambda root: save(
        root / "annotations" / "validation" / "ADE_val_00000017.png", np.full((4, 4), 1, np.uint8)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_damaged_files(tmp_path: Path, message: str) -> None:
    BAD[message](write(tmp_path))
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path)[0]
    with pytest.raises(SkippedSampleError):
        opened(tmp_path, faulty="skip")[0]


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has an image of ADE20K; name the folder above with root="):
        opened(tmp_path)
    write(tmp_path)
    save(tmp_path / "images" / "validation" / "ADE_val_00000018.jpg", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match=r"ADE_val_00000018.jpg has no label map; expected it in .*annotations"):
        opened(tmp_path)
    assert len(opened(tmp_path, faulty="skip")) == 1
    (tmp_path / "annotations").rename(tmp_path / "a")
    (tmp_path / "annotations_instance").rename(tmp_path / "b")
    with pytest.raises(InputError, match=r"no image of .* has labels; expected"):
        opened(tmp_path, faulty="skip")
    with pytest.raises(InputError, match="ADE20K has no labels 'depth'"):
        opened(tmp_path, keys=["depth"])
