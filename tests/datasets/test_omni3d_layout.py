"""The six files of Omni3D in its own folders, opened together; nuScenes and SUN RGB-D have real boxes and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from torchvision.ops import box_iou

import scenekit as sk
from scenekit.data.checks import checked
from scenekit.ops.boxes3d import project_cuboids

FILES = {
    "KITTI": "KITTI_object/training/image_2/000000.png",
    "nuScenes": "nuScenes/samples/CAM_FRONT/n015-2018-07-24-11-22-45+0800__CAM_FRONT__1532402927612460.jpg",
    "SUNRGBD": "SUNRGBD/kv2/kinect2data/000017_2014-05-26_14-38-10-resize/image/0000017.jpg",
    "Hypersim": "hypersim/ai_001_001/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg",
    "ARKitScenes": "ARKitScenes/Training/40753679/40753679_frames/lowres_wide/40753679_6791.593.jpg",
    "Objectron": "objectron/train/chair/batch-10_0_0.jpg",
}
"""`file_path` of an image of each, below the folder of Omni3D/."""

CATEGORIES = {"car": 3, "pedestrian": 7, "chair": 12, "bed": 41, "night stand": 60}
"""Ids of Omni3D's categories, the same in all files."""

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
NO_BOX = [-1.0, -1.0, -1.0, -1.0]


def boxed(
    id: int, image: int, category: str, center: Any, size: Any, R: np.ndarray, K: np.ndarray, **more: Any
) -> dict[str, Any]:
    """An annotation with all fields of DATA.md; width, height and length lie along z, y and x of the object."""
    width, height, length = size
    corners = (CORNERS * [length, height, width]) @ R.T + center
    pixels = corners @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    box = [*pixels.min(0).tolist(), *pixels.max(0).tolist()]
    entry = {"id": id, "image_id": image, "category_id": CATEGORIES[category], "category_name": category}
    spatial = {"center_cam": list(map(float, center)), "dimensions": list(map(float, size)), "R_cam": R.tolist()}
    unknown = {"visibility": -1, "truncation": -1, "segmentation_pts": -1, "lidar_pts": -1, "depth_error": -1}
    boxes = {"bbox2D_proj": box, "bbox2D_trunc": box, "bbox2D_tight": NO_BOX, "bbox3D_cam": corners.tolist()}
    return {**entry, "valid3D": True, "behind_camera": False, **boxes, **spatial, **unknown, "dataset_id": 0, **more}


def without_box(id: int, image: int, category: str) -> dict[str, Any]:
    """An object with a tight box alone; what is unknown is -1."""
    entry = boxed(id, image, category, [0, 0, 1], [1, 1, 1], np.eye(3), np.eye(3))
    unknown = {"center_cam": [-1] * 3, "dimensions": [-1] * 3, "R_cam": [[-1] * 3] * 3, "bbox3D_cam": [[-1] * 3] * 8}
    flat = {"bbox2D_tight": [5, 5, 25, 30], "bbox2D_proj": NO_BOX, "bbox2D_trunc": NO_BOX}
    return {**entry, **unknown, **flat, "valid3D": False}


def nuscenes(folder: Path, image: int) -> tuple[Path, np.ndarray, list[dict[str, Any]], list[Any]]:
    """Boxes in the camera's frame: x, y, z, length, height, width and a yaw about y."""
    info = json.loads((folder / "infos.json").read_text())["data_list"][0]
    view, names = info["images"]["CAM_FRONT"], {0: "car", 7: "pedestrian"}
    rows = [row for row in info["cam_instances"]["CAM_FRONT"] if row["bbox_label"] in names]
    K = np.array(view["cam2img"])
    entries = []
    for n, row in enumerate(rows):
        x, y, z, length, height, width, yaw = row["bbox_3d"]
        cos, sin = np.cos(yaw), np.sin(yaw)
        R = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        name = names[row["bbox_label"]]
        entries.append(boxed(100 + n, image, name, [x, y, z], [width, height, length], R, K, lidar_pts=9))
    return folder / view["img_path"], K, entries, [row["bbox"] for row in rows]


