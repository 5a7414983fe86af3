"""The benchmark's cases: what was put in, and what other people's programs made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from scenekit.evaluation.graph_arrays import GraphPrediction, GraphTruth
from scenekit.evaluation.scene_graph import Mode

FOLDER = Path(__file__).parents[1] / "reference" / "scene_graph"
PREDICATES = [f"p{i}" for i in range(1, 8)]

Triplet = tuple[int, int, int]


def numbers(mode: Mode) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"sgg_{mode}.json").read_text())
    return content


def pictures(mode: Mode) -> tuple[list[tuple[GraphTruth, GraphPrediction]], list[Triplet]]:
    """Truth and prediction of each picture, and the unseen triplets."""
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
