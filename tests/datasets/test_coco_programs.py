"""COCO-style files as other programs write them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import scenekit as sk
from scenekit.errors import SkippedSampleError
from scenekit.structures.geometry import Geometry
from scenekit_datasets.coco import write_coco

SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]


def file(folder: Path, annotations: list[dict[str, Any]], encoding: str = "utf-8", **more: Any) -> Path:
    """Write a file of two images, and the images; annotations are completed."""
    data = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 8, "width": 10} for n in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], **entry}
            for n, entry in enumerate(annotations, 1)
        ],
        **more,
    }
    for image in data["images"]:
        name = folder / str(image["file_name"]).replace("\\", "/").split(":")[-1].strip("/")
        if not name.exists() and ".." not in str(name):
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(name)
    (folder / "a.json").write_text(json.dumps(data), encoding=encoding)
    return folder / "a.json"


def opened(path: Path, **options: Any) -> Any:
    return sk.dataset("coco", annotations=str(path), **options)


def test_attributes_of_cvat(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = [
        {"occluded": False, "colour": "blue", "rotation": 0.0},
        {"occluded": True, "colour": "red", "rotation": 3.5},
    ]
    with caplog.at_level(logging.WARNING):
        data = opened(file(tmp_path, [{"attributes": held[0], "segmentation": [SQUARE]}, {"attributes": held[1]}]))
    assert data.vocabulary.attributes == ("occluded",)
    assert data[0].scene[sk.ATTRIBUTES].tolist() == [[0.0], [1.0]]
    (message,) = caplog.messages
    assert message.endswith("left out: 'colour', 'rotation'")


def test_rotated_boxes_of_cvat(tmp_path: Path) -> None:
    """`bbox` is the rectangle before the rotation; one with a mask is as the mask."""
    turned = [{"bbox": [2, 2, 4, 2], "attributes": {"rotation": degrees}} for degrees in (90.0, 180.0, 45.0, 0.0)]
    masked = {**turned[0], "segmentation": [SQUARE]}
    boxes = opened(file(tmp_path, [*turned, masked]))[0].scene.objects.boxes
    half = 6 / 2**0.5 / 2  # a rectangle of 4 by 2 that is turned by 45 degrees is 6 / sqrt(2) wide and high
    expected = [[3, 1, 5, 5], [2, 2, 6, 4], [4 - half, 3 - half, 4 + half, 3 + half], [2, 2, 6, 4], [2, 2, 6, 4]]
    torch.testing.assert_close(boxes, torch.tensor(expected))


def test_attributes_without_any_flag_are_no_labels(tmp_path: Path) -> None:
    scene = opened(file(tmp_path, [{"attributes": {"colour": "blue"}}, {"attributes": [{"name": "blue"}]}]))[0].scene
    assert sk.ATTRIBUTES not in scene and len(scene.objects) == 2


def test_fields_of_other_programs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entry = {"center": [3.5, 2], "rotation": 30.0, "size": "M", "caption": None, "keypoints": [1, 2, 3, 4]}
    with caplog.at_level(logging.WARNING):
        scene = opened(file(tmp_path, [entry]))[0].scene
    assert not scene.values and len(scene.objects) == 1
    (message,) = caplog.messages
    assert "left out: 'center', 'keypoints'" in message


def test_keypoints_without_visibility_are_left_out(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cat", "keypoints": ["a", "b"]}]
    data = opened(
        file(tmp_path, [{"keypoints": [1, 2, 3, 4]}, {"keypoints": [1, 2, 2, 3, 4, 0]}], categories=categories)
    )
    assert data[0].scene.rows_with(sk.KEYPOINTS).tolist() == [False, True]


@pytest.mark.parametrize("write", [float, str, lambda id: f"stem_{id}"])
def test_ids_of_other_types(tmp_path: Path, write: Any) -> None:
    path = file(tmp_path, [{"segmentation": [SQUARE]}, {"category_id": 2}])
    data = json.loads(path.read_text())
    for part, fields in (
        ("images", ["id"]),
        ("categories", ["id"]),
        ("annotations", ["id", "image_id", "category_id"]),
    ):
        for entry in data[part]:
            entry.update({field: write(entry[field]) for field in fields})
    path.write_text(json.dumps(data))
    scene = opened(path)[0].scene
    assert scene.names() == ["cat", "dog"] and scene[sk.MASKS].area[0] == 12


def test_categories_of_one_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    categories = [{"id": 5, "name": "dog"}, {"id": 1, "name": "cat"}, {"id": 9, "name": "cat"}]
    with caplog.at_level(logging.WARNING):
        data = opened(
            file(tmp_path, [{"category_id": 9}, {"category_id": 1}, {"category_id": 5}], categories=categories)
        )
    assert data.vocabulary.things == ("dog", "cat") and data[0].scene.names() == ["cat", "cat", "dog"]
    assert "category id 9 is one class with another of the same name, 'cat'" in caplog.text


def test_the_group_of_an_export_is_no_class(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    assert opened(file(tmp_path, [{}], categories=categories)).vocabulary.things == ("cat", "dog")
    assert opened(file(tmp_path, [], categories=categories)).vocabulary.things == ("pets", "cat", "dog")


NAMES = {
    "images\\1.png": "images/1.png",
    "..\\..\\images\\1.png": "images/1.png",
    "C:\\Users\\me\\images\\1.png": "images/1.png",
    "\\\\server\\share\\images\\1.png": "images/1.png",
    ".\\1.png": "1.png",
    "aachen_000000_000019_gtFine_leftImg8bit.png": "aachen/aachen_000000_000019_leftImg8bit.png",
    "aachen_000000_000019_leftImg8bit.png": "aachen/aachen_000000_000019_leftImg8bit.png",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_other_systems(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "data" / NAMES[name]
    place.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(place)
    path = file(tmp_path, [], images=[{"id": 1, "file_name": f"{1}.png"}])
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "images": [{"id": 1, "file_name": name, "height": 8, "width": 10}]})
    )
    with caplog.at_level(logging.WARNING):
        assert opened(path, images=str(tmp_path / "data"))[0].scene.path == str(place)
    assert "have another name" in caplog.text


@pytest.mark.parametrize("name", ["..\\secret.png", "../secret.png", "x/../../secret.png", "{folder}/secret.png"])
def test_names_stay_below_the_folder(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(tmp_path / "secret.png")
    (tmp_path / "data" / "x").mkdir(parents=True)
    path = file(tmp_path, [])
    image = {"id": 1, "file_name": name.format(folder=tmp_path), "height": 8, "width": 10}
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": [image]}))
    with pytest.raises(
        sk.InputError, match=r"which .*data lacks; only files below it are read, so name a folder above"
    ):
        opened(path, images=str(tmp_path / "data"))
    assert opened(path, images=str(tmp_path))[0].scene.path == str(tmp_path / "secret.png")


def test_two_names_of_one_file_are_refused(tmp_path: Path) -> None:
    """What is left of the names of another machine must say which image is meant."""
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(tmp_path / "1.png")
    path = file(tmp_path, [])
    images = [{"id": n, "file_name": f"/home/me/{n}/1.png", "height": 8, "width": 10} for n in (1, 2)]
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": images}))
    with pytest.raises(sk.InputError, match="'/home/me/1/1\\.png', which"):
        opened(path)


def test_links_are_followed(tmp_path: Path) -> None:
    """Data sets are often folders of links to files elsewhere."""
    (tmp_path / "store").mkdir()
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(tmp_path / "store" / "a.png")
    (tmp_path / "data").mkdir()
    for n in (1, 2):
        (tmp_path / "data" / f"{n}.png").symlink_to(tmp_path / "store" / "a.png")
    path = file(tmp_path, [])
    assert opened(path, images=str(tmp_path / "data"))[0].scene.path == str(tmp_path / "data" / "1.png")


@pytest.mark.parametrize("group", [[], {"a": 1}, 5, None, "none"])
def test_a_supercategory_of_any_kind(tmp_path: Path, group: Any) -> None:
    path = file(tmp_path, [])
    data = json.loads(path.read_text())
    data["categories"] = [{**category, "supercategory": group} for category in data["categories"]]
    path.write_text(json.dumps(data))
    assert opened(path).vocabulary.things == tuple(category["name"] for category in data["categories"])


def test_what_an_entry_may_leave_out(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"bbox": None, "segmentation": [SQUARE]},
        {"bbox": [], "segmentation": SQUARE, "iscrowd": None},
        {"segmentation": [], "area": None},
        {"segmentation": None},
    ]
    path = file(tmp_path, entries, images=[{"id": n, "file_name": f"{n}.png"} for n in (1, 2)])
    scene = opened(path)[0].scene
    assert scene.size == (8, 10), "that of the file"
    assert scene.objects.boxes.tolist() == [[2, 1, 6, 4]] * 2 + [[1, 2, 4, 6]] * 2
    assert scene.objects.area.tolist() == [12, 12, 12, 12] and scene[sk.MASKS].area.tolist() == [12, 12, 0, 0]
    assert scene.rows_with(sk.MASKS).tolist() == [True, True, False, False]


def test_a_byte_order_mark(tmp_path: Path) -> None:
    assert len(opened(file(tmp_path, [{}], encoding="utf-8-sig"))) == 2


def test_panoptic_files_of_cityscapes(tmp_path: Path) -> None:
    name = "aachen_000000_000019"
    (tmp_path / "a").mkdir()
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(tmp_path / f"{name}_leftImg8bit.png")
    ids = np.full((8, 10), 23)
    ids[4:], ids[:2, :3] = 7, 26001
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(colors).save(tmp_path / "a" / f"{name}_gtFine_panoptic.png")
    infos = [
        {"id": 23, "category_id": 23, "area": 34, "iscrowd": 0, "bbox": [0, 0, 10, 4]},
        {"id": 7, "category_id": 7, "area": 40, "iscrowd": 0, "bbox": [0, 4, 10, 4]},
        {"id": 26001, "category_id": 26, "area": 6, "iscrowd": 0, "bbox": [0, 0, 3, 2]},
    ]
    panoptic = {"image_id": name, "file_name": f"{name}_gtFine_panoptic.png", "segments_info": infos}
    data = {
        "images": [{"id": name, "file_name": f"{name}_gtFine_leftImg8bit.png", "height": 8, "width": 10}],
        "annotations": [panoptic],
        "categories": [
            {"id": id, "name": n, "isthing": int(id == 26)} for id, n in ((7, "road"), (23, "sky"), (26, "car"))
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(data))
    scene = opened(tmp_path / "a.json")[0].scene
    assert scene.names() == ["car"] and scene.objects.boxes.tolist() == [[0, 0, 3, 2]]
    assert [scene.vocabulary.labels[s.label] for s in scene[sk.PANOPTIC].segments] == ["sky", "road", "car"]
    assert scene[sk.MASKS].area.tolist() == [6]


SKELETONS = [
    {"id": 1, "name": "cat", "keypoints": ["nose", "left_ear", "right_ear"], "skeleton": [[1, 2]], "sigmas": [0.1] * 3},
    {"id": 2, "name": "dog", "keypoints": ["tail", "nose"], "skeleton": [[1, 2]], "sigmas": [0.2, 0.1]},
]


def test_a_skeleton_per_class(tmp_path: Path) -> None:
    padded = [5, 1, 2, 7, 2, 1, 0, 0, 0]
    entries = [
        {"keypoints": [1, 2, 2, 3, 4, 2, 5, 6, 1]},
        {"category_id": 2, "keypoints": padded},
        {"category_id": 2, "keypoints": padded[:6]},
    ]
    data = opened(file(tmp_path, entries, categories=SKELETONS))
    scene = data[0].scene
    named = sk.KEYPOINTS.field.describe(scene[sk.KEYPOINTS], scene.vocabulary, 0.0)
    assert named[0] == {"nose": [1, 2, 2], "left_ear": [3, 4, 2], "right_ear": [5, 6, 1]}
    assert named[1] == named[2] == {"tail": [5, 1, 2], "nose": [7, 2, 1]}
    flipped = sk.KEYPOINTS.field.transform(scene[sk.KEYPOINTS], Geometry.flip((8, 10)), scene.vocabulary)
    named = sk.KEYPOINTS.field.describe(flipped, scene.vocabulary, 0.0)
    assert named[0] == {"nose": [9, 2, 2], "left_ear": [5, 6, 1], "right_ear": [7, 4, 2]}
    assert named[1] == {"tail": [5, 1, 2], "nose": [3, 2, 1]}
    write_coco(data, tmp_path / "again")
    again = opened(next((tmp_path / "again").glob("*.json")))
    assert torch.equal(again[0].scene[sk.KEYPOINTS].xy, scene[sk.KEYPOINTS].xy)


LABELS: dict[str, dict[str, Any]] = {
    "'segmentation' must be polygons": {"segmentation": [[1, 2, 3]]},
    "'segmentation' has a polygon of less than three points": {"segmentation": [[1, 2, 3, 4]]},
    "'segmentation' is of size [10, 8]": {"segmentation": {"size": [10, 8], "counts": [80]}},
    "'captions' must be a list": {"captions": "red"},
    "'area' must be a finite number": {"area": 1e300},
    "'ignore' must be 0 or 1": {"ignore": 7},
    "'bbox_3d' must be 9 finite numbers": {"bbox_3d": [0, 0, 1e300, 1, 1, 1, 0, 0, 0]},
    "has neither": {"bbox": None},
    "'bbox' must be 4 finite numbers": {"bbox": [0, 0, 1, float("nan")]},
    "'iscrowd' must be 0 or 1": {"iscrowd": "no"},
}


@pytest.mark.parametrize("message", LABELS)
def test_labels_that_cannot_be(tmp_path: Path, message: str, caplog: pytest.LogCaptureFixture) -> None:
    path = file(tmp_path, [LABELS[message], {"segmentation": [SQUARE]}])
    with pytest.raises(sk.InputError) as caught:
        opened(path)
    assert message in str(caught.value) and "annotation id 1" in str(caught.value)
    with caplog.at_level(logging.WARNING):
        scene = opened(path, faulty="skip")[0].scene
    assert message in caplog.text and scene.objects.boxes.isfinite().all()
    is_entry = set(LABELS[message]) & {"bbox", "iscrowd"}
    assert scene.objects.ids.tolist() == ([2] if is_entry else [1, 2]), "an object stays without its label"
    assert scene[sk.MASKS].area.tolist()[-1] == 12


def test_an_image_that_is_cut_off(tmp_path: Path) -> None:
    path = file(tmp_path, [{}])
    noise = np.random.default_rng(0).integers(0, 255, (8, 10, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.png")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:100])
    with pytest.raises(sk.InputError, match=r"1\.png") as caught:
        opened(path)[0]
    assert caught.type is sk.InputError
    data = opened(path, faulty="skip")
    with pytest.raises(SkippedSampleError, match=r"1\.png"):
        data[0]
    assert data[1].id == 2


def save_image(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(path)


CVAT: dict[str, Any] = {
    "licenses": [{"name": "", "id": 0, "url": ""}],
    "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
    "categories": [
        {"id": 1, "name": "cat", "supercategory": "", "keypoints": ["1", "2"], "skeleton": [[1, 2]]},
        {"id": 2, "name": "dog", "supercategory": ""},
    ],
    "images": [
        {
            "id": 1,
            "width": 10,
            "height": 8,
            "file_name": "batch/1.png",
            "license": 0,
            "flickr_url": "",
            "coco_url": "",
            "date_captured": 0,
        }
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [],
            "area": 12.0,
            "bbox": [1.0, 2.0, 3.0, 4.0],
            "iscrowd": 0,
            "attributes": {"occluded": False, "rotation": 0.0, "track_id": 0, "keyframe": True},
            "keypoints": [1.0, 2.0, 2, 3.0, 4.0, 1],
            "num_keypoints": 2,
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "segmentation": {"counts": [10, 10, 60], "size": [8, 10]},
            "area": 10.0,
            "bbox": [1.0, 2.0, 2.0, 8.0],
            "iscrowd": 1,
            "attributes": {"occluded": True},
        },
    ],
}


@pytest.mark.parametrize("place", ["images/batch/1.png", "images/default/batch/1.png", "images/default/1.png"])
def test_an_export_of_cvat(tmp_path: Path, place: str) -> None:
    """annotations/instances_default.json beside images/, with boxes, a brush mask, keypoints and a track."""
    save_image(tmp_path / place)
    path = tmp_path / "annotations" / "instances_default.json"
    path.parent.mkdir()
    path.write_text(json.dumps(CVAT))
    data = opened(path)
    scene = data[0].scene
    assert scene.path == str(tmp_path / place) and scene.names() == ["cat", "dog"]
    assert data.vocabulary.attributes == ("occluded",) and scene[sk.ATTRIBUTES].tolist() == [[0.0], [1.0]]
    assert scene.rows_with(sk.MASKS).tolist() == [False, True] and scene[sk.MASKS].area.tolist() == [0, 10]
    assert scene.rows_with(sk.KEYPOINTS).tolist() == [True, False]
    assert scene.objects.crowd.tolist() == [False, True]


def test_an_export_of_roboflow(tmp_path: Path) -> None:
    """Folders train, valid and test, each with its images and _annotations.coco.json; ids from 0."""
    for split in ("train", "valid", "test"):
        name = f"{split}_jpg.rf.0a1b2c3d4e5f.png"
        save_image(tmp_path / split / name)
        image = {"id": 0, "license": 1, "file_name": name, "height": 8, "width": 10, "extra": {"name": "1.jpg"}}
        objects = [
            {"id": n, "image_id": 0, "category_id": n + 1, "bbox": [n, 2, 3, 4.5], "area": 13.5, "segmentation": mask}
            for n, mask in enumerate(([], [[]]))
        ]
        groups = [{"id": n, "name": name, "supercategory": "pets"} for n, name in ((1, "cat"), (2, "dog"))]
        categories = [{"id": 0, "name": "pets", "supercategory": "none"}, *groups]
        document = {"info": {"year": "2024"}, "licenses": [{"id": 1}], "categories": categories, "images": [image]}
        text = json.dumps({**document, "annotations": objects})
        (tmp_path / split / "_annotations.coco.json").write_text(text)
    for split in ("train", "val", "test"):
        data = sk.dataset("coco", split=split, annotations=str(tmp_path / "{split}" / "_annotations.coco.json"))
        scene = data[0].scene
        assert scene.names() == ["cat", "dog"] and data.vocabulary.things == ("cat", "dog")
        assert sk.MASKS not in scene and scene.objects.boxes[1].tolist() == [1, 2, 4, 6.5]
        assert ("valid" in str(scene.path)) == (split == "val")


UPLOADS = {
    "images/3f2a1b9c-my%20cat.png": "images/3f2a1b9c-my%20cat.png",
    "images\\3f2a1b9c-cat.png": "images/3f2a1b9c-cat.png",
    "/data/upload/7/3f2a1b9c-cat.png": "images/3f2a1b9c-cat.png",
    "../../label-studio/media/upload/7/3f2a1b9c-cat.png": "cat.png",
    "3f2a1b9c-my%20cat.png": "originals/my cat.png",
    "/data/local-files/?d=pets/cat.png": "pets/cat.png",
    "https://example.org/pets/my%20cat.png": "my cat.png",
}


@pytest.mark.parametrize("name", UPLOADS)
def test_an_export_of_label_studio(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """result.json with names of uploads, ids from 0, sizes that are null, and run lengths in a list."""
    save_image(tmp_path / UPLOADS[name])
    objects = [
        {"id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [1, 2, 3, 4], "ignore": 0, "iscrowd": 0},
        {"id": 1, "image_id": 0, "category_id": 0, "segmentation": [{"counts": [10, 10, 60], "size": [8, 10]}]},
    ]
    images = [{"width": None, "height": None, "id": 0, "file_name": name}]
    document = {"images": images, "categories": [{"id": 0, "name": "cat"}], "annotations": objects, "info": {}}
    (tmp_path / "result.json").write_text(json.dumps(document))
    with caplog.at_level(logging.WARNING):
        scene = opened(tmp_path / "result.json")[0].scene
    assert scene.path == str(tmp_path / UPLOADS[name]) and scene.size == (8, 10)
    assert scene.names() == ["cat", "cat"] and scene.rows_with(sk.MASKS).tolist() == [False, True]
    assert ("have another name" in caplog.text) == (name != UPLOADS[name])


def test_names_without_folders_that_several_files_have_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png", tmp_path / "b" / "2.png")
    document = {**CVAT, "images": [{**CVAT["images"][0], "file_name": "1.png"}]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(sk.InputError, match=r"'file_name' is '1\.png', which"):
        opened(tmp_path / "a.json")
    document["images"][0]["file_name"] = "2.png"
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert opened(tmp_path / "a.json")[0].scene.path == str(tmp_path / "b" / "2.png")


def test_names_of_some_images_are_looked_up_where_they_say(tmp_path: Path) -> None:
    """Where others are found, a missing image is missing, although a file elsewhere has its name."""
    save_image(tmp_path / "1.png", tmp_path / "masks" / "2.png")
    images = [{**CVAT["images"][0], "id": n, "file_name": f"{n}.png"} for n in (1, 2)]
    (tmp_path / "a.json").write_text(json.dumps({**CVAT, "images": images}))
    with pytest.raises(sk.InputError, match=r"'file_name' is '2\.png', which"):
        opened(tmp_path / "a.json")
