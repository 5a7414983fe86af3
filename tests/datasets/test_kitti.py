"""KITTI's folders: boxes by hand, on the official samples, scans as depth, and what is learned of which object."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import scenekit as sk
from scenekit.data.collate import collate
from scenekit.data.transforms import moved
from scenekit.metrics.kitti.average_precision import LOOK_ALIKE
from scenekit.metrics.kitti.files import read_objects, score_kitti_files
from scenekit.ops.boxes3d import project_cuboids
from scenekit.recipe import InputConfig
from scenekit.structures.geometry import Geometry
from scenekit_plugins.boxes3d.kitti import KittiEvaluator
from tests.datasets.spatial_files import (
    CAR,
    CENTER,
    ELSEWHERE,
    FOCAL,
    SHIFT,
    SIZE,
    VAN,
    WALKER,
    calibration,
    write_kitti,
    write_scan,
)


def opened(root: Path, **options: Any) -> Any:
    return sk.dataset("kitti", **{"root": str(root), **options})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write_kitti(tmp_path, {"000003": [CAR, WALKER, VAN, ELSEWHERE], "000007": [], "000012": [WALKER]})
    return tmp_path


def test_a_box_by_hand(made: Path) -> None:
    """The label's place is the middle of the lower face in camera 0; ours the center in the image's own camera."""
    scene = opened(made)[0].scene
    box = scene[sk.BOXES3D]
    assert scene.names()[:2] == ["Car", "Pedestrian"] and scene.objects.boxes[0].tolist() == [10, 20, 40, 50]
    expected = [-1.0 + SHIFT[0], 1.7 - 1.5 / 2 + SHIFT[1], 8.0 + SHIFT[2], 1.6, 1.5, 4.0, 0.0, 0.0, 0.3]
    torch.testing.assert_close(box.parameters[0], torch.tensor(expected), atol=1e-5, rtol=0)
    forward = box.rotation[0] @ torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(
        forward, torch.tensor([math.cos(0.3), 0, -math.sin(0.3)]), msg="rotation_y above 0: left"
    )
    matrix = torch.tensor([[FOCAL, 0, CENTER[0]], [0, FOCAL, CENTER[1]], [0, 0, 1]])
    assert scene.camera is not None and torch.equal(scene.camera.matrix, matrix) and not scene.camera.assumed


def test_projected_by_p2_and_by_the_camera_alike(made: Path) -> None:
    """The full P2 on KITTI's own corners, as its development kit has them, gives the pixels of our boxes and K."""
    scene = opened(made)[0].scene
    assert scene.camera is not None
    words = (made / "training" / "calib" / "000003.txt").read_text().splitlines()[0].split()[1:]
    projection = np.array(words, dtype=float).reshape(3, 4)
    height, width, length, x, y, z, turn = map(float, CAR.split()[8:])
    local = np.array([[a * length / 2, -b * height, c * width / 2] for c in (-1, 1) for b in (0, 1) for a in (-1, 1)])
    c, s = math.cos(turn), math.sin(turn)
    corners = local @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T + [x, y, z]
    pixels = np.c_[corners, np.ones(8)] @ projection.T
    theirs = pixels[:, :2] / pixels[:, 2:]
    ours = scene.camera.project(scene[sk.BOXES3D].corners[0]).numpy()
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=1e-3)


def test_yaw_goes_back_to_rotation_y(made: Path) -> None:
    angles = [-3.1, -1.57, 0.0, 0.4, 2.9]
    lines = [" ".join([*CAR.split()[:-1], str(angle)]) for angle in angles]
    folder = write_kitti(made, {"000003": lines})
    yaw = opened(made)[0].scene[sk.BOXES3D].roll_pitch_yaw[:, 2]
    expected = read_objects(folder / "label_2" / "000003.txt").rotations
    np.testing.assert_allclose(yaw.numpy(), expected, atol=1e-5)


def test_truncation_and_occlusion(made: Path) -> None:
    scene = opened(made)[0].scene
    assert scene[sk.TRUNCATION][:2].tolist() == [0.25, 0] and scene[sk.OCCLUSION][:2].tolist() == [1, 0]
    assert scene.rows_with(sk.OCCLUSION).tolist() == [True, True, True, False, False, False]


