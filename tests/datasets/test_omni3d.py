"""Omni3D's JSON: boxes by hand, what is ignored and covered, the reference file, and other data sets through it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import scenekit as sk
from scenekit.cli.main import main
from scenekit.data.collate import collate
from scenekit.data.transforms import moved
from scenekit.io.images import read_image
from scenekit.metrics.omni3d.average_precision import Omni3DFilter
from scenekit.metrics.omni3d.files import is_ignored, score_omni3d_files
from scenekit.ops.boxes3d import project_cuboids
from scenekit.recipe import InputConfig
from scenekit.structures import Boxes3D
from scenekit.structures.geometry import Geometry
from scenekit_datasets.omni3d import write_omni3d
from scenekit_datasets.omni3d.frames import boxes_in_camera, boxes_on_floor, decomposed
from tests.datasets.spatial_files import (
    SIZE,
    annotation,
    image,
    intrinsics,
    omni3d,
    write_kitti,
)
from tests.datasets.spatial_files import (
    write_omni3d as written,
)

REFERENCE = Path(__file__).parent.parent / "reference" / "mesh3d" / "omni3d_eval_gt.json"


def opened(folder: Path, **options: Any) -> Any:
    return sk.dataset("omni3d", **{"root": str(folder), **options})


def with_annotations(folder: Path, *rows: dict[str, Any], **options: Any) -> sk.Scene:
    """The first image, with these annotations."""
    written(folder, {**omni3d(), "annotations": list(rows)})
    return opened(folder, **options)[0].scene


def test_a_box_by_hand(tmp_path: Path) -> None:
    written(tmp_path, omni3d())
    data = opened(tmp_path)
    scene = data[0].scene
    assert [sample.id for sample in data] == [1, 2] and data.vocabulary.things == ("car", "person")
    assert scene.names() == ["car", "person"] and scene.objects.ids.tolist() == [11, 12]
    expected = torch.tensor([0.5, 0.1, 8, 2, 1, 4, 0, 0, 0])
    torch.testing.assert_close(scene[sk.BOXES3D].parameters[0], expected)
    assert scene.camera is not None and torch.equal(scene.camera.matrix, torch.from_numpy(intrinsics()).float())
    assert scene[sk.TRUNCATION].tolist() == pytest.approx([0, 0.9])
    assert scene[sk.VISIBILITY][0].item() == pytest.approx(0.8) and scene[sk.VISIBILITY][1].isnan()
    assert scene.objects.ignore.tolist() == [False, True], "cut off too far"
    assert data.scene(1).objects.boxes.shape == (0, 4) and not data.issues(0)


@pytest.mark.parametrize(
    ("kind", "box"),
    [("tight", [30, 26, 70, 34]), ("trunc", [25, 25, 80, 35]), ("proj", [25, 25, 90, 35])],
)
def test_2d_boxes(tmp_path: Path, kind: str, box: list[float]) -> None:
    row = annotation(1, 1, 1, bbox2D_tight=[30, 26, 70, 34])
    assert with_annotations(tmp_path, row, boxes=kind).objects.boxes[0].tolist() == box


def test_a_box_that_is_not_there(tmp_path: Path) -> None:
    """-1 stands for it: the next kind is taken; without any the object has no place in the image."""
    kinds = ("bbox2D_tight", "bbox2D_trunc", "bbox2D_proj")
    nowhere, aside = ({kind: box for kind in kinds} for box in ([-1, -1, -1, -1], [80.0, 10, 95, 20]))
    rows = [annotation(1, 1, 1), annotation(2, 1, 1, **nowhere), annotation(3, 1, 1, **aside)]
    assert with_annotations(tmp_path, *rows, boxes="tight").objects.boxes.tolist() == [[25, 25, 80, 35]]


IGNORED = {
    "hidden": {"visibility": 0.2},
    "behind": {"behind_camera": True},
    "invalid": {"valid3D": False},
    "no lidar": {"lidar_pts": 0},
    "low": {"bbox2D_trunc": [25, 25, 80, 26]},
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignored_as_in_scoring(tmp_path: Path, name: str) -> None:
    row = annotation(1, 1, 1, **IGNORED[name])
    scene = with_annotations(tmp_path, row)
    assert scene.objects.ignore.tolist() == [True]
    assert is_ignored(row, row["bbox2D_trunc"], SIZE[0], Omni3DFilter())
    assert scene.rows_with(sk.BOXES3D).tolist() == [name not in ("behind", "invalid")]


def test_rules_of_what_is_ignored(tmp_path: Path) -> None:
    scene = with_annotations(tmp_path, annotation(1, 1, 1, visibility=0.2), visibility=0.1)
    assert scene.objects.ignore.tolist() == [False]
    assert opened(tmp_path, visibility=0.1, max_depth=7.0)[0].scene.objects.ignore.tolist() == [True]


def test_a_region_in_which_anything_may_be(tmp_path: Path) -> None:
    """It need not be a listed category; it is a crowd of each class."""
    scene = with_annotations(tmp_path, annotation(1, 1, 2), annotation(5, 1, -1, valid3D=False))
    assert scene.names() == ["person", "car", "person"] and scene.objects.crowd.tolist() == [False, True, True]
    assert scene.objects.ignore.tolist() == [False, True, True]


def test_categories(tmp_path: Path) -> None:
    written(tmp_path, omni3d())
    assert opened(tmp_path, categories=["person"])[0].scene.names() == ["person"]
    data = opened(tmp_path, categories={"car": "thing", "person": "thing"})
    assert data.vocabulary.things == ("thing",) and data[0].scene.objects.labels.tolist() == [0, 0]
    assert len(opened(tmp_path, drop_empty=True)) == 1


def test_files_cover_what_they_list(tmp_path: Path) -> None:
    written(tmp_path, omni3d(), "A_train")
    other = {
        "images": [image(9)],
        "categories": [{"id": 3, "name": "chair"}, {"id": 2, "name": "person"}],
        "annotations": [annotation(31, 9, 3)],
    }
    written(tmp_path, other, "B_train")
    data = opened(tmp_path)
    assert data.vocabulary.things == ("car", "person", "chair") and [sample.id for sample in data] == [1, 2, 9]
    assert data[0].supervision.classes == {"car", "person"} and data[2].supervision.classes == {"chair", "person"}
    assert data[0].supervision.exhaustive and not opened(tmp_path, exhaustive=False)[0].supervision.exhaustive
    named = str(tmp_path / "Omni3D" / "B_{split}.json")
    assert len(opened(tmp_path, annotations=named)) == 1


def test_in_a_mirror_and_in_a_batch(tmp_path: Path) -> None:
    turned = [[math.cos(0.4), 0, math.sin(0.4)], [0, 1, 0], [-math.sin(0.4), 0, math.cos(0.4)]]
    written(
        tmp_path, {**omni3d(), "annotations": [annotation(1, 1, 1, R_cam=turned), annotation(2, 1, 2, valid3D=False)]}
    )
    sample = opened(tmp_path)[0]
    flipped = moved(sample, Geometry.flip(SIZE))
    straight, mirrored = (
        project_cuboids(s.scene[sk.BOXES3D].corners[:1], s.scene.camera.matrix, SIZE).boxes for s in (sample, flipped)
    )
    torch.testing.assert_close(Geometry.flip(SIZE).boxes(straight), mirrored, atol=1e-3, rtol=0)
    _, targets = collate([sample, flipped], vocabulary=sample.scene.vocabulary, keys=[sk.BOXES3D], config=InputConfig())
    assert targets.valid[sk.BOXES3D].tolist() == [True, False] * 2
    assert targets.streams[sk.OBJECTS].crowd.tolist() == [False, True] * 2


def test_reference_file(tmp_path: Path) -> None:
    """Corners are those of the file; ignored is what the authors' rules ignore."""
    truth = json.loads(REFERENCE.read_text())
    for entry in truth["images"]:
        path = tmp_path / entry["file_path"]
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (entry["width"], entry["height"])).save(path)
    data = opened(tmp_path, annotations=str(REFERENCE))
    known = {entry["id"]: entry for entry in truth["annotations"]}
    heights = {entry["id"]: entry["height"] for entry in truth["images"]}
    seen = 0
    for index in range(len(data)):
        scene = data.scene(index)
        for row, id in enumerate(scene.objects.ids.tolist()):
            entry = known[id]
            seen += 1
            assert bool(scene.objects.ignore[row]) == is_ignored(
                entry, entry["bbox2D_trunc"], heights[entry["image_id"]], Omni3DFilter()
            )
            if scene.rows_with(sk.BOXES3D)[row]:
                corners = scene[sk.BOXES3D].corners[row].numpy()
                np.testing.assert_allclose(corners, np.array(entry["bbox3D_cam"]), atol=1e-4)
    assert seen == len(known) - sum(entry["behind_camera"] for entry in known.values())