def sunrgbd(folder: Path, image: int) -> tuple[Path, np.ndarray, list[dict[str, Any]], list[Any]]:
    """Boxes in a world with z up, which the camera is turned against."""
    info = json.loads((folder / "sunrgbd_000017_infos.json").read_text())["data_list"][0]
    view = info["images"]["CAM0"]
    K, turn = scipy.linalg.rq(np.array(view["depth2img"]))
    signs = np.sign(np.diag(K))
    K, turn = K * signs / K[2, 2] / signs[2], signs[:, None] * turn
    entries = []
    for n, row in enumerate(info["instances"]):
        *center, dx, dy, dz, yaw = row["bbox_3d"]
        cos, sin = np.cos(yaw), np.sin(yaw)
        axes = np.array([[cos, 0, -sin], [sin, 0, cos], [0, -1, 0]])  # columns: forward, down, along the width
        name = {0: "bed", 7: "night stand"}[row["bbox_label"]]
        entries.append(boxed(200 + n, image, name, turn @ center, [dy, dz, dx], turn @ axes, K))
    return folder / view["img_path"], K, entries, [row["bbox"] for row in info["instances"]]


def write(root: Path, name: str, image: dict[str, Any], annotations: list[dict[str, Any]]) -> None:
    """Omni3D/NAME_train.json, whose categories are those of the annotations."""
    there = {entry["category_name"]: entry["category_id"] for entry in annotations}
    data = {
        "info": {"id": "0", "source": 0, "name": f"{name} Train", "split": "Train", "version": "0.1", "url": "x"},
        "images": [{"dataset_id": 0, "src_90_rotate": 1, "src_flagged": False, "incomplete": False, **image}],
        "categories": [{"id": id, "name": name, "supercategory": name} for name, id in there.items()],
        "annotations": annotations,
    }
    path = root / "Omni3D" / f"{name}_train.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


@pytest.fixture
def root(samples: Path, tmp_path: Path) -> Path:
    """The folder `datasets` of Omni3D."""
    real = {
        "nuScenes": nuscenes(samples / "boxes3d" / "nuscenes_NC", 2),
        "SUNRGBD": sunrgbd(samples / "boxes3d" / "sunrgbd", 3),
    }
    for id, (name, place) in enumerate(FILES.items(), start=1):
        path = tmp_path / place
        path.parent.mkdir(parents=True)
        K = np.array([[90.0, 0, 40], [0, 90, 30], [0, 0, 1]])
        annotations = [
            boxed(10 * id, id, "chair", [0.2, 0.1, 3], [0.5, 1, 0.6], np.eye(3), K),
            without_box(9, id, "chair"),
        ]
        if name in real:
            source, K, annotations, _ = real[name]
            path.symlink_to(source)
        else:
            Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(path)
        width, height = Image.open(path).size
        write(
            tmp_path,
            name,
            {"id": id, "file_path": place, "width": width, "height": height, "K": K.tolist()},
            annotations,
        )
    return tmp_path


def test_all_files_open_with_the_root_alone(root: Path) -> None:
    data = sk.dataset("omni3d", root=str(root))
    samples = {Path(sample.scene.path).relative_to(root).parts[0]: sample for sample in data}
    assert set(samples) == {place.split("/")[0] for place in FILES.values()}
    assert set(data.vocabulary.things) == set(CATEGORIES)
    assert samples["hypersim"].supervision.classes == {"chair"}
    assert samples["SUNRGBD"].supervision.classes == {"bed", "night stand"}
    chairs = samples["objectron"].scene
    assert chairs.rows_with(sk.BOXES3D).tolist() == [True, False] and chairs.objects.ignore.tolist() == [False, True]
    assert all(checked(sample, strict=True) is sample for sample in samples.values())


@pytest.mark.parametrize(("name", "overlap"), [("nuScenes", 0.9), ("SUNRGBD", 0.85)])
def test_boxes_lie_on_the_objects(root: Path, samples: Path, name: str, overlap: float) -> None:
    """Projected boxes against those of the samples, and corners against the annotation's own."""
    folder = {"nuScenes": nuscenes, "SUNRGBD": sunrgbd}[name]
    flat = folder(samples / "boxes3d" / {"nuScenes": "nuscenes_NC", "SUNRGBD": "sunrgbd"}[name], 1)[3]
    path = root / "Omni3D" / f"{name}_train.json"
    scene = sk.dataset("omni3d", root=str(root), annotations=str(path), visibility=0.0, min_height=0.0)[0].scene
    assert scene.camera is not None and len(scene.objects) == len(flat)
    seen = project_cuboids(scene[sk.BOXES3D].corners, scene.camera.matrix, scene.size).boxes
    height, width = scene.size
    seen = seen.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    assert float(box_iou(seen, torch.tensor(flat)).diagonal().mean()) > overlap
    theirs = [entry["bbox3D_cam"] for entry in json.loads(path.read_text())["annotations"]]
    gaps = torch.cdist(scene[sk.BOXES3D].corners, torch.tensor(theirs))
    assert float(gaps.min(dim=2).values.max()) < 1e-3 and float(gaps.min(dim=1).values.max()) < 1e-3
