"""A tiny folder in Pix3D's layout: an asymmetric model, two images of it, and its silhouettes as masks."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import trimesh
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

CELLS = 32
"""Of a voxel.mat along each side; those of Pix3D have 128."""


def throne() -> trimesh.Trimesh:
    """A seat, a high back at z > 0 (the front is towards -z), and an arm at x > 0 only: no plane mirrors it."""
    parts = [
        ([-0.3, -0.5, -0.3], [0.3, 0.0, 0.3]),
        ([-0.3, 0.0, 0.1], [0.3, 0.5, 0.3]),
        ([0.2, 0, -0.3], [0.3, 0.2, 0.1]),
    ]
    return trimesh.boolean.union([trimesh.creation.box(bounds=bounds) for bounds in parts], engine="manifold")


def grid_of(shape: trimesh.Trimesh) -> np.ndarray:
    """As Pix3D has it: dimensions along x, -z and y, the longest side of the model as many cells as the grid."""
    steps = (np.arange(CELLS) + 0.5) / CELLS - 0.5
    x, z, y = np.meshgrid(steps, -steps, steps, indexing="ij")
    points = np.stack((x, y, z), axis=-1).reshape(-1, 3) * shape.extents.max() + shape.bounds.mean(axis=0)
    return shape.contains(points).reshape([CELLS] * 3).astype(np.uint8)


def pose(yaw: float, pitch: float, shift: list[float]) -> dict[str, Any]:
    """Seen from the front (so turned by 180 degrees about y) but for these angles in degrees."""
    turn = Rotation.from_euler("xy", [pitch, yaw], degrees=True).as_matrix()
    return {"rot_mat": turn.tolist(), "trans_mat": shift}


ENTRIES: list[dict[str, Any]] = [
    {"category": "chair", "img_size": [160, 120], "focal_length": 40.0, "truncated": False, "occluded": False}
    | pose(35.0, -20.0, [0.05, 0.02, 2.0]),
    {"category": "sofa", "img_size": [100, 140], "focal_length": 35.0, "truncated": True, "occluded": False}
    | pose(-60.0, -10.0, [0.0, -0.1, 2.5]),
]


def silhouette(pixels: Float[np.ndarray, "V 2"], faces: np.ndarray, size: list[int]) -> Bool[np.ndarray, "H W"]:
    """All faces filled, of vertices in pixels (those of Pillow have their centers at whole numbers)."""
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for corners in pixels[faces] - 0.5:
        draw.polygon([tuple(corner) for corner in corners], fill=255)
    return np.asarray(image) > 0


def projected(entry: dict[str, Any], verts: np.ndarray) -> Float[np.ndarray, "V 2"]:
    """As Pix3D states it: x left, y up, and focal_length on a film 32 mm wide."""
    camera = verts @ np.array(entry["rot_mat"]).T + entry["trans_mat"]
    width, height = entry["img_size"]
    focal = entry["focal_length"] / 32 * width
    return np.stack((width / 2, height / 2) - focal * camera[:, :2] / camera[:, 2:], axis=0)


def write(root: Path, change: dict[str, Any] | None = None, grids: bool = True) -> Path:
    """The folder, with `change` in its first entry (a value of None takes a field out); `grids` for voxel.mat."""
    shape, entries = throne(), copy.deepcopy(ENTRIES)
    for kind in ("img", "mask", "model"):
        (root / kind / "throne").mkdir(parents=True)
    shape.export(root / "model" / "throne" / "model.obj")
    if grids:
        scipy.io.savemat(root / "model" / "throne" / "voxel.mat", {"voxel": grid_of(shape)})
    for number, entry in enumerate(entries):
        name = f"throne/{number:04d}.png"
        mask = silhouette(projected(entry, np.asarray(shape.vertices)), shape.faces, entry["img_size"])
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "mask" / name)
        Image.fromarray(np.stack([mask * 200, mask * 90, ~mask * 60], axis=-1).astype(np.uint8)).save(
            root / "img" / name
        )
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        entry |= {"img": f"img/{name}", "mask": f"mask/{name}", "model": "model/throne/model.obj"}
        entry |= {"voxel": "model/throne/voxel.mat" if grids else None, "slightly_occluded": False}
        entry["bbox"] = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
    first = {**entries[0], **(change or {})}
    entries[0] = {name: value for name, value in first.items() if value is not None}
    (root / "pix3d.json").write_text(json.dumps(entries))
    return root
