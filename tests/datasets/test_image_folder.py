"""A folder of images per class: torchvision's ImageFolder reads the same; splits, and folders that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

import scenekit as sk
from scenekit.errors import InputError, SkippedSampleError
from scenekit.hooks import registry
from scenekit.testing import check_dataset
from scenekit_datasets.image_folder import build


def write(path: Path, color: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), color).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dog/b.png", "dog/deep/a.JPG", "Cat/1.png", "bird/x.webp", "bird/z.bmp"):
        write(tmp_path / "images" / name)
    (tmp_path / "images" / "dog" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def test_images_and_labels_are_those_of_torchvision(folder: Path) -> None:
    reference, data = ImageFolder(str(folder)), build(str(folder))
    assert data.vocabulary.names("image_classes") == tuple(reference.classes) == ("Cat", "bird", "dog")
    own = [(data[index].scene.path, int(data[index].scene[sk.CLASSIFICATION].labels)) for index in range(len(data))]
    assert own == reference.samples
    assert tuple(data[0].image.shape) == (3, 8, 12)


def test_splits_are_folders(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "val/cat/2.png"):
        write(tmp_path / name)
    assert (len(build(str(tmp_path))), len(build(str(tmp_path), "val"))) == (2, 1)
    with pytest.raises(InputError, match="no folder of the split 'test'; it has train, val"):
        build(str(tmp_path), "test")


def test_single_root_is_divided_by_checksum(tmp_path: Path) -> None:
    for number in range(60):
        write(tmp_path / f"cat/{number}.png")
    parts = [build(str(tmp_path), split, splits="hash") for split in ("train", "val", "test")]
    names = [part[index].scene.path for part in parts for index in range(len(part))]
    assert len(names) == len(set(names)) == len(build(str(tmp_path), "all")) == 60
    assert len(parts[0]) > 40 and all(len(part) for part in parts)
    with pytest.raises(InputError, match="splits=hash"):
        build(str(tmp_path), "val")


def test_classes_may_be_chosen_in_their_order(folder: Path) -> None:
    data = build(str(folder), classes=["dog", "Cat"])
    assert data.vocabulary.names("image_classes") == ("dog", "Cat") and len(data) == 3


@pytest.mark.parametrize(
    ("prepare", "options", "told"),
    [
        (lambda root: root.rmdir(), {}, "is not a folder"),
        (lambda root: None, {}, "has no folder; expected one of images per class"),
        (lambda root: (root / "cat").mkdir(), {}, "cat has no image; expected files that end in .jpg"),
        (lambda root: (root / "cat").mkdir(), {"faulty": "skip"}, "no folder of a class has an image"),
        (lambda root: write(root / "cat/1.png"), {"classes": ["cats"]}, "no folder of the class 'cats'.*'cat'"),
        (lambda root: write(root / "cat/1.png"), {"classes": "cat"}, "classes must be names"),
        (lambda root: write(root / "cat/1.png"), {"splits": "lists"}, "splits must be"),
    ],
)
def test_folders_that_cannot_be(
    tmp_path: Path, prepare: Callable[[Path], Any], options: dict[str, Any], told: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    prepare(root)
    with pytest.raises(InputError, match=told):
        build(str(root), **options)


def test_options_are_checked_by_name(folder: Path) -> None:
    with pytest.raises(InputError, match="'refuse' or 'skip', got 'keep'"):
        sk.dataset("image_folder", root=str(folder), faulty="keep")


def test_empty_class_is_skipped_with_its_label(folder: Path) -> None:
    (folder / "ant").mkdir()
    assert build(str(folder), faulty="skip").vocabulary.names("image_classes") == ("Cat", "bird", "dog")


def test_damaged_image(folder: Path) -> None:
    (folder / "Cat" / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1\.png"):
        build(str(folder))[0]
    with pytest.raises(SkippedSampleError):
        build(str(folder), faulty="skip")[0]


def test_it_keeps_the_rules_of_data_sets(folder: Path) -> None:
    report = check_dataset(registry().get("dataset", "image_folder"), options={"root": str(folder)})
    assert report.ok, str(report)