# Written and read again


def test_written_and_read_again(tmp_path: Path) -> None:
    written(tmp_path, omni3d())
    first = opened(tmp_path)
    path = write_omni3d(first, tmp_path / "out")
    again = sk.dataset("omni3d", annotations=str(path), boxes="tight")
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.image, other.image) and one.scene.names() == other.scene.names()
        torch.testing.assert_close(one.scene.objects.boxes, other.scene.objects.boxes)
        assert one.scene.objects.ignore.tolist() == other.scene.objects.ignore.tolist()
    box, same = (data[0].scene[sk.BOXES3D].parameters[0] for data in (first, again))
    torch.testing.assert_close(box, same)


def test_kitti_can_be_scored_as_omni3d(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is exported is ground truth for `scenekit score omni3d`; its own boxes as predictions are perfect."""
    car = "Car 0 0 0 24 29 46 42 1.5 1.6 4 -1 1.7 8 0.3"
    write_kitti(tmp_path, {"000003": [car, "DontCare -1 -1 -10 70 5 78 9 -1 -1 -1 -1000 -1000 -1000 -10"]})
    with pytest.raises(SystemExit) as status:
        arguments = ["export-data", "kitti", "--set", f"root={tmp_path}", "--style", "omni3d", "--out", "new", "--json"]
        main([*arguments[:-2], str(tmp_path / "new"), "--json"])
    assert not status.value.code
    path = Path(json.loads(capsys.readouterr().out)["annotations"])
    truth = json.loads(path.read_text())
    assert [row["category_name"] for row in truth["annotations"]] == ["Car", "dontcare"], "once for all classes"
    row = truth["annotations"][0]
    x0, y0, x1, y1 = row["bbox2D_trunc"]
    found = {"image_id": 3, "category_id": 1, "score": 0.9, "depth": row["center_cam"][2], "bbox3D": row["bbox3D_cam"]}
    prediction = tmp_path / "found.json"
    prediction.write_text(json.dumps([{**found, "bbox": [x0, y0, x1 - x0, y1 - y0]}]))
    assert score_omni3d_files(path, prediction)["3D"]["AP"] == pytest.approx(1.0)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    written(tmp_path, omni3d())
    sample = opened(tmp_path)[0]
    blind = sk.Sample(sample.image, sk.Scene(SIZE, sample.scene.vocabulary), sk.Supervision(), 1)
    for samples, message in {
        (): "expected at least one",
        (sample, sample): "two samples have the id 1",
        (blind,): "sample 1 has no known camera",
    }.items():
        with pytest.raises(sk.InputError, match=message):
            write_omni3d(samples, tmp_path / "out")


# Other data sets' ways


def test_a_matrix_comes_apart() -> None:
    K = torch.tensor([[500.0, 0, 320], [0, 480, 240], [0, 0, 1]])
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    found = decomposed(2.0 * K @ turn)
    torch.testing.assert_close(found[0], K, atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], turn, atol=1e-6, rtol=0)


def test_a_world_that_stands_on_the_floor() -> None:
    """A box 3 m ahead and 1 m below, twice as long as wide, turned by 90 degrees: it looks away from the camera."""
    matrix = torch.tensor([[500.0, 0, 320], [0, 480, 240], [0, 0, 1]]) @ torch.tensor(
        [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]
    )
    boxes, camera = boxes_on_floor(torch.tensor([[0.5, 3, -1, 2.0, 1.0, 0.7, math.pi / 2]]), matrix)
    expected = torch.tensor([[0.5, 1, 3, 1.0, 0.7, 2.0, 0, 0, -math.pi / 2]])
    torch.testing.assert_close(boxes.parameters, expected, atol=1e-5, rtol=0)
    assert camera.project(boxes.center)[0].tolist() == pytest.approx([320 + 500 / 6, 240 + 480 / 3], abs=1e-2)
    assert bool(boxes.valid.all())


def fitted(folder: Path, sample: sk.Sample) -> torch.Tensor:
    """IoU of the projected 3D boxes with the 2D boxes, after the sample was written and read."""
    path = write_omni3d([sample], folder)
    scene = sk.dataset("omni3d", annotations=str(path), boxes="tight")[0].scene
    height, width = scene.size
    seen = project_cuboids(scene[sk.BOXES3D].corners, scene.camera.matrix, scene.size).boxes
    seen = seen.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    return box_iou(seen, scene.objects.boxes).diagonal()


def sample_of(path: Path, flat: Any, boxes: Boxes3D, camera: sk.Camera) -> sk.Sample:
    pixels = read_image(path)
    objects = sk.Objects(torch.tensor(flat, dtype=torch.float32), torch.zeros(len(boxes), dtype=torch.int64))
    size = (pixels.shape[1], pixels.shape[2])
    scene = sk.Scene(size, sk.Vocabulary(("thing",)), {sk.OBJECTS: objects}, {sk.BOXES3D: boxes}, camera=camera)
    return sk.Sample(pixels, scene, sk.Supervision(frozenset({sk.BOXES3D})), 1)


@pytest.mark.parametrize(("camera", "iou"), [("CAM_FRONT", 0.94), ("CAM_FRONT_RIGHT", 0.98), ("CAM_BACK", 0.96)])
def test_nuscenes(samples: Path, tmp_path: Path, camera: str, iou: float) -> None:
    folder = samples / "boxes3d" / "nuscenes_NC"
    info = json.loads((folder / "infos.json").read_text())["data_list"][0]
    rows, view = info["cam_instances"][camera], info["images"][camera]
    boxes = boxes_in_camera(torch.tensor([row["bbox_3d"] for row in rows]))
    flat = [row["bbox"] for row in rows]
    sample = sample_of(folder / view["img_path"], flat, boxes, sk.Camera(torch.tensor(view["cam2img"])))
    assert float(fitted(tmp_path, sample).mean()) == pytest.approx(iou, abs=0.006)


def test_kitti_in_the_style_of_coco(samples: Path, tmp_path: Path) -> None:
    """Its boxes are shifted by P2's last column already: K alone projects them."""
    folder = samples / "boxes3d" / "kitti_NC"
    info = json.loads((folder / "000007_mono3d.coco.json").read_text())
    rows = info["annotations"]
    boxes = boxes_in_camera(torch.tensor([row["bbox_cam3d"] for row in rows]))
    flat = [[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)]
    camera = sk.Camera(torch.tensor(info["images"][0]["cam_intrinsic"])[:3, :3])
    found = fitted(tmp_path, sample_of(folder / "image_2" / "000007.png", flat, boxes, camera))
    assert len(found) == 4 and float(found.min()) > 0.995


def test_sun_rgbd(samples: Path, tmp_path: Path) -> None:
    folder = samples / "boxes3d" / "sunrgbd"
    info = json.loads((folder / "sunrgbd_000017_infos.json").read_text())["data_list"][0]
    view, rows = info["images"]["CAM0"], info["instances"]
    boxes, camera = boxes_on_floor(torch.tensor([row["bbox_3d"] for row in rows]), torch.tensor(view["depth2img"]))
    sample = sample_of(folder / view["img_path"], [row["bbox"] for row in rows], boxes, camera)
    assert fitted(tmp_path, sample).tolist() == pytest.approx([0.854, 0.928], abs=2e-3)


def test_linemod(samples: Path, tmp_path: Path) -> None:
    """A pose with roll and pitch, centimetres in size: the cuboid encloses the mask."""
    folder = samples / "boxes3d" / "linemod_cat"
    info = json.loads((folder / "cat.json").read_text())
    corners, pose = torch.tensor(info["corners_object_m"]), torch.tensor(info["pose_3x4_object_to_camera_m"])
    low, high = corners.amin(dim=0), corners.amax(dim=0)
    axes = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # our x, y, z in the model's frame, whose z is up
    length, width, height = (high - low).tolist()
    center = pose[:, :3] @ ((low + high) / 2) + pose[:, 3]
    boxes = Boxes3D(center[None], torch.tensor([[width, height, length]]), (pose[:, :3] @ axes)[None])
    mask = np.array(Image.open(folder / "cat_mask.png").convert("L")) > 0
    rows, columns = mask.nonzero()
    flat = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]
    sample = sample_of(folder / "cat.jpg", flat, boxes, sk.Camera(torch.tensor(info["K"])))
    path = write_omni3d([sample], tmp_path)
    scene = sk.dataset("omni3d", annotations=str(path), boxes="tight")[0].scene
    seen = project_cuboids(scene[sk.BOXES3D].corners, scene.camera.matrix, scene.size).boxes[0]
    box = scene.objects.boxes[0]
    assert bool((seen[:2] < box[:2]).all() and (seen[2:] > box[2:]).all())
    theirs = sk.Camera(torch.tensor(info["K"])).project(corners @ pose[:, :3].T + pose[:, 3])
    torch.testing.assert_close(seen[:2], theirs.amin(dim=0), atol=0.05, rtol=0)


