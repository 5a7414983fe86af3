"""Small trees of files in the layouts of KITTI and of Omni3D: one world, drawn by the same camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (60, 80)
"""Height and width of the images."""

FOCAL, CENTER = 50.0, (40.0, 30.0)

SHIFT = (0.06, -0.01, 0.003)
"""From KITTI's frame of labels to that of the camera, metres."""

CAR = "Car 0.25 1 -1.2 10.00 20.00 40.00 50.00 1.50 1.60 4.00 -1.00 1.70 8.00 0.30"
WALKER = "Pedestrian 0.00 0 0.1 50.00 20.00 60.00 45.00 1.80 0.60 0.50 1.50 1.80 7.00 -2.00"
VAN = "Van 0.00 0 0.1 50.00 20.00 60.00 45.00 2.00 1.90 5.00 2.50 1.70 12.00 1.57"
ELSEWHERE = "DontCare -1 -1 -10 70.00 5.00 78.00 9.00 -1 -1 -1 -1000 -1000 -1000 -10"


def projection() -> str:
    """P2 = K [1 | SHIFT]."""
    matrix = intrinsics()
    rows = np.concatenate((matrix, matrix @ np.array(SHIFT)[:, None]), axis=1)
    return " ".join(f"{value:.12e}" for value in rows.flatten())


def intrinsics() -> np.ndarray:
    """K."""
    return np.array([[FOCAL, 0, CENTER[0]], [0, FOCAL, CENTER[1]], [0, 0, 1]])


def calibration(**changes: str) -> str:
    """A calibration file whose scanner looks along the camera: x forward, y left, z up, 0.3 m above it."""
    lines = {
        "P2": projection(),
        "R0_rect": "1 0 0 0 1 0 0 0 1",
        "Tr_velo_to_cam": "0 -1 0 0 0 0 -1 -0.3 1 0 0 0",
        **changes,
    }
    return "".join(f"{name}: {words}\n" for name, words in lines.items() if words)


def write_kitti(root: Path, labels: dict[str, list[str]], part: str = "training") -> Path:
    """Images, labels and calibrations by the names of images; no scans. Gives the folder of the part."""
    folder = root / part
    for name in ("image_2", "label_2", "calib"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for n, (name, lines) in enumerate(labels.items()):
        Image.fromarray(np.full((*SIZE, 3), 40 * (n + 1), np.uint8)).save(folder / "image_2" / f"{name}.png")
        (folder / "label_2" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        (folder / "calib" / f"{name}.txt").write_text(calibration())
    return folder


def write_scan(folder: Path, name: str, points: list[list[float]]) -> Path:
    """x, y, z of the scanner."""
    (folder / "velodyne").mkdir(exist_ok=True)
    path = folder / "velodyne" / f"{name}.bin"
    np.array([[*point, 0.5] for point in points], dtype="<f4").tofile(path)
    return path


def image(id: int, **changes: Any) -> dict[str, Any]:
    """An entry of Omni3D's images."""
    height, width = SIZE
    entry = {"id": id, "file_path": f"drive/{id}.png", "height": height, "width": width, "K": intrinsics().tolist()}
    return {**entry, "dataset_id": 0, **changes}


def annotation(id: int, image_id: int, category_id: int, **changes: Any) -> dict[str, Any]:
    """An upright box of 2 x 1 x 4 m (width, height, length), 8 m away, that looks to the right."""
    return {
        "id": id,
        "image_id": image_id,
        "category_id": category_id,
        "category_name": {1: "car", 2: "person", 3: "chair"}.get(category_id, "dontcare"),
        "valid3D": True,
        "bbox2D_tight": [-1, -1, -1, -1],
        "bbox2D_proj": [25.0, 25.0, 90.0, 35.0],
        "bbox2D_trunc": [25.0, 25.0, 80.0, 35.0],
        "bbox3D_cam": [[0.0, 0.0, 8.0]] * 8,
        "center_cam": [0.5, 0.1, 8.0],
        "dimensions": [2.0, 1.0, 4.0],
        "R_cam": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "behind_camera": False,
        "visibility": 0.8,
        "truncation": -1e-9,
        "segmentation_pts": -1,
        "lidar_pts": 30,
        "depth_error": -1.0,
        **changes,
    }


def omni3d() -> dict[str, Any]:
    """Two images: a car and a person; nothing."""
    return {
        "info": {"name": "test"},
        "images": [image(1), image(2)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
        "annotations": [annotation(11, 1, 1), annotation(12, 1, 2, visibility=-1, truncation=0.9)],
    }


def write_omni3d(root: Path, data: dict[str, Any] | str, name: str = "Drive_train") -> Path:
    """The file below Omni3D/, and an image for each of its images."""
    path = root / "Omni3D" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    for entry in data.get("images", ()) if isinstance(data, dict) else ():
        picture = root / str(entry.get("file_path", "unnamed.png"))
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(picture)
    return path
