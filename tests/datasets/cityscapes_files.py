"""A small tree of files in the official layout of Cityscapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (32, 64)
"""Height and width of the images."""

NAME = "aachen_000000_000019"
"""City, sequence and frame of the first image."""


def instances() -> np.ndarray:
    """The sky above a road with two cars, a group of them, a caravan, a person, and the ego vehicle below."""
    ids = np.full(SIZE, 23, dtype=np.int32)
    ids[16:] = 7
    ids[14:20, 2:10], ids[15:22, 12:20] = 26000, 26001
    ids[13:18, 30:40] = 26
    ids[12:18, 44:50] = 29000
    ids[10:24, 56:60] = 24000
    ids[28:] = 1
    ids[0, 0] = 0
    return ids


def vehicle(id: int, box: list[int], center: list[float], **changes: Any) -> dict[str, Any]:
    """An object of a gtBbox3d file: a car of 4 x 2 x 1.5 m that faces forward."""
    box3d = {"center": center, "dimensions": [4.0, 2.0, 1.5], "rotation": [1.0, 0, 0, 0], "format": "CRS_ISO8855"}
    shares = {"occlusion": 0.25, "truncation": 0.0}
    entry = {"2d": {"modal": box, "amodal": box}, "3d": box3d, "instanceId": id, "label": "car", **shares}
    return {**entry, **changes}


def boxes(**changes: Any) -> dict[str, Any]:
    """A gtBbox3d file; the camera is 1.5 m in front of the rear axle and 1 m high, and looks forward."""
    sensor = {
        "sensor_T_ISO_8855": [[1.0, 0, 0, -1.5], [0, 1.0, 0, 0], [0, 0, 1.0, -1.0]],
        "fx": 60.0,
        "fy": 60.0,
        "u0": 32.0,
        "v0": 16.0,
        "baseline": 0.2,
    }
    objects = [
        vehicle(26000, [2, 14, 8, 6], [21.5, 7.0, 0.75]),
        vehicle(27003, [40, 12, 6, 5], [31.5, -5.0, 0.75], label="truck"),
        vehicle(29000, [44, 12, 6, 6], [31.5, -5.0, 0.75], label="caravan"),
    ]
    ignored = [{"2d": [20, 10, 4, 4], "label": "train", "instanceId": -1}, {"2d": [26, 10, 4, 4]}]
    return {"imgWidth": 64, "imgHeight": 32, "sensor": sensor, "objects": objects, "ignore": ignored, **changes}


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write(
    root: Path,
    ids: np.ndarray | None,
    boxes: dict[str, Any] | None = None,
    *,
    split: str = "val",
    name: str = NAME,
    annotations: str = "gtFine",
) -> Path:
    """One image and its files: maps as json2instanceImg.py and json2labelImg.py make them, 3D boxes."""
    city = Path(split) / name.split("_")[0]
    size = SIZE if ids is None else ids.shape
    save(root / "leftImg8bit" / city / f"{name}_leftImg8bit.png", np.full((*size, 3), 90, np.uint8))
    if ids is not None:
        classes = np.where(ids >= 1000, ids // 1000, ids)
        save(root / annotations / city / f"{name}_{annotations}_instanceIds.png", ids.astype(np.uint16))
        save(root / annotations / city / f"{name}_{annotations}_labelIds.png", classes.astype(np.uint8))
    if boxes is not None:
        path = root / "gtBbox3d" / city / f"{name}_gtBbox3d.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(boxes))
    return root


EVALUATED = {
    7: ("road", 0), 8: ("sidewalk", 0), 11: ("building", 0), 12: ("wall", 0), 13: ("fence", 0), 17: ("pole", 0),
    19: ("traffic light", 0), 20: ("traffic sign", 0), 21: ("vegetation", 0), 22: ("terrain", 0), 23: ("sky", 0),
    24: ("person", 1), 25: ("rider", 1), 26: ("car", 1), 27: ("truck", 1), 28: ("bus", 1), 31: ("train", 1),
    32: ("motorcycle", 1), 33: ("bicycle", 1),
}  # fmt: skip
"""Name of each class that is evaluated, and whether it has instances."""


def write_panoptic(root: Path, split: str = "val") -> Path:
    """The file and folder that createPanopticImgs.py makes of the maps of instances."""
    base = root / "gtFine" / f"cityscapes_panoptic_{split}"
    images, annotations = [], []
    for path in sorted((root / "gtFine" / split).glob("*/*_instanceIds.png")):
        ids = np.asarray(Image.open(path)).astype(np.int64)
        image = path.name.replace("_gtFine_instanceIds.png", "")
        infos = [segment(ids, id) for id in np.unique(ids).tolist() if class_of(id) in EVALUATED]
        kept = np.where(np.isin(ids, [info["id"] for info in infos]), ids, 0)
        file = path.name.replace("_instanceIds.png", "_panoptic.png")
        save(base / file, np.stack((kept % 256, kept // 256 % 256, kept // 65536), axis=2).astype(np.uint8))
        named = path.name.replace("_instanceIds.png", "_leftImg8bit.png")
        images.append({"id": image, "width": ids.shape[1], "height": ids.shape[0], "file_name": named})
        annotations.append({"image_id": image, "file_name": file, "segments_info": infos})
    categories = [
        {"id": id, "name": name, "isthing": thing, "color": [0, 0, 0], "supercategory": "x"}
        for id, (name, thing) in EVALUATED.items()
    ]
    data = {"images": images, "annotations": annotations, "categories": categories}
    base.with_suffix(".json").write_text(json.dumps(data))
    return base.with_suffix(".json")


def class_of(id: int) -> int:
    return id // 1000 if id >= 1000 else id


def segment(ids: np.ndarray, id: int) -> dict[str, Any]:
    rows, columns = (ids == id).nonzero()
    x, y = int(columns.min()), int(rows.min())
    box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
    crowd = int(id < 1000 and bool(EVALUATED[class_of(id)][1]))
    return {"id": id, "category_id": class_of(id), "area": len(rows), "bbox": box, "iscrowd": crowd}
