"""Omni3D's average precision of scenes: the stored files as scenes give the stored numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.structures import Boxes3D, Camera
from scenekit_plugins.boxes3d.omni3d import Omni3DEvaluator

FOLDER = Path(__file__).parents[2] / "reference" / "mesh3d"
GT, PRED, RESULTS = (
    json.loads((FOLDER / f"omni3d_eval_{name}.json").read_text()) for name in ("gt", "pred", "results")
)
LABELS = {category["id"]: label for label, category in enumerate(GT["categories"])}
VOCABULARY = sk.Vocabulary(tuple(category["name"] for category in GT["categories"]))


def boxes_of(corners: Any, scores: list[float] | None) -> Boxes3D:
    """Of corners in the order of `Boxes3D.corners`: x of the object runs along its length, z along its width."""
    points = torch.tensor(corners).reshape(-1, 8, 3)
    edges = points[:, [1, 3, 4]] - points[:, :1]
    size = edges.norm(dim=2)
    rotation = (edges / size[..., None].clamp(min=1e-6)).transpose(1, 2)
    return Boxes3D(points.mean(dim=1), size[:, [2, 1, 0]], rotation, None if scores is None else torch.tensor(scores))


def share(values: list[float]) -> Tensor:
    """-1 stands for what is not known."""
    shares = torch.tensor(values)
    return shares.where(shares >= 0, torch.nan)


def truth(image: dict[str, Any]) -> sk.Sample:
    entries = [entry for entry in GT["annotations"] if entry["image_id"] == image["id"]]
    flat = torch.tensor([entry["bbox2D_trunc"] for entry in entries]).float().reshape(-1, 4)
    unfair = [
        bool(e["behind_camera"] or e.get("lidar_pts") == 0 or e.get("segmentation_pts") == 0) or e["depth_error"] > 0.5
        for e in entries
    ]
    labels = torch.tensor([LABELS[entry["category_id"]] for entry in entries])
    objects = sk.Objects(flat, labels, ignore=torch.tensor(unfair, dtype=torch.bool))
    values = {
        sk.BOXES3D: boxes_of([entry["bbox3D_cam"] for entry in entries], None),
        sk.TRUNCATION: share([entry["truncation"] for entry in entries]),
        sk.VISIBILITY: share([entry["visibility"] for entry in entries]),
    }
    valid = {sk.BOXES3D: torch.tensor([bool(entry["valid3D"]) for entry in entries], dtype=torch.bool)}
    scene = sk.Scene(size(image), VOCABULARY, {sk.OBJECTS: objects}, values, valid, Camera(torch.tensor(image["K"])))
    claims = sk.Supervision(frozenset(values))
    return sk.Sample(torch.zeros(3, *size(image), dtype=torch.uint8), scene, claims, image["id"])


def prediction(image: dict[str, Any]) -> sk.Scene:
    entries = [entry for entry in PRED if entry["image_id"] == image["id"]]
    xywh = torch.tensor([entry["bbox"] for entry in entries]).float().reshape(-1, 4)
    scores = [entry["score"] for entry in entries]
    labels = torch.tensor([LABELS[entry["category_id"]] for entry in entries], dtype=torch.int64)
    objects = sk.Objects(torch.cat((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), dim=1), labels, torch.tensor(scores))
    values = {sk.BOXES3D: boxes_of([entry["bbox3D"] for entry in entries], scores)}
    return sk.Scene(size(image), VOCABULARY, {sk.OBJECTS: objects}, values)


def size(image: dict[str, Any]) -> tuple[int, int]:
    return image["height"], image["width"]


def test_scenes_of_files_measure_as_the_files() -> None:
    scores = Omni3DEvaluator(VOCABULARY, ("3D",))
    for image in GT["images"]:
        scores.update(truth(image), prediction(image))
    found, stored = scores.result()["3D"], RESULTS["runs"]["base_filter"]["3D"]
    for name in found.keys() & stored.keys() - {"per_category_AP"}:
        expected = math.nan if stored[name] == -1 else stored[name]
        assert found[name] == pytest.approx(expected, abs=1e-6, nan_ok=True), name
