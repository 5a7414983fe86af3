"""The data set `cityscapes`: files in the official layout, its own panoptic files, boxes in the camera's frame."""

from __future__ import annotations

import json
import pickle
import re
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
from scenekit.ops.boxes3d import project_cuboids
from scenekit_datasets.label_maps import masks_in
from tests.datasets.cityscapes_files import NAME, SIZE, boxes, instances, save, vehicle, write, write_panoptic


def opened(root: Path, **options: Any) -> Any:
    return sk.dataset("cityscapes", root=str(root), **{"split": "val", **options})


def test_maps_of_instances(tmp_path: Path) -> None:
    """Cars, the group of cars as a crowd, the person; sky and road; the caravan and the ego vehicle are ignored."""
    data = opened(write(tmp_path, instances()))
    sample = data[0]
    scene = sample.scene
    assert (len(data.vocabulary.things), len(data.vocabulary.stuff)) == (8, 11)
    assert scene.names() == ["car", "person", "car", "car"]
    assert scene.objects.ids.tolist() == [26, 24000, 26000, 26001]
    assert scene.objects.crowd.tolist() == [True, False, False, False]
    assert scene.objects.boxes[1:].tolist() == [[56, 10, 60, 24], [2, 14, 10, 20], [12, 15, 20, 22]]
    assert scene[sk.MASKS].area.tolist() == scene.objects.area.tolist() == [50, 56, 48, 56]
    names = [*scene.vocabulary.labels, "ignored"]
    pixels = [(0, 0), (1, 1), (27, 0), (31, 0), (15, 4), (14, 31), (14, 46), (12, 57)]
    found = [names[int(scene[sk.SEMANTIC][pixel])] for pixel in pixels]
    assert found == ["ignored", "sky", "road", "ignored", "car", "car", "ignored", "person"]
    assert sample.supervision.keys == {sk.MASKS, sk.SEMANTIC, sk.PANOPTIC} and scene.camera is None
    assert sample.supervision.classes is None and sample.supervision.exhaustive == {sk.OBJECTS}
    assert checked(sample, strict=True) is sample


@pytest.mark.parametrize("train_ids", [False, True])
def test_panoptic_files_of_cityscapes_own_script(tmp_path: Path, train_ids: bool) -> None:
    """The data set `coco` opens them as they are, and has the segments that are read from the maps of instances."""
    path = write_panoptic(write(tmp_path, instances()))
    if train_ids:  # of createPanopticImgs.py --use-train-id: other ids of the categories, the same segments
        data = json.loads(path.read_text())
        place = {category["id"]: n for n, category in enumerate(data["categories"])}
        for entry in data["categories"]:
            entry["id"] = place[entry["id"]]
        for info in data["annotations"][0]["segments_info"]:
            info["category_id"] = place[info["category_id"]]
        path.write_text(json.dumps(data))
    images = str(tmp_path / "leftImg8bit" / "{split}")
    pattern = str(tmp_path / "gtFine" / "cityscapes_panoptic_{split}.json")
    theirs = sk.dataset("coco", annotations=pattern, images=images, split="val")[0].scene
    ours = opened(tmp_path)[0].scene
    assert theirs[sk.PANOPTIC].ids.tolist() == ours[sk.PANOPTIC].ids.tolist()

    def segments(scene: sk.Scene) -> list[tuple[Any, ...]]:
        names = scene.vocabulary.labels
        return [(s.id, names[s.label], s.is_thing, s.crowd) for s in scene[sk.PANOPTIC].segments]

    assert segments(theirs) == segments(ours)
    assert segments(ours)[2] == (26, "car", True, True) and len(segments(ours)) == 6
    assert [s.object for s in ours[sk.PANOPTIC].segments] == [None, None, 0, 1, 2, 3]


def test_boxes_of_vehicles(tmp_path: Path) -> None:
    """Worked by hand: 20 m in front of the camera, 7 m to the left; another one is not in the map."""
    sample = opened(write(tmp_path, instances(), boxes()))[0]
    scene = sample.scene
    assert scene.names() == ["car", "person", "car", "car", "truck", "train", *sorted(VEHICLES)]
    assert scene.rows_with(sk.BOXES3D).tolist() == [False, False, True, False, True, *[False] * 7]
    assert scene.rows_with(sk.MASKS).tolist() == [True] * 4 + [False] * 8
    assert scene.objects.ignore.tolist() == [False] * 5 + [True] * 7
    box = scene[sk.BOXES3D][torch.tensor([2, 4])]
    torch.testing.assert_close(box.center, torch.tensor([[-7, 0.25, 20], [5, 0.25, 30]]))
    torch.testing.assert_close(box.size[0], torch.tensor([2, 1.5, 4]))
    forward, down = box.rotation[0, :, 0], box.rotation[0, :, 1]
    torch.testing.assert_close(torch.stack((forward, down)), torch.tensor([[0.0, 0, 1], [0, 1, 0]]))
    assert scene.objects.boxes[4].tolist() == [40, 12, 46, 17]
    assert scene[sk.VISIBILITY][2] == 0.75 and scene[sk.TRUNCATION][2] == 0 and scene[sk.TRUNCATION][0].isnan()
    assert scene.camera is not None and scene.camera.matrix[0].tolist() == [60, 0, 32]
    assert checked(sample, strict=True) is sample


