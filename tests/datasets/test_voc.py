"""Pascal VOC in a small copy of the official layout, against torchvision's readers and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import VOCDetection, VOCSegmentation

import scenekit as sk
from scenekit.errors import SkippedSampleError
from scenekit.hooks import registry
from scenekit.keys import ATTRIBUTES, MASKS, OBJECTS, SEMANTIC
from scenekit.testing.datasets import check_dataset
from scenekit_datasets.voc.layout import CLASSES

SIZE = (30, 40)
CAT, CHAIR, DOG, PERSON = 8, 9, 12, 15  # values of label maps


def entry(name: str, box: tuple[int, int, int, int], difficult: int = 0, more: str = "") -> str:
    sides = "".join(f"<{side}>{x}</{side}>" for side, x in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    flags = f"<truncated>1</truncated><occluded>0</occluded><difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name><pose>Frontal</pose>{flags}<bndbox>{sides}</bndbox>{more}</object>"


PART = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
OBJECTS_OF = {
    "2007_000027": [entry("person", (1, 1, 20, 30), more=PART), entry("cat", (21, 11, 30, 20), difficult=1)],
    "2007_000032": [entry("chair", (5, 5, 14, 14)).replace("<occluded>0</occluded>", "")],
    "2008_000001": [],
}


def annotation(name: str, objects: list[str]) -> str:
    size = f"<size><width>{SIZE[1]}</width><height>{SIZE[0]}</height><depth>3</depth></size>"
    head = f"<folder>VOC2012</folder><filename>{name}.jpg</filename>{size}<segmented>1</segmented>"
    return f"<annotation>{head}{''.join(objects)}</annotation>"


def save_map(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette([n % 256 for n in range(768)])
    image.save(path)


def year(root: Path, number: int, names: list[str]) -> Path:
    folder = root / "VOCdevkit" / f"VOC{number}"
    for name in names:
        for part, content in (("JPEGImages", None), ("Annotations", annotation(name, OBJECTS_OF[name]))):
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(path.with_name(f"{name}.jpg"))
            else:
                path.with_name(f"{name}.xml").write_text(content)
    for image_set, listed in (("Main", names), ("Segmentation", names[:1])):
        path = folder / "ImageSets" / image_set / "train.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in listed))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The first image has maps: a person, a cat whose border is void, and the rest."""
    folder = year(tmp_path, 2012, list(OBJECTS_OF))
    classes, objects = np.zeros(SIZE), np.zeros(SIZE)
    classes[0:30, 0:20], objects[0:30, 0:20] = PERSON, 2
    classes[10:20, 20:30], objects[10:20, 20:30] = CAT, 1
    classes[10, 20:30] = objects[10, 20:30] = 255
    save_map(folder / "SegmentationClass" / "2007_000027.png", classes)
    save_map(folder / "SegmentationObject" / "2007_000027.png", objects)
    return tmp_path / "VOCdevkit"


def opened(root: Path, **options: Any) -> Any:
    return sk.dataset("voc", root=str(root), **options)