def test_what_counts_neither_way(made: Path) -> None:
    """Vans look like cars; a DontCare region is a crowd of every class."""
    objects = opened(made)[0].scene.objects
    assert objects.labels.tolist() == [0, 1, 0, 0, 1, 2]
    assert objects.ignore.tolist() == [False, False, True, True, True, True]
    assert objects.crowd.tolist() == [False, False, False, True, True, True]
    scene = opened(made, classes=["Pedestrian"])[0].scene
    assert scene.names() == ["Pedestrian"] * 2 and scene.objects.crowd.tolist() == [False, True]
    assert LOOK_ALIKE["Car"] == "Van"


def test_classes_get_other_names(made: Path) -> None:
    data = opened(made, classes={"Car": "car", "Van": "car", "Pedestrian": "person"})
    assert data.vocabulary.things == ("car", "person")
    assert data[0].scene.names()[:3] == ["car", "person", "car"] and not data[0].scene.objects.ignore[2]


def test_objects_beyond_a_difficulty_are_ignored(made: Path) -> None:
    for difficulty, ignored in {"easy": [True, True], "moderate": [False, True], None: [False, False]}.items():
        assert opened(made, difficulty=difficulty)[0].scene.objects.ignore[:2].tolist() == ignored


def test_splits(made: Path, tmp_path: Path) -> None:
    (made / "ImageSets").mkdir()
    (made / "ImageSets" / "val.txt").write_text("000012\n000003\n")
    assert [sample.id for sample in opened(made, split="val")] == [12, 3]
    assert [sample.id for sample in opened(made, split="trainval")] == [3, 7, 12]
    (tmp_path / "mine_train.txt").write_text("000007\n")
    assert [sample.id for sample in opened(made, splits=str(tmp_path / "mine_{split}.txt"))] == [7]
    assert [sample.id for sample in opened(made, drop_empty=True)] == [3, 12]
    assert len(opened(made / "training")) == 3, "a folder that has image_2 itself"


def test_testing_images_have_no_labels(made: Path) -> None:
    folder = write_kitti(made, {"000000": []}, part="testing")
    (folder / "label_2" / "000000.txt").unlink()
    sample = opened(made, split="test")[0]
    assert not sample.supervision.streams and not sample.scene.values and sample.scene.camera is not None


def test_labels_with_scores(made: Path) -> None:
    write_kitti(made, {"000003": [f"{CAR} 0.75", f"{WALKER} 0.5"]})
    scene = opened(made)[0].scene
    assert scene.objects.scores is not None and scene.objects.scores.tolist() == [0.75, 0.5]
    assert scene[sk.BOXES3D].scores is not None and scene[sk.BOXES3D].scores.tolist() == [0.75, 0.5]


def test_a_2d_label_carries_no_3d_box(made: Path) -> None:
    """KITTI's way of saying so: -1 and -1000. A center beside or behind the camera is carried by no row either."""
    flat = " ".join([*CAR.split()[:8], "-1 -1 -1 -1000 -1000 -1000 -10"])
    beside = " ".join([*CAR.split()[:13], "-2.0 0.3"])
    write_kitti(made, {"000003": [flat, CAR, beside]})
    scene = opened(made)[0].scene
    assert scene.rows_with(sk.BOXES3D).tolist() == [False, True, False] and len(scene.objects) == 3


# Scans


def test_the_nearest_point_wins(made: Path) -> None:
    """Points as high as the camera, 0.3 m below the scanner, fall on the pixel that SHIFT says."""
    far, near, aside = [20.0, 0, -0.3], [10.0, 0, -0.3], [20.0, 4, -0.3]
    write_scan(made / "training", "000003", [far, near, far, aside, [-5.0, 0, 0], [5.0, 50, 0], [math.nan, 0, 0]])
    depth = opened(made)[0].scene[sk.DEPTH]
    assert depth.shape == SIZE and int((~depth.isnan()).sum()) == 2
    z = 10.0 + SHIFT[2]
    column, row = (int(FOCAL * SHIFT[axis] / z + CENTER[axis]) for axis in (0, 1))
    assert float(depth[row, column]) == pytest.approx(z, abs=1e-5)
    assert float(depth[row, 30]) == pytest.approx(20.0 + SHIFT[2], abs=1e-5), "4 m to the left: 10 pixels"


def test_images_without_a_scan_have_no_depth(made: Path) -> None:
    write_scan(made / "training", "000003", [[10.0, 0, 0]])
    data = opened(made)
    assert sk.DEPTH in data[0].scene and sk.DEPTH not in data[1].scene
    assert sk.DEPTH not in data[1].supervision.keys
    assert sk.DEPTH not in opened(made, keys=["boxes3d"])[0].scene