VEHICLES = ("bicycle", "bus", "car", "motorcycle", "train", "truck")

EXAMPLE: dict[str, Any] = {
    "sensor": {
        "sensor_T_ISO_8855": [
            [0.9990881051503779, -0.01948468779721943, -0.03799085532693703, -1.6501524664770573],
            [0.019498764210995674, 0.9998098810245096, 0.0, -0.1331288872611436],
            [0.03798363254444427, -0.0007407747301939942, 0.9992780868764849, -1.2836173638418473],
        ],
        **{"fx": 2262.52, "fy": 2265.3017905988554, "u0": 1096.98, "v0": 513.137, "baseline": 0.209313},
    },
    "objects": [
        {
            "2d": {"modal": [609, 420, 198, 111], "amodal": [602, 415, 214, 118]},
            "3d": {
                "center": [33.95, 5.05, 0.57],
                "dimensions": [4.3, 1.72, 1.53],
                "rotation": [0.9735839424380041, -0.010751769161021867, 0.0027191710555974913, 0.22805988817753894],
                "format": "CRS_ISO8855",
            },
            **{"occlusion": 0.0, "truncation": 0.0, "instanceId": 26010, "label": "car"},
        }
    ],
}
"""The annotation that cityscapesScripts' documentation converts; its amodal box is the one around the corners."""


def test_the_example_of_cityscapes_documentation(tmp_path: Path) -> None:
    root = write(tmp_path, np.full((1024, 2048), 7, dtype=np.int32), EXAMPLE)
    scene = opened(root, keys=["boxes3d"])[0].scene
    assert scene.names() == ["car"] and scene.objects.boxes.tolist() == [[609, 420, 807, 531]]
    assert scene.camera is not None and scene[sk.BOXES3D].size[0].tolist() == pytest.approx([1.72, 1.53, 4.3])
    projected = project_cuboids(scene[sk.BOXES3D].corners, scene.camera.matrix, scene.size)
    assert projected.boxes[0].int().tolist() == [602, 415, 602 + 214, 415 + 118]
    forward = scene[sk.BOXES3D].rotation[0, :, 0]
    assert forward[2] > 0.85 and forward[0] < -0.4, "it drives away, to the left: 26 degrees"


def test_boxes_without_maps(tmp_path: Path) -> None:
    """Persons are not annotated, and entries without a number are objects as well."""
    entry = vehicle(26000, [2, 14, 8, 6], [21.5, 7.0, 0.75])
    del entry["instanceId"], entry["2d"]["modal"]
    sample = opened(write(tmp_path, None, boxes(objects=[entry], ignore=[])))[0]
    assert sample.scene.names() == ["car"] and sample.supervision.classes == frozenset(VEHICLES)
    assert sample.supervision.keys == {sk.BOXES3D, sk.TRUNCATION, sk.VISIBILITY}


def test_what_else_an_image_may_have(tmp_path: Path) -> None:
    """Maps of classes alone, coarse annotations, a camera alone, and the test images, whose labels mean nothing."""
    write(tmp_path, instances(), split="test")
    write(tmp_path, instances(), split="train_extra", annotations="gtCoarse")
    write(tmp_path, instances())
    folder = tmp_path / "gtFine" / "val" / "aachen"
    full = opened(tmp_path)[0].scene[sk.SEMANTIC]
    (folder / f"{NAME}_gtFine_instanceIds.png").unlink()
    camera = tmp_path / "camera" / "val" / "aachen" / f"{NAME}_camera.json"
    camera.parent.mkdir(parents=True)
    camera.write_text(json.dumps({"intrinsic": {"fx": 60, "fy": 61, "u0": 30, "v0": 16}, "extrinsic": {}}))
    sample = opened(tmp_path)[0]
    assert sample.scene[sk.SEMANTIC].tolist() == full.tolist() and not sample.supervision.streams
    assert sample.scene.camera is not None and sample.scene.camera.matrix[1, 1] == 61
    coarse = opened(tmp_path, split="train_extra", annotations="coarse")[0]
    assert len(coarse.scene.objects) == 4 and not coarse.supervision.exhaustive
    test = opened(tmp_path, split="test")[0]
    assert not test.scene.values and not test.supervision.keys and not test.supervision.streams


