"""Open Images in a small copy of the official layout: CSV files, folders of images and masks."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.hooks import registry
from scenekit.io.images import ORIENTATION
from scenekit.keys import ATTRIBUTES, MASKS, OBJECTS, RELATIONS
from scenekit.testing.datasets import check_dataset

CLASSES = {"/m/01g317": "Person", "/m/04yx4": "Man", "/m/03bt1vf": "Woman", "/m/01bjv": "Bus", "/m/01mzpv": "Chair"}
ID = {name: id for id, name in CLASSES.items()}
WOODEN, PLASTIC = "/m/083vt", "/m/05z87"
FIRST, SECOND, THIRD = "00075905539074f2", "0001eeaf4aed83f9", "000a1249af2bc5f0"
SIZE = (40, 80)

BOX = "ImageID Source LabelName Confidence XMin XMax YMin YMax IsOccluded IsTruncated IsGroupOf IsDepiction IsInside"
VRD = "ImageID LabelName1 LabelName2 XMin1 XMax1 YMin1 YMax1 XMin2 XMax2 YMin2 YMax2 RelationshipLabel"
MAN, CHAIR, BUSES = (0.1, 0.3, 0.25, 0.75), (0.5, 0.75, 0.5, 1.0), (0.0, 1.0, 0.0, 0.25)


def box(image: str, name: str, sides: Sequence[float], *flags: int, source: str = "xclick") -> list[Any]:
    return [image, source, ID[name], 1, *sides, *(flags or (0, 0, 0, 0, 0))]


def verified(image: str, name: str, present: int) -> list[Any]:
    return [image, "verification", ID[name], present]


BOXES = [
    box(FIRST, "Man", MAN, 1, 0, 0, 0, 0),
    box(FIRST, "Chair", CHAIR, -1, -1, 0, -1, -1),
    box(FIRST, "Bus", BUSES, 0, 0, 1, 0, 0),
    box(SECOND, "Chair", MAN, -1, -1, -1, -1, -1, source="activemil"),
    [THIRD, "xclick", "/m/unlisted", 1, *MAN, 0, 0, 0, 0, 0],
]
VERIFIED = [
    verified(SECOND, "Person", 0),
    verified(FIRST, "Man", 1),
    verified(FIRST, "Person", 1),
    verified(FIRST, "Woman", 0),
    verified(THIRD, "Bus", 1),
    [THIRD, "verification", "/m/not_boxable", 1],
]
NEAR = tuple(side + 1e-6 for side in CHAIR)
RELATED = [
    [FIRST, ID["Man"], ID["Chair"], *MAN, *NEAR, "on"],
    [FIRST, ID["Man"], ID["Chair"], *MAN, *NEAR, "interacts_with"],
    [FIRST, ID["Chair"], WOODEN, *NEAR, *NEAR, "is"],
]
TREE = {
    "LabelName": "/m/0bl9f",
    "Subcategory": [
        {"LabelName": ID["Person"], "Subcategory": [{"LabelName": ID["Man"]}, {"LabelName": ID["Woman"]}]},
        {"LabelName": ID["Bus"], "Part": [{"LabelName": ID["Chair"]}]},
    ],
}


def table(path: Path, columns: str, rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*([columns.split()] if columns else []), *rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Train in the form of version 6, without the hierarchy; masks of half the image's size."""
    for id in (FIRST, SECOND, THIRD):
        path = tmp_path / "train_0" / f"{id}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 128, np.uint8)).save(path)
    table(tmp_path / "class-descriptions-boxable.csv", "", list(CLASSES.items()))
    table(tmp_path / "oidv6-attributes-description.csv", "", [[WOODEN, "Wooden"], [PLASTIC, "Plastic"]])
    table(tmp_path / "train-annotations-bbox.csv", BOX, [])
    table(tmp_path / "oidv6-train-annotations-bbox.csv", BOX, BOXES)
    table(tmp_path / "train-annotations-human-imagelabels-boxable.csv", "ImageID Source LabelName Confidence", VERIFIED)
    table(tmp_path / "oidv6-train-annotations-vrd.csv", VRD, RELATED)
    name = f"{FIRST}_m01mzpv_5d1e.png"
    columns = "MaskPath ImageID LabelName BoxID BoxXMin BoxXMax BoxYMin BoxYMax PredictedIoU Clicks"
    row = [name, FIRST, ID["Chair"], "5d1e", *NEAR, 0.9, "0.5 0.5 1;0.6 0.6 0"]
    table(tmp_path / "train-annotations-object-segmentation.csv", columns, [row])
    mask = np.zeros((20, 40), bool)
    mask[10:20, 20:30] = True
    (tmp_path / "train-masks" / "train-masks-0").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "train-masks" / "train-masks-0" / name)
    return tmp_path


def opened(root: Path, **options: Any) -> Any:
    return sk.dataset("open_images", root=str(root), cache=str(root / "cache"), **options)


def of_image(data: Any, id: str) -> Any:
    return data[data.listing.ids.index(id)]


