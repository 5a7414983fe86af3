"""The data set `coco`: real samples against pycocotools, every field of the recommended JSON, partial labels."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

import scenekit as sk
from scenekit.data.flips import can_be_flipped
from scenekit.data.scenes import scene_of
from scenekit_datasets.coco.labels import rotation_of
from scenekit_datasets.json_index import CHUNK, entries

SIZE = (60, 80)
"""Height and width of the images below."""

CATEGORIES: list[dict[str, Any]] = [
    {"id": 7, "name": "person", "keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]], "sigmas": [0.1, 0.1]},
    {"id": 3, "name": "dog"},
    {"id": 90, "name": "grass", "isthing": 0},
]


def annotation(id: int, image: int = 1, category: int = 3, **fields: Any) -> dict[str, Any]:
    return {"id": id, "image_id": image, "category_id": category, "bbox": [10, 20, 30, 10], "iscrowd": 0, **fields}


def document(*annotations: dict[str, Any], image: dict[str, Any] | None = None, **header: Any) -> dict[str, Any]:
    """Two images, the first one with `annotations` unless they say otherwise."""
    images = [{"id": n, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for n in (1, 2)]
    images[0].update(image or {})
    return {"images": images, "annotations": list(annotations), "categories": CATEGORIES, **header}


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """Writes a document and its images, and opens it."""

    def opened(data: dict[str, Any] | bytes, **options: Any) -> Any:
        for n in (1, 2):
            Image.fromarray(np.full((*SIZE, 3), 40 * n, np.uint8)).save(tmp_path / f"{n}.png")
        (tmp_path / "a.json").write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return sk.dataset("coco", annotations=str(tmp_path / "a.json"), **options)

    return opened


def test_boxes_labels_and_flags(opened: Any) -> None:
    data = opened(document(annotation(5, category=7, area=99.5), annotation(4, iscrowd=1, ignore=1)))
    assert data.vocabulary.things == ("person", "dog") and data.vocabulary.stuff == ("grass",)
    first, second = data[0], data[1]
    assert (first.id, second.id, len(second.scene.objects)) == (1, 2, 0)
    objects = first.scene.objects
    assert objects.boxes.tolist() == [[10, 20, 40, 30]] * 2
    assert (objects.labels.tolist(), objects.ids.tolist(), objects.area.tolist()) == ([0, 1], [5, 4], [99.5, 300])
    assert (objects.crowd.tolist(), objects.ignore.tolist()) == ([False, True], [False, True])
    assert first.image.shape == (3, *SIZE) and int(first.image[0, 0, 0]) == 40
    assert first.supervision == sk.Supervision() == second.supervision


def test_masks(opened: Any) -> None:
    """A polygon, run lengths as a list and compressed, and none."""
    square = [10, 20, 40, 20, 40, 30, 10, 30]
    counts = [10 * 60 + 20, 10, 50, 10, 79 * 60 + 30 - 11 * 60 - 20 - 10 + 0]
    counts[-1] = SIZE[0] * SIZE[1] - sum(counts[:-1])
    packed = coco_mask.encode(np.asfortranarray(np.pad(np.ones((2, 3), np.uint8), ((0, 58), (0, 77)))))
    packed = {"size": list(SIZE), "counts": packed["counts"].decode()}
    rows = [[square], {"size": list(SIZE), "counts": counts}, packed, None]
    sample = opened(document(*(annotation(n, segmentation=s) for n, s in enumerate(rows, 1))))[0]
    masks = sample.scene[sk.MASKS]
    assert masks.area.tolist() == [300, 20, 6, 0]
    assert masks.boxes.tolist()[:3] == [[10, 20, 40, 30], [10, 20, 12, 30], [0, 0, 3, 2]]
    assert sample.scene.rows_with(sk.MASKS).tolist() == [True, True, True, False]
    assert sample.supervision.keys == {sk.MASKS}


def test_keypoints(opened: Any) -> None:
    rows = (
        annotation(1, category=7, keypoints=[1.5, 2, 2, 3, 4, 1], num_keypoints=2),
        annotation(2, category=7, keypoints=[0] * 6, num_keypoints=0),
        annotation(3),
    )
    data = opened(document(*rows))
    skeleton = data.vocabulary.skeleton
    assert skeleton.mirror == (("left_eye", "right_eye"),) and skeleton.edges == (("left_eye", "right_eye"),)
    scene = data[0].scene
    assert scene[sk.KEYPOINTS].xy[0].tolist() == [[1.5, 2], [3, 4]]
    assert scene[sk.KEYPOINTS].visibility.tolist() == [[2, 1], [0, 0], [0, 0]]
    assert scene.rows_with(sk.KEYPOINTS).tolist() == [True, False, False]


def test_points_count_where_their_number_contradicts_them(opened: Any, caplog: pytest.LogCaptureFixture) -> None:
    rows = [annotation(n, category=7, keypoints=[1.5, 2, 2, 3, 4, 1], num_keypoints=0) for n in (1, 2)]
    scene = opened(document(*rows))[0].scene
    assert scene.rows_with(sk.KEYPOINTS).tolist() == [True, True]
    assert scene[sk.KEYPOINTS].visibility.tolist() == [[2, 1]] * 2
    (message,) = caplog.messages
    assert "'num_keypoints' is 0 where 'keypoints' has labelled points" in message


def test_attributes_and_captions(opened: Any) -> None:
    rows = (
        annotation(1, attributes=["red"], captions=["a dog", "it sits"]),
        annotation(2, attributes={"big": 1, "red": 0}, caption="a dog"),
        annotation(3, attributes=[]),
        annotation(4),
    )
    data = opened(document(*rows, attributes=["red", "big", "wet"]))
    scene = data[0].scene
    nan = float("nan")
    expected = torch.tensor([[1, 0, 0], [0, 1, nan], [0, 0, 0], [nan] * 3])
    torch.testing.assert_close(scene[sk.ATTRIBUTES], expected, equal_nan=True)
    assert scene.rows_with(sk.ATTRIBUTES).tolist() == [True, True, True, False]
    assert scene[sk.CAPTIONS].texts == (("a dog", "it sits"), ("a dog",), (), ())
    assert scene.rows_with(sk.CAPTIONS).tolist() == [True, True, False, False]


def test_names_that_nobody_lists_are_those_that_occur(opened: Any) -> None:
    relations = [{"subject_id": 1, "object_id": 2, "predicate": p} for p in ("right of", "on", "left of")]
    data = opened(document(annotation(1, attributes=["wet"]), annotation(2), image={"relations": relations}))
    assert data.vocabulary.attributes == ("wet",) and data.vocabulary.predicates == ("right of", "on", "left of")
    assert data.vocabulary.flipped("predicates").order == (2, 1, 0)


def test_boxes_in_space(opened: Any) -> None:
    turned = {"center": [1, 2, 9], "size": [1, 2, 3], "rotation": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]}
    numbers = [1, 2, 9, 1, 2, 3, 0.1, -0.2, 2.5]
    scene = opened(document(annotation(1, **turned), annotation(2, bbox_3d=numbers), annotation(3)))[0].scene
    boxes = scene[sk.BOXES3D]
    assert scene.rows_with(sk.BOXES3D).tolist() == [True, True, False]
    torch.testing.assert_close(boxes.parameters[1], torch.tensor(numbers))
    torch.testing.assert_close(boxes.parameters[0, 6:], torch.tensor([0, 0, torch.pi / 2]))


def test_rotation_is_taken_apart_as_it_was_put_together() -> None:
    for angles in torch.tensor([[0.3, -0.5, 1.2], [-2.0, 1.0, -3.0], [0.0, 0.0, 0.0]]):
        box = sk.Boxes3D(torch.zeros(1, 3), torch.ones(1, 3), rotation_of(*angles.tolist())[None])
        torch.testing.assert_close(box.roll_pitch_yaw[0], angles)


@pytest.mark.parametrize("camera", [[[50, 0, 40], [0, 51, 30], [0, 0, 1]], [50, 51, 40, 30]])
def test_camera(opened: Any, camera: Any) -> None:
    scene = opened(document(image={"camera": camera}))[0].scene
    assert scene.camera is not None and not scene.camera.assumed
    assert scene.camera.matrix.tolist() == [[50, 0, 40], [0, 51, 30], [0, 0, 1]]


@pytest.mark.parametrize("camera", [[[1.2, 0, 0.5], [0, 1.6, 0.5], [0, 0, 1]], [1.2, 1.6, 0.5, 0.5]])
def test_a_camera_relative_to_the_image(opened: Any, camera: Any) -> None:
    with pytest.raises(sk.InputError, match=r"image id 1: 'camera': .* are relative to the size of the image"):
        opened(document(image={"camera": camera}))[0]


def test_relations_and_phrases(opened: Any) -> None:
    image = {
        "relations": [{"subject_id": 12, "object_id": 11, "predicate": "on"}],
        "phrases": [{"bbox": [0, 0, 8, 9], "caption": "sky"}],
    }
    data = opened(document(annotation(11), annotation(12), image=image, predicates=["under", "on"]))
    first, second = data[0], data[1]
    relations = first.scene[sk.RELATIONS]
    assert (relations.subject.item(), relations.object.item(), relations.predicate.item()) == (1, 0, 1)
    assert first.scene.regions(sk.PHRASES).boxes.tolist() == [[0, 0, 8, 9]]
    assert first.scene[sk.PHRASE_CAPTIONS].texts == (("sky",),)
    assert first.supervision.keys == {sk.RELATIONS, sk.PHRASE_CAPTIONS}
    assert first.supervision.streams == first.supervision.exhaustive == {sk.OBJECTS, sk.PHRASES}
    assert second.supervision.keys == set() and second.supervision.streams == {sk.OBJECTS}


def test_labels_without_the_image(opened: Any, tmp_path: Path) -> None:
    data = opened(document(annotation(5), image={"phrases": [{"bbox": [1, 2, 3, 4], "captions": ["a dog"]}]}))
    with_image = data[0].scene
    (tmp_path / "1.png").unlink()
    assert scene_of(data, 0).to_json() == with_image.to_json()


def test_label_maps_and_depth(opened: Any, tmp_path: Path) -> None:
    ids = np.full(SIZE, 90, np.uint8)
    ids[0, :4] = [0, 255, 7, 3]
    Image.fromarray(ids).save(tmp_path / "labels.png")
    millimetres = np.full(SIZE, 1500, np.uint16)
    millimetres[0, 0] = 0
    Image.fromarray(millimetres).save(tmp_path / "depth.png")
    scene = opened(document(image={"semantic": "labels.png", "depth": "depth.png"}))[0].scene
    assert scene[sk.SEMANTIC][0, :5].tolist() == [-1, -1, 0, 1, 2]
    assert scene[sk.DEPTH][0, 0].isnan() and scene[sk.DEPTH][0, 1].item() == pytest.approx(1.5)


def test_label_maps_in_a_folder(opened: Any, tmp_path: Path) -> None:
    """As COCO's stuffthingmaps: id - 1, 255 unlabelled."""
    (tmp_path / "maps").mkdir()
    for n in (1, 2):
        Image.fromarray(np.array([[6, 2, 89, 255]] * 60, np.uint8).repeat(20, 1)).save(tmp_path / "maps" / f"{n}.png")
    data = opened(document(), semantic=str(tmp_path / "maps"), semantic_offset=1)
    assert data[1].scene[sk.SEMANTIC][0, ::20].tolist() == [0, 1, 2, -1]