def test_cities_are_sorted_and_it_survives_pickling(tmp_path: Path) -> None:
    for name in ("zurich_000001_000019", "aachen_000001_000019", NAME):
        write(tmp_path, instances(), name=name)
    data = pickle.loads(pickle.dumps(opened(tmp_path)))
    assert [Path(data[n].scene.path).name[:14] for n in range(3)] == [
        "aachen_000000_",
        "aachen_000001_",
        "zurich_000001_",
    ]
    assert [data[n].id for n in range(3)] == [0, 1, 2]


def test_license_plates_are_ignored(tmp_path: Path) -> None:
    """Id -1 of the list of classes: 65535 in a map of 16 bits."""
    ids = instances()
    ids[5, 5] = 65535
    assert opened(write(tmp_path, ids))[0].scene[sk.SEMANTIC][5, 5] == -1


def test_masks_of_a_map() -> None:
    """Against bitmaps: several runs in a column, instances at both ends of the map, one that does not occur."""
    ids = np.random.default_rng(0).integers(0, 4, (7, 5))
    masks = masks_in(ids, [3, 0, 9])
    expected = torch.stack([torch.from_numpy(ids == value) for value in (3, 0, 9)])
    assert bool((masks.dense == expected).all()) and len(masks_in(ids, [])) == 0


BAD_BOXES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "'dimensions' must be a length, width and height above 0": lambda entry: entry["3d"].update(dimensions=[4, 0, 1]),
    "'rotation' must be a quaternion, not 0 0 0 0": lambda entry: entry["3d"].update(rotation=[0, 0, 0, 0]),
    "'rotation' must be 4 numbers, not 3": lambda entry: entry["3d"].update(rotation=[1, 0, 0]),
    "expected the format 'CRS_ISO8855', got \"CRS_S\"": lambda entry: entry["3d"].update(format="CRS_S"),
    "has no '3d'": lambda entry: entry.pop("3d"),
    "'2d' must be an object, not [1, 2, 3, 4]": lambda entry: entry.update({"2d": [1, 2, 3, 4]}),
}


@pytest.mark.parametrize("message", BAD_BOXES)
def test_faulty_boxes(tmp_path: Path, message: str) -> None:
    data = boxes()
    BAD_BOXES[message](data["objects"][0])
    write(tmp_path, instances(), data)
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path)[0]
    assert opened(tmp_path, faulty="skip")[0].scene.rows_with(sk.BOXES3D).sum() == 1


BAD_FILES: dict[str, Callable[[Path], Any]] = {
    "has the number 77; expected the id of a class": lambda root: write(root, np.full(SIZE, 77)),
    "expected one whole number a pixel, [32, 64] (height, width); got [8, 8]": lambda root: save(
        root / "gtFine" / "val" / "aachen" / f"{NAME}_gtFine_instanceIds.png", np.zeros((8, 8), np.uint8)
    ),
    "expected an object with 'sensor'": lambda root: write(root, instances(), {"objects": []}),
    "'sensor_T_ISO_8855' must be 12 numbers, not 3": lambda root: write(
        root, instances(), {**boxes(), "sensor": {**boxes()["sensor"], "sensor_T_ISO_8855": [1, 2, 3]}}
    ),
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_damaged_files(tmp_path: Path, message: str) -> None:
    write(tmp_path, instances())
    BAD_FILES[message](tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        opened(tmp_path)[0]
    with pytest.raises(SkippedSampleError):
        opened(tmp_path, faulty="skip")[0]


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no images of the split 'val'; name the folder that has it with root="):
        opened(tmp_path)
    write(tmp_path, None)
    with pytest.raises(InputError, match="has neither gtFine/val nor gtBbox3d/val; unpack one of them"):
        opened(tmp_path)
    with pytest.raises(InputError, match="has no images of the split 'train'; it has val"):
        opened(tmp_path, split="train")
    write(tmp_path, instances(), name="zurich_000000_000019")
    with pytest.raises(InputError, match=rf"image {NAME} has no file of gtFine/val or gtBbox3d/val"):
        opened(tmp_path)
    assert len(opened(tmp_path, faulty="skip")) == 1
    with pytest.raises(InputError, match="Cityscapes has no labels 'depth'"):
        opened(tmp_path, keys=["depth"])
    Image.new("RGB", (8, 8)).save(tmp_path / "leftImg8bit" / "val" / "x.png")
    assert len(opened(tmp_path, faulty="skip")) == 1
