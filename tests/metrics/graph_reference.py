"""The benchmark's cases: what was put in, and what other people's programs made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from scenekit.metrics.scene_graph.arrays import GraphPrediction, GraphTruth
from scenekit.metrics.scene_graph.recall import Mode
from tests.metrics.pycocotools_reference import official

FOLDER = Path(__file__).parents[1] / "reference" / "scene_graph"
PREDICATES = [f"p{i}" for i in range(1, 8)]

Triplet = tuple[int, int, int]


def numbers(mode: Mode) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"sgg_{mode}.json").read_text())
    return content


def images(mode: Mode) -> tuple[list[tuple[GraphTruth, GraphPrediction]], list[Triplet]]:
    """Truth and prediction of each image, and the unseen triplets."""
    truth, prediction = ("boxes", "labels", "rels"), ("boxes", "labels", "scores", "rel_pairs", "rel_probs")
    with np.load(FOLDER / f"sgg_{mode}.npz") as arrays:
        found = [
            (
                GraphTruth.of(*(arrays[f"img{i:02}_gt_{part}"] for part in truth)),
                GraphPrediction.of(*(arrays[f"img{i:02}_pred_{part}"] for part in prediction)),
            )
            for i in range(len(numbers(mode)["images"]))
        ]
        return found, [tuple(row) for row in arrays["zeroshot_triplets"].tolist()]


def half_open(boxes: np.ndarray) -> np.ndarray:
    """The same boxes with x2 and y2 after the last pixel."""
    return boxes + np.array([0, 0, 1, 1])


def official_ap50(found: list[tuple[GraphTruth, GraphPrediction]], first_id: int) -> float:
    """AP of the objects at an IoU of 0.5 by pycocotools, whose annotations are numbered from `first_id` on."""
    truth, results = [], []
    for i, (wanted, prediction) in enumerate(found):
        for box, label in zip(_xywh(wanted.boxes), wanted.labels.tolist(), strict=True):
            truth.append({"image_id": i, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        scored = zip(_xywh(prediction.boxes), prediction.labels.tolist(), prediction.scores.tolist(), strict=True)
        results += [{"image_id": i, "category_id": label, "bbox": box, "score": score} for box, label, score in scored]
    content = {
        "info": {},
        "images": [{"id": i} for i in range(len(found))],
        "categories": [{"id": label, "name": str(label)} for label in range(1, 9)],
        "annotations": [{**annotation, "id": i} for i, annotation in enumerate(truth, first_id)],
    }
    return official(content, results, "bbox")["AP50"]


def _xywh(boxes: np.ndarray) -> list[list[float]]:
    return np.hstack((boxes[:, :2], half_open(boxes)[:, 2:] - boxes[:, :2])).tolist()