def test_annotations_of_stuff_paint_the_map(opened: Any) -> None:
    grass = annotation(1, category=90, segmentation=[[0, 0, 80, 0, 80, 60, 0, 60]])
    dog = annotation(2, segmentation=[[10, 20, 40, 20, 40, 30, 10, 30]])
    data = opened(document(dog, grass))
    scene = data[0].scene
    assert len(scene.objects) == 1 and scene.objects.ids.tolist() == [2]
    assert scene[sk.SEMANTIC][25, 5] == 2 and scene[sk.SEMANTIC][25, 15] == 1
    assert sk.SEMANTIC not in data[1].scene


def test_panoptic_segments_of_objects(opened: Any, tmp_path: Path) -> None:
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[:, :40] = [1, 1, 0]  # 257
    rgb[:, 50:] = [2, 0, 0]
    Image.fromarray(rgb).save(tmp_path / "map.png")
    segments = [{"id": 257, "category_id": 3, "annotation_id": 9}, {"id": 2, "category_id": 90}]
    panoptic = {"file_name": "map.png", "segments_info": segments}
    scene = opened(document(annotation(8), annotation(9), image={"panoptic": panoptic}))[0].scene
    assert [(s.id, s.label, s.is_thing, s.object) for s in scene[sk.PANOPTIC].segments] == [
        (257, 1, True, 1),
        (2, 2, False, None),
    ]
    assert scene[sk.SEMANTIC][0, ::20].tolist() == [1, 1, -1, 2]