def test_objects_and_their_labels(root: Path) -> None:
    scene = of_image(opened(root), FIRST).scene
    assert scene.vocabulary.things == tuple(CLASSES.values()) and scene.names() == ["Man", "Chair", "Bus"]
    torch.testing.assert_close(scene.objects.boxes, torch.tensor([[8.0, 10, 24, 30], [40, 20, 60, 40], [0, 0, 80, 10]]))
    assert scene.objects.crowd.tolist() == [False, False, True]
    assert scene.rows_with(MASKS).tolist() == [False, True, False]
    assert scene[MASKS].boxes[1].tolist() == [40, 20, 60, 40]
    relations = scene[RELATIONS]
    assert scene.vocabulary.predicates == ("interacts_with", "on")
    assert [*zip(relations.subject.tolist(), relations.object.tolist(), relations.predicate.tolist(), strict=True)] == [
        (0, 1, 1),
        (0, 1, 0),
    ]


def test_attributes(root: Path) -> None:
    """Flags of boxes, -1 for unknown; of an object with an attribute the others do not hold."""
    scene = of_image(opened(root), FIRST).scene
    assert scene.vocabulary.attributes == ("occluded", "truncated", "depiction", "inside", "Wooden", "Plastic")
    unknown = float("nan")
    expected = [[1, 0, 0, 0, unknown, unknown], [unknown] * 4 + [1, 0], [0, 0, 0, 0, unknown, unknown]]
    torch.testing.assert_close(scene[ATTRIBUTES], torch.tensor(expected), equal_nan=True)


def test_only_verified_classes_are_covered(root: Path) -> None:
    """A person was verified whose boxes have a narrower name; a machine drew one chair, of perhaps several."""
    data = opened(root)
    claims = {id: of_image(data, id).supervision for id in (FIRST, SECOND, THIRD)}
    assert (claims[FIRST].classes, claims[FIRST].partial) == ({"Man", "Chair", "Bus", "Woman"}, set())
    assert (claims[SECOND].classes, claims[SECOND].partial) == ({"Person"}, {"Chair"})
    assert (claims[THIRD].classes, claims[THIRD].partial) == (set(), set())
    assert len(of_image(data, THIRD).scene.objects) == 0
    assert claims[FIRST].exhaustive == {OBJECTS}


def test_the_hierarchy_widens_what_is_covered(root: Path) -> None:
    """Without persons there are no men, and where one has a box, a region of the class person may be another man."""
    (root / "bbox_labels_600_hierarchy.json").write_text(json.dumps(TREE))
    table(root / "oidv6-train-annotations-bbox.csv", BOX, [*BOXES, box(FIRST, "Person", CHAIR)])
    data = opened(root)
    assert of_image(data, SECOND).supervision.classes == {"Person", "Man", "Woman"}
    first = of_image(data, FIRST).supervision
    assert (first.classes, first.partial) == ({"Man", "Chair", "Bus", "Woman"}, {"Person"})


def test_labels_that_contradict_each_other(root: Path) -> None:
    """Several people verify an image: one who saw a man outweighs one who saw no person."""
    (root / "bbox_labels_600_hierarchy.json").write_text(json.dumps(TREE))
    rows = [*VERIFIED, verified(SECOND, "Man", 1), verified(SECOND, "Bus", 0), verified(SECOND, "Bus", 1)]
    columns = "ImageID Source LabelName Confidence"
    table(root / "train-annotations-human-imagelabels-boxable.csv", columns, rows)
    assert of_image(opened(root), SECOND).supervision.classes == {"Person", "Woman"}