# Mirrors and batches


def test_in_a_mirror_the_boxes_still_fit(made: Path) -> None:
    write_scan(made / "training", "000003", [[10.0, 2.0, 0]])
    sample = opened(made)[0]
    flipped = moved(sample, Geometry.flip(SIZE)).scene
    rows = torch.tensor([0, 1])
    straight, turned = (
        project_cuboids(scene[sk.BOXES3D].corners[rows], scene.camera.matrix, SIZE).boxes
        for scene in (sample.scene, flipped)
    )
    torch.testing.assert_close(Geometry.flip(SIZE).boxes(straight), turned, atol=1e-3, rtol=0)
    assert float(flipped[sk.BOXES3D].roll_pitch_yaw[0, 2]) == pytest.approx(math.pi - 0.3, abs=1e-5)
    assert torch.equal(flipped[sk.DEPTH].isnan(), sample.scene[sk.DEPTH].isnan().flip(1))


def test_a_batch(made: Path) -> None:
    data = opened(made)
    keys = [sk.BOXES3D, sk.DEPTH]
    batch, targets = collate([data[0], data[2]], vocabulary=data.vocabulary, keys=keys, config=InputConfig())
    assert targets.valid[sk.BOXES3D].tolist() == [True, True, True, False, False, False, True]
    assert targets.streams[sk.OBJECTS].crowd.tolist() == [False, False, True, True, True, True, False]
    assert batch.cameras is not None


# The evaluation of scenes


def test_scenes_are_measured_as_files_are(repository: Path, tmp_path: Path) -> None:
    """The same labels and detections, as text files and as scenes: the same 168 numbers."""
    reference = repository / "tests" / "reference" / "mesh3d" / "kitti"
    folders = {name: tmp_path / name for name in ("label_2", "pred")}
    for name, folder in folders.items():
        shutil.copytree(reference / name, folder / "label_2")
        (folder / "image_2").mkdir()
        (folder / "calib").mkdir()
        for path in (reference / name).iterdir():
            (folder / "calib" / path.name).write_text(calibration())
            Image.new("RGB", (1242, 375)).save(folder / "image_2" / f"{path.stem}.png", compress_level=1)
    truth, found = (opened(folder) for folder in folders.values())
    scores = KittiEvaluator(truth.vocabulary)
    for sample, prediction in zip(truth, found, strict=True):
        scores.update(sample, prediction.scene)
    expected = score_kitti_files(reference / "label_2", reference / "pred")
    assert scores.result() == pytest.approx(expected, abs=1e-2, nan_ok=True) and len(expected) == 168


# The real ones


@pytest.fixture(scope="module")
def real(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    names = tmp_path_factory.mktemp("kitti") / "train.txt"
    names.write_text("000000\n000008\n")
    return opened(samples / "boxes3d" / "kitti_NC", splits=str(names))


def overlaps(scene: sk.Scene) -> torch.Tensor:
    """IoU of each projected 3D box, cut off at the border, with its 2D box."""
    rows = scene.rows_with(sk.BOXES3D)
    assert scene.camera is not None
    seen = project_cuboids(scene[sk.BOXES3D][rows].corners, scene.camera.matrix, scene.size).boxes
    height, width = scene.size
    seen = seen.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    return box_iou(seen, scene.objects.boxes[rows]).diagonal()


def test_real_boxes_fit(real: Any) -> None:
    assert overlaps(real[0].scene).tolist() == pytest.approx([0.889], abs=2e-3)
    assert float(overlaps(real[1].scene).min()) > 0.96 and len(overlaps(real[1].scene)) == 6


def test_real_scan(real: Any) -> None:
    """The scan agrees with the boxes: within each car's 2D box most points are as far as its 3D box reaches."""
    scene = real[1].scene
    depth = scene[sk.DEPTH]
    assert int((~depth.isnan()).sum()) == 17144, "points of the file that fall on different pixels"
    for row in scene.rows_with(sk.BOXES3D).nonzero()[:, 0].tolist():
        x0, y0, x1, y1 = scene.objects.boxes[row].int().tolist()
        middle = depth[(y0 + y1) // 2 : y1, x0:x1]
        near, far = (f(scene[sk.BOXES3D].corners[row, :, 2]) for f in (torch.min, torch.max))
        inside = (middle > near - 0.3) & (middle < far + 0.3)
        assert float(inside.sum() / (~middle.isnan()).sum()) > 0.6