def test_depth_images_of_sun_rgbd(tmp_path: Path) -> None:
    """16 bits: the lowest three of a number of millimetres are the highest of the file."""
    content = omni3d()
    content["images"][0]["file_path"] = "SUNRGBD/kv1/a/image/a.jpg"
    written(tmp_path, content)
    folder = tmp_path / "SUNRGBD" / "kv1" / "a"
    (folder / "image").mkdir(parents=True, exist_ok=True)
    (folder / "depth").mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(folder / "image" / "a.jpg")
    millimetres = np.full(SIZE, 2003, dtype=np.uint16)
    millimetres[0, :3] = 0, 7999, 9000
    Image.fromarray((millimetres << 3) | (millimetres >> 13)).save(folder / "depth" / "b.png")
    assert sk.DEPTH not in opened(tmp_path)[0].scene
    sample = opened(tmp_path, keys=["boxes3d", "depth"])[0]
    depth = sample.scene[sk.DEPTH]
    assert depth[0, 1] == pytest.approx(7.999) and depth[0, [0, 2]].isnan().all()
    assert torch.equal(depth[1:], torch.full_like(depth[1:], 2.003)) and sk.DEPTH in sample.supervision.keys
    Image.fromarray(millimetres[:2]).save(folder / "depth" / "b.png")
    with pytest.raises(sk.InputError, match="omit depth with keys="):
        opened(tmp_path, keys=["depth"], faulty="refuse")