def test_boxes_are_of_the_images_as_they_are_stored(root: Path) -> None:
    """The official files of images say by which angle an image and its boxes are to be rotated together."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(root / "train_0" / f"{FIRST}.jpg", exif=exif)
    assert of_image(opened(root), FIRST).scene.size == SIZE
    assert of_image(opened(root, exif="apply"), FIRST).scene.size == SIZE[::-1]


def test_boxes_alone(root: Path) -> None:
    """Of the val split, in the form of version 7: classes with a header, no verified labels, nothing else."""
    table(root / "labels" / "validation-annotations-bbox.csv", BOX, BOXES[:3])
    table(root / "oidv7-class-descriptions-boxable.csv", "LabelName DisplayName", list(CLASSES.items()))
    (root / "class-descriptions-boxable.csv").unlink()
    data = opened(root, split="val", images=str(root / "train_0"))
    assert len(data) == 1 and data[0].supervision.classes == {"Man", "Chair", "Bus"}
    assert set(data[0].scene.values) == {ATTRIBUTES}


def test_options(root: Path) -> None:
    data = opened(root, keys=["masks"], drop_empty=True)
    assert set(of_image(data, FIRST).scene.values) == {MASKS} and len(data) == 3
    (root / "train_0" / f"{SECOND}.jpg").unlink()
    assert opened(root).listing.ids == (FIRST, THIRD), "most people have some of the images"
    with pytest.raises(sk.InputError, match=f"no image {SECOND}.jpg"):
        opened(root, faulty="refuse")
    with pytest.raises(sk.InputError, match=r"has no test-annotations-bbox\.csv"):
        opened(root, split="test")


def test_it_keeps_the_rules_of_data_sets(root: Path) -> None:
    options = {"root": str(root), "cache": False}
    report = check_dataset(registry().get("dataset", "open_images"), options=options)
    assert report.ok, str(report)


FAULTS = {
    'XMin must be a number, not "left"': ("oidv6-train-annotations-bbox.csv", "0.1,0.3", "left,0.3"),
    "the box of /m/04yx4 is empty": ("oidv6-train-annotations-bbox.csv", "0.1,0.3", "0.3,0.3"),
    "a relationship 'on' has a box that the file of boxes lacks": ("oidv6-train-annotations-vrd.csv", "0.3", "0.4"),
    "has a box that the file of boxes lacks": ("train-annotations-object-segmentation.csv", "0.500001", "0.1"),
    "no mask missing.png; name its folder with masks=": (
        "train-annotations-object-segmentation.csv",
        f"{FIRST}_m01mzpv_5d1e.png",
        "missing.png",
    ),
    "'MaskPath' must be the name of a file, not": (
        "train-annotations-object-segmentation.csv",
        f"{FIRST}_m01mzpv_5d1e.png",
        "../x.png",
    ),
}


@pytest.mark.parametrize("message", FAULTS)
def test_faulty_rows(root: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    name, old, new = FAULTS[message]
    text = (root / name).read_text()
    (root / name).write_text(text.replace(old, new, 1))
    with pytest.raises(sk.InputError, match=f"{name}: image {FIRST}: "):
        of_image(opened(root, faulty="refuse"), FIRST)
    sample = of_image(opened(root), FIRST)
    assert message in caplog.text and len(sample.scene.objects) in (2, 3)
    if len(sample.scene.objects) == 2:
        assert sample.supervision.partial == {"Man"}, "a man without a box is no background"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("oidv6-train-annotations-bbox.csv", "XMax"),
        ("train-annotations-human-imagelabels-boxable.csv", "Confidence"),
        ("oidv6-train-annotations-vrd.csv", "RelationshipLabel"),
        ("train-annotations-object-segmentation.csv", "MaskPath"),
    ],
)
def test_columns_that_are_missing(root: Path, name: str, column: str) -> None:
    text = (root / name).read_text()
    (root / name).write_text(text.replace(column, "Other", 1))
    with pytest.raises(sk.InputError, match=rf"{name} lacks the columns {column}; its columns are .*Other"):
        opened(root)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("class-descriptions-boxable.csv", "/m/1\n", r'expected rows such as .*, got \["/m/1"\]'),
        ("class-descriptions-boxable.csv", "", "got an empty file"),
        ("bbox_labels_600_hierarchy.json", "[]", "expected a tree of objects"),
        ("bbox_labels_600_hierarchy.json", '{"LabelName": "a", "Subcategory": [{}]}', "expected a tree of objects"),
    ],
)
def test_names_that_cannot_be(root: Path, name: str, content: str, message: str) -> None:
    (root / name).write_text(content)
    with pytest.raises(sk.InputError, match=message):
        opened(root)


def test_real_images_as_the_json_of_the_samples_has_them(samples: Path, tmp_path: Path) -> None:
    """Photographs of Open Images, whose boxes and verified classes are written as CSV: both readers agree."""
    folder = samples / "real_detection" / "openimages_cc"
    reference: Any = sk.dataset("coco", annotations=str(folder / "all.json"), images=str(folder / "images"))
    things = reference.vocabulary.things
    table(tmp_path / "class-descriptions-boxable.csv", "", [[f"/m/{name}", name] for name in things])
    boxes, labels = [], []
    for place in range(len(reference)):
        sample = reference[place]
        (height, width), id = sample.scene.size, Path(str(sample.scene.path)).stem
        for (x0, y0, x1, y1), name in zip(sample.scene.objects.boxes.tolist(), sample.scene.names(), strict=True):
            sides = (x0 / width, x1 / width, y0 / height, y1 / height)
            boxes.append([id, "xclick", f"/m/{name}", 1, *sides, 0, 0, 0, 0, 0])
        covered = things if sample.supervision.classes is None else sample.supervision.classes
        labels += [[id, "verification", f"/m/{name}", int(name in sample.scene.names())] for name in covered]
    table(tmp_path / "validation-annotations-bbox.csv", BOX, boxes)
    columns = "ImageID Source LabelName Confidence"
    table(tmp_path / "validation-annotations-human-imagelabels-boxable.csv", columns, labels)
    data = opened(tmp_path, split="val", images=str(folder / "images"))
    found = dict(zip(data.listing.ids, data, strict=True))
    assert len(found) == len(reference)
    for sample in reference:
        other = found[Path(str(sample.scene.path)).stem]
        assert torch.equal(sample.image, other.image) and other.scene.names() == sample.scene.names()
        torch.testing.assert_close(other.scene.objects.boxes, sample.scene.objects.boxes, atol=1e-3, rtol=0)
        assert all(sample.supervision.covers(name) == other.supervision.covers(name) for name in things)