def test_segments_that_contradict_their_map(opened: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Boxes and areas are those of the pixels; the warning comes once for the file."""
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[20:30, 10:40] = [5, 0, 0]
    (tmp_path / "a").mkdir()
    Image.fromarray(rgb).save(tmp_path / "a" / "1.png")
    Image.fromarray(rgb).save(tmp_path / "a" / "2.png")
    segment = {"id": 5, "category_id": 3, "iscrowd": 0}

    def objects(**fields: Any) -> list[sk.Objects]:
        rows = [{"image_id": n, "file_name": f"{n}.png", "segments_info": [{**segment, **fields}]} for n in (1, 2)]
        data = opened(document(*rows))
        return [data[n].scene.objects for n in range(2)]

    for right in objects(bbox=[10, 20, 30, 10], area=300):
        assert right.boxes.tolist() == [[10, 20, 40, 30]] and right.area.tolist() == [300]
    assert not caplog.messages
    for fixed in (*objects(bbox=[0, 0, 80, 60], area=4800), *objects(bbox=[10, 20, 30, 10], area=299)):
        assert fixed.boxes.tolist() == [[10, 20, 40, 30]] and fixed.area.tolist() == [300]
    (message,) = caplog.messages
    assert "a.json: 'area' or 'bbox' of segments contradict their maps" in message


def test_partial_labels(opened: Any) -> None:
    """The file's claims hold for every image that makes none itself."""
    mask = {"segmentation": [[0, 0, 5, 0, 5, 5]]}
    rows = annotation(1, **mask, caption="x"), annotation(2, image=2, **mask)
    image = {"classes": ["dog", "person"], "exhaustive": True, "supervises": ["objects", "captions"]}
    data = opened(document(*rows, image=image, classes=["dog"], exhaustive=False))
    first, second = data[0].supervision, data[1].supervision
    assert first.keys == {sk.CAPTIONS} and first.classes is None and first.exhaustive == {sk.OBJECTS}
    assert second.keys == {sk.MASKS, sk.CAPTIONS} and second.classes == {"dog"} and second.exhaustive == set()


@pytest.mark.parametrize(
    ("fields", "header", "mirrorable"),
    [
        ({"caption": "a dog"}, {}, True),
        ({"caption": "to the Left of it"}, {}, False),
        ({"caption": "leftover"}, {}, True),
        ({"caption": "to the left of it"}, {"mirror_words": [["left", "right"]]}, True),
        ({"attributes": ["looks right"]}, {}, False),
        ({}, {"mirrorable": False}, False),
    ],
)
def test_words_that_a_mirror_would_belie(opened: Any, fields: Any, header: Any, mirrorable: bool) -> None:
    assert can_be_flipped(opened(document(annotation(1, **fields), **header))[0]) is mirrorable


@pytest.mark.parametrize(("predicates", "mirrorable"), [(["left of"], False), (["left of", "right of"], True)])
def test_predicates_without_a_partner_are_not_mirrored(opened: Any, predicates: Any, mirrorable: bool) -> None:
    image = {"relations": [{"subject_id": 1, "object_id": 2, "predicate": "left of"}]}
    data = opened(document(annotation(1), annotation(2), image=image, predicates=predicates))
    assert can_be_flipped(data[0]) is mirrorable


def test_several_files_are_joined(opened: Any, tmp_path: Path) -> None:
    """By the ids of images and annotations, classes by name; what only the second file knows is added."""
    opened(document(annotation(1, category=7), annotation(2)))
    other = document(annotation(1, category=1, keypoints=[1, 2, 2, 3, 4, 2]))
    other["categories"] = [{**CATEGORIES[0], "id": 1}]
    other["images"] = other["images"][:1]
    (tmp_path / "b.json").write_text(json.dumps(other))
    data = sk.dataset("coco", annotations=[str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    first, second = data[0], data[1]
    assert first.scene.rows_with(sk.KEYPOINTS).tolist() == [True, False]
    assert first.supervision.keys == {sk.KEYPOINTS} and first.supervision.classes is None
    assert second.supervision.keys == set() and len(data) == 2


def test_options(opened: Any) -> None:
    data = document(annotation(1, image=2, segmentation=[[0, 0, 5, 0, 5, 5]], caption="x"))
    assert [sample.id for sample in (opened(data, drop_empty=True)[0],)] == [2]
    assert set(opened(data, keys=["captions"])[1].scene.values) == {sk.CAPTIONS}
    with pytest.raises(sk.InputError, match="no labels 'mask'; did you mean 'masks'"):
        opened(data, keys=["mask"])


def test_worker_processes_can_receive_it(opened: Any) -> None:
    data = opened(document(annotation(1, category=7)))
    assert pickle.loads(pickle.dumps(data))[0].scene.names() == ["person"]


def test_official_layout(tmp_path: Path) -> None:
    """Folders and names as COCO has them."""
    for folder in ("annotations", "val2017"):
        (tmp_path / folder).mkdir()
    for n in (1, 2):
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "val2017" / f"{n}.png")
    things = {**document(annotation(1, category=7)), "categories": CATEGORIES[:2]}
    stuff = document(annotation(1000, category=90, segmentation=[[0, 0, 80, 0, 80, 60, 0, 60]]))
    stuff["categories"] = [{"id": 90, "name": "grass"}]
    for part, content in {"instances": things, "stuff": stuff}.items():
        (tmp_path / "annotations" / f"{part}_val2017.json").write_text(json.dumps(content))
    data = sk.dataset("coco", split="val", root=str(tmp_path), parts=["instances", "stuff"])
    assert data.vocabulary.stuff == ("grass",) and data[0].scene.names() == ["person"]
    assert data[0].scene[sk.SEMANTIC].unique().tolist() == [2]
    with pytest.raises(sk.InputError, match=r"no such file: .*instances_train2017.json"):
        sk.dataset("coco", split="train", root=str(tmp_path))


def test_images_without_annotations_supervise_nothing(opened: Any) -> None:
    """As in COCO's image_info files of the test split."""
    data = document()
    del data["annotations"]
    supervision = opened(data)[0].supervision
    assert supervision.streams == supervision.exhaustive == supervision.keys == set()


def test_entries_across_the_borders_of_what_is_read_at_a_time(tmp_path: Path) -> None:
    """Text of more than one byte a character, values cut by a border, and the places of all of them."""
    values: list[Any] = [{"id": n, "name": "é" * (CHUNK // 3)} for n in range(5)] + [
        12345,
        "ü",
        [1, {"a": None}],
        -1.5e3,
    ]
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"a": values, "b": 17, "c": [], "d": {"x": [1]}}, ensure_ascii=False), encoding="utf-8")
    content = path.read_bytes()
    found = list(entries(path))
    assert [entry.value for entry in found if entry.field == "a" and entry.number is not None] == values
    assert [entry.value for entry in found if entry.field != "a"] == [17, [], {"x": [1]}]
    assert all(json.loads(content[e.start : e.end]) == e.value for e in found if e.end > e.start)


@pytest.fixture
def keypoint_file(samples: Path) -> Path:
    return samples / "coco_keypoints" / "test_coco.json"


def test_real_annotations_against_pycocotools(keypoint_file: Path) -> None:
    reference = COCO(str(keypoint_file))
    data = sk.dataset("coco", annotations=str(keypoint_file))
    assert len(data) == 4 and data.vocabulary.things == ("person",)
    for index in range(len(data)):
        sample = data[index]
        expected = reference.loadAnns(reference.getAnnIds(imgIds=sample.id))
        scene = sample.scene
        assert scene.objects.ids.tolist() == [row["id"] for row in expected]
        rles = [reference.annToRLE(row) for row in expected]
        assert scene[sk.MASKS].area.tolist() == [float(coco_mask.area(rle)) for rle in rles]
        assert np.array_equal(scene[sk.MASKS].dense.numpy(), np.stack([coco_mask.decode(rle) for rle in rles]))
        xywh = torch.tensor([row["bbox"] for row in expected])
        torch.testing.assert_close(scene.objects.boxes, torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1))
        points = torch.tensor([row["keypoints"] for row in expected]).reshape(-1, 17, 3).float()
        assert torch.equal(scene[sk.KEYPOINTS].xy, points[..., :2])
        assert scene.rows_with(sk.KEYPOINTS).tolist() == [row["num_keypoints"] > 0 for row in expected]
    assert data.vocabulary.skeleton.sigmas[0] == pytest.approx(0.026)


