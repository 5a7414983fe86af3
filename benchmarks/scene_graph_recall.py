"""Time scene-graph recall: `OMP_NUM_THREADS=1 python benchmarks/scene_graph_recall.py [--images 5000]`.

Random predictions with the published settings of Visual Genome: 80 objects, all 6,320 ordered pairs, 50 predicates.
One process, one core; generating the predictions is not measured. Target: 5,000 images in 60 seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from scenekit.io.files import write_atomically
from scenekit.metrics.scene_graph.arrays import GraphPrediction, GraphTruth
from scenekit.metrics.scene_graph.recall import SceneGraphRecall

OBJECTS, CLASSES, PREDICATES, TRUE_OBJECTS, RELATIONS = 80, 150, 50, 12, 6
KINDS = 20
"""Number of different images, which are repeated."""

Arrays = tuple[np.ndarray, ...]


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scene_graph_recall.json")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [(ground_truth(rng), prediction(rng)) for _ in range(KINDS)]
    recall = SceneGraphRecall([f"predicate {i}" for i in range(PREDICATES)], "sgdet", zero_shot=[(1, 2, 3)])
    began, worked = time.perf_counter(), time.process_time()
    for i in range(arguments.images):
        annotated, predicted = images[i % KINDS]
        recall.update(GraphTruth.of(*annotated), GraphPrediction.of(*predicted))
    recall.result()
    result = {
        "images": arguments.images,
        "objects": OBJECTS,
        "pairs": OBJECTS * (OBJECTS - 1),
        "predicates": PREDICATES,
        "wall_seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - worked, 1),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


def ground_truth(rng: np.random.Generator) -> Arrays:
    """Draw the ground truth of an image with `TRUE_OBJECTS` objects and `RELATIONS` relations."""
    ends = rng.integers(TRUE_OBJECTS, size=(RELATIONS, 2))
    predicates = rng.integers(1, PREDICATES + 1, size=(RELATIONS, 1))
    labels = rng.integers(1, CLASSES + 1, TRUE_OBJECTS)
    return boxes(rng, TRUE_OBJECTS), labels, np.hstack((ends, predicates))


def prediction(rng: np.random.Generator) -> Arrays:
    """Draw predictions for all ordered pairs of `OBJECTS` objects, in order of decreasing score."""
    scores = rng.random(OBJECTS)
    pairs = np.argwhere(~np.eye(OBJECTS, dtype=bool))
    probabilities = rng.dirichlet(np.full(PREDICATES + 1, 0.1), len(pairs)).astype(np.float32)
    order = np.argsort(-probabilities[:, 1:].max(axis=1) * scores[pairs].prod(axis=1))
    labels = rng.integers(1, CLASSES + 1, OBJECTS)
    return boxes(rng, OBJECTS), labels, scores, pairs[order], probabilities[order]


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw boxes in an image of 1000 x 1000 pixels."""
    corner = rng.uniform(0, 700, (count, 2))
    return np.hstack((corner, corner + rng.uniform(20, 300, (count, 2))))


if __name__ == "__main__":
    main()