def test_objects_against_torchvision(root: Path) -> None:
    reference, data = VOCDetection(str(root.parent), year="2012", image_set="train"), opened(root)
    assert len(data) == len(reference) == 3 and data.vocabulary.things == CLASSES
    for sample, (_, target) in zip(data, reference, strict=True):
        entries = target["annotation"].get("object", [])
        assert sample.scene.names() == [one["name"] for one in entries]
        boxes = [[int(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax")] for one in entries]
        # VOC counts pixels from 1, and the last one belongs to the box
        expected = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) - torch.tensor([1.0, 1, 0, 0])
        torch.testing.assert_close(sample.scene.objects.boxes, expected)
        assert sample.scene.objects.ignore.tolist() == [one["difficult"] == "1" for one in entries]
        assert sample.supervision.classes is None and sample.supervision.exhaustive == {OBJECTS}


def test_attributes(root: Path) -> None:
    data = opened(root)
    assert data.vocabulary.attributes == ("occluded", "truncated")
    assert data[0].scene[ATTRIBUTES].tolist() == [[0, 1], [0, 1]]
    assert data[1].scene[ATTRIBUTES][0].isnan().tolist() == [True, False]


def test_label_maps_against_torchvision(root: Path) -> None:
    """Values 1 to 20 are the classes, 0 is background, which follows them, and 255 is unknown."""
    reference = VOCSegmentation(str(root.parent), year="2012", image_set="train")
    data = opened(root, image_set="Segmentation")
    assert len(data) == len(reference) == 1
    values = torch.from_numpy(np.array(reference[0][1])).long()
    semantic = data[0].scene[SEMANTIC]
    background = data.vocabulary.label("background")
    torch.testing.assert_close(
        semantic, torch.where(values == 0, background, torch.where(values == 255, -1, values - 1))
    )
    assert {*semantic.unique().tolist()} == {-1, PERSON - 1, CAT - 1, background}
    assert SEMANTIC in data[0].supervision.keys and SEMANTIC not in opened(root)[1].supervision.keys


def test_masks_belong_to_the_boxes_around_them(root: Path) -> None:
    """Numbers of objects are in another order than the file; void pixels are in no mask."""
    scene = opened(root)[0].scene
    assert scene[MASKS].area.tolist() == [600, 90] and scene.rows_with(MASKS).all()
    assert scene[MASKS].boxes.tolist() == [[0, 0, 20, 30], [20, 11, 30, 20]]


def test_years_are_joined(root: Path) -> None:
    year(root.parent, 2007, ["2008_000001"])
    assert len(opened(root)) == 4 and len(opened(root, years=[2007])) == 1
    assert len(opened(root / "VOC2012")) == 3 and len(opened(root, drop_empty=True)) == 2
    assert len({sample.id for sample in opened(root)}) == 4
    with pytest.raises(sk.InputError, match="has no VOC2010; it has VOC2007, VOC2012"):
        opened(root, years=[2010])
    with pytest.raises(sk.InputError, match=r"no such file: .*VOC2012/ImageSets/Main/val\.txt"):
        opened(root, split="val")
    with pytest.raises(sk.InputError, match=r"VOC2012 is one of them; leave out the option years"):
        opened(root / "VOC2012", years=[2012])
    with pytest.raises(sk.InputError, match=r"expected VOC2007 or VOC2012"):
        opened(root.parent)


def test_a_test_set_without_annotations_supervises_nothing(root: Path) -> None:
    folder = root / "VOC2012"
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "JPEGImages" / "2011_000001.jpg")
    (folder / "ImageSets" / "Main" / "test.txt").write_text("2011_000001\n")
    (sample,) = opened(root, split="test")
    assert not sample.supervision.streams and not sample.supervision.keys and sample.scene.size == SIZE


def test_other_classes_and_boxes_from_zero(root: Path) -> None:
    """As other programs write the format: classes of one's own, coordinates of pixels from 0."""
    data = opened(root, classes=["cat", "person", "chair"], first_pixel=0, keys=[])
    assert data[0].scene.objects.labels.tolist() == [1, 0]
    assert data[0].scene.objects.boxes.tolist() == [[1, 1, 20, 30], [21, 11, 30, 20]]


def test_it_keeps_the_rules_of_data_sets(root: Path) -> None:
    report = check_dataset(registry().get("dataset", "voc"), options={"root": str(root)})
    assert report.ok, str(report)


FAULTS = {
    "object 0: its 'name' is 'persn', which is none of the classes; did you mean 'person'": ("person<", "persn<"),
    "object 0: its 'bndbox' 21 1 20 30 is empty": ("<bndbox><xmin>1<", "<bndbox><xmin>21<"),
    "object 0: its 'bndbox' must have the numbers": ("<bndbox><xmin>1<", "<bndbox><xmin>a<"),
    "SegmentationObject/2007_000027.png: object 1 has no box": ("cat<", "dog<"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_faulty_objects(root: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "VOC2012" / "Annotations" / "2007_000027.xml"
    path.write_text(path.read_text().replace(*FAULTS[message], 1))
    assert len(opened(root)[0].scene.objects) in (1, 2) and message in caplog.text
    with pytest.raises(sk.InputError, match=r"2007_000027\.(xml|png): object \d"):
        opened(root, faulty="refuse")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "is not valid XML"),
        ("<html></html>", "expected an element 'annotation'"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation>&a;</annotation>', "has a document type"),
        ("<annotation><size><width>0</width></size></annotation>", "'size' must have 'height' and 'width'"),
        (annotation("x", []).replace(">40<", ">41<"), r"its size is given as \[30, 41\]"),
    ],
)
def test_files_that_cannot_be(root: Path, content: str, message: str) -> None:
    (root / "VOC2012" / "Annotations" / "2007_000032.xml").write_text(content)
    with pytest.raises(sk.InputError, match=message):
        opened(root, faulty="refuse")[1]
    with pytest.raises(SkippedSampleError, match=message):
        opened(root)[1]


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations"])
def test_missing_files(root: Path, folder: str) -> None:
    next((root / "VOC2012" / folder).glob("2007_000032.*")).unlink()
    assert len(opened(root)) == 2
    with pytest.raises(sk.InputError, match=rf"train\.txt: image 2007_000032 has no .*{folder}/2007_000032"):
        opened(root, faulty="refuse")


def test_a_map_with_other_values(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "VOC2012" / "SegmentationClass" / "2007_000027.png"
    save_map(path, np.full(SIZE, 21))
    sample = opened(root)[0]
    assert "the value 21 is none of 0, 1 to 20 of the classes, and 255" in caplog.text
    assert sample.supervision.keys == {ATTRIBUTES} and len(sample.scene.objects) == 2