def test_real_panoptic_annotations(samples: Path) -> None:
    """Segments alone, and the same things as instances in another file."""
    folder = samples / "coco_panoptic_NC"
    maps = {"images": str(folder / "input_images"), "keys": ["masks", "semantic", "panoptic"]}
    segments = sk.dataset("coco", annotations=str(folder / "panoptic_examples.json"), **maps)
    files = [str(folder / name) for name in ("panoptic_coco_detection_format.json", "panoptic_examples.json")]
    joined = sk.dataset("coco", annotations=files, **maps)
    assert len(segments.vocabulary.things) == 80 and len(segments.vocabulary.stuff) == 53
    assert set(joined.vocabulary.things) == set(segments.vocabulary.things)
    for index, things in enumerate((15, 28)):
        scene = segments[index].scene
        assert len(scene.objects) == things and scene[sk.PANOPTIC].segments
        assert torch.equal(scene[sk.MASKS].area, scene.objects.area)
        assert torch.equal(scene[sk.MASKS].boxes, scene.objects.boxes)
        assert torch.equal(scene[sk.SEMANTIC] < 0, scene[sk.PANOPTIC].ids == 0)
        instances = joined[index].scene
        assert len(instances.objects) == things
        assert sorted(instances[sk.MASKS].area.tolist()) == sorted(scene[sk.MASKS].area.tolist())
        assert torch.equal(instances[sk.PANOPTIC].ids, scene[sk.PANOPTIC].ids)
