"""The stored evaluation of Mesh R-CNN as scenes: its camera has x left and y up, ours x right and y down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import scenekit as sk
from scenekit.structures import Masks, Meshes

STORED = json.loads((Path(__file__).parents[2] / "reference" / "mesh3d" / "meshrcnn_pix3d_eval.json").read_text())
VOCABULARY = sk.Vocabulary(tuple(category["name"] for category in STORED["categories"]))
FACES = torch.tensor(STORED["faces_all_meshes"])
FLIP = torch.tensor([-1.0, -1.0, 1.0])


def images() -> list[tuple[sk.Sample, sk.Scene]]:
    found = {entry["image_id"]: entry for entry in STORED["predictions"]}
    return [(truth(entry), prediction(entry, found[entry["image_id"]])) for entry in STORED["annotations"]]


def truth(entry: dict[str, Any]) -> sk.Sample:
    """One labelled object; others may be in the image."""
    x, y, width, height = entry["bbox"]
    objects = sk.Objects(torch.tensor([[x, y, x + width, y + height]]), torch.tensor([entry["category_id"] - 1]))
    mask = torch.zeros(1, *size(), dtype=torch.bool)
    mask[:, int(y) : int(y + height) + 1, int(x) : int(x + width) + 1] = True
    values = {sk.MESHES: Meshes.from_lists([true_verts(entry)], [FACES]), sk.MASKS: Masks.from_dense(mask)}
    scene = sk.Scene(size(), VOCABULARY, {sk.OBJECTS: objects}, values)
    claims = sk.Supervision(frozenset({sk.MESHES, sk.MASKS}), exhaustive=frozenset())
    return sk.Sample(torch.zeros(3, *size(), dtype=torch.uint8), scene, claims, entry["image_id"])


def prediction(entry: dict[str, Any], found: dict[str, Any]) -> sk.Scene:
    """Meshes at the true depth, as in the authors' program."""
    objects = sk.Objects(*(torch.tensor(found[name]) for name in ("boxes", "classes", "scores")))
    depths = true_verts(entry)[:, 2]
    center = float(depths.min() + depths.max()) / 2
    rows = zip(found["verts"], found["boxes"], found["dz"], strict=True)
    verts = [placed(torch.tensor(mesh), box, center, dz, entry["K"]) for mesh, box, dz in rows]
    rles = tuple({"size": rle["size"], "counts": rle["counts"].encode()} for rle in found["masks_rle"])
    values = {sk.MESHES: Meshes.from_lists(verts, [FACES] * len(verts)), sk.MASKS: Masks(rles, size())}
    return sk.Scene(size(), VOCABULARY, {sk.OBJECTS: objects}, values)


def size() -> tuple[int, int]:
    return STORED["images"][0]["height"], STORED["images"][0]["width"]


def true_verts(entry: dict[str, Any]) -> Tensor:
    model = torch.tensor(STORED["models"][entry["model"]])
    return (model @ torch.tensor(entry["rot_mat"]).T + torch.tensor(entry["trans_mat"])) * FLIP


def placed(cube: Tensor, box: list[float], center: float, dz: float, K: list[float]) -> Tensor:
    """From the cube of the box to the camera: depth is affine in 1 / z, pixels are those of Mesh R-CNN."""
    (height, width), (focal, px, py) = size(), K
    half = center * dz * (box[3] - box[1]) / (2 * focal)
    near, far = 1 / (center - half), 1 / (center + half)
    z = 1 / (near + (cube[:, 2] + 1) / 2 * (far - near))
    u, v = (box[i] + (cube[:, i] + 1) / 2 * (box[i + 2] - box[i]) for i in (0, 1))
    return torch.stack(((u - (width - 1 - px)) * z / focal, (v - (height - 1 - py)) * z / focal, z), dim=1)


def stored_results() -> dict[str, np.ndarray]:
    return {name: np.array([run[name] for run in STORED["results_by_seed"]]) for name in STORED["results_by_seed"][0]}
