"""Measure the memory of long runs: `OMP_NUM_THREADS=1 python benchmarks/memory.py [--images 1000] [--scenes 5000]`.

`command`: `scenekit predict --json` on a folder of generated images, with an untrained small model of several tasks;
`iterator`: the same with `model.predict(iter(...))`; `evaluation`: all evaluators of that model on generated labels and
predictions. Each runs in a process of its own, whose resident memory is sampled ten times per second. `growth_mb` is
the rise of a line fitted to the second half of the samples: 0 is flat. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

import scenekit as sk
from scenekit.evaluation.loop import evaluators
from scenekit.io.files import write_atomically
from scenekit.structures import Panoptic, Segment
from scenekit.weights import save_model

SIZE = (120, 160)
INTERVAL = 0.1
OBJECTS, DETECTIONS, POOL = 8, 30, 300
CONFIG = {
    "input": {"min_size": 96, "max_size": 128},
    "backbone": {"name": "mobilenet_v3_small"},
    "pyramid": {"channels": 16},
    "detector_options": {
        "anchors": {"sizes": [[16.0], [32.0], [64.0], [128.0], [224.0]]},
        "rpn": {"pre_nms_test": 60, "post_nms_test": 40},
        "box_head": {"fcs": [32], "detections": 10},
    },
    "tasks": {
        "semantic": {"channels": 16, "norm_groups": 4},
        "masks": {"channels": 16, "convs": 1},
        "keypoints": {"channels": 16, "convs": 1},
        "panoptic": {},
    },
}
SKELETON = sk.Skeleton(("head", "foot"), (), (), (0.1, 0.1))
VOCABULARY = sk.Vocabulary(("cup", "person"), ("floor", "wall"), skeletons={"person": SKELETON})


def main() -> None:
    """Measure each workload, or run one in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=5000)
    parser.add_argument("--work", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.json")
    arguments = parser.parse_args()
    if arguments.work is not None:
        kind, folder = arguments.work
        WORK[kind](Path(folder), arguments.scenes)
        return
    with tempfile.TemporaryDirectory() as name:
        results = measure(Path(name), arguments.images, arguments.scenes)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(results, indent=2) + "\n").encode())
    print(json.dumps(results, indent=2))


def measure(folder: Path, images: int, scenes: int) -> dict[str, object]:
    """Return the memory of each workload."""
    torch.manual_seed(0)
    save_model(sk.build(sk.ModelConfig.model_validate(CONFIG), VOCABULARY), folder / "model")
    (folder / "images").mkdir()
    for number in range(images):
        noise = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "images" / f"{number:05d}.jpg")
    names = sorted(map(str, (folder / "images").iterdir()))
    options = ["--model", str(folder / "model"), "--threshold", "0", "--json"]
    own = [sys.executable, __file__, "--scenes", str(scenes), "--work"]
    return {
        "images": images,
        "scenes": scenes,
        "detections_per_scene": DETECTIONS,
        "command": watched([sys.executable, "-m", "scenekit", "predict", *names, *options]),
        "iterator": watched([*own, "iterator", str(folder)]),
        "evaluation": watched([*own, "evaluation", str(folder)]),
    }


def watched(command: Sequence[str]) -> dict[str, float]:
    """Return peak and growth of the resident memory of a process, in megabytes, and its duration in seconds."""
    start, samples = time.perf_counter(), []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watch = psutil.Process(process.pid)
        while process.poll() is None:
            samples.append(watch.memory_info().rss / 2**20)
            time.sleep(INTERVAL)
    if process.returncode != 0:
        raise SystemExit(f"{command[:4]} ended with status {process.returncode}")
    late = [sample for sample in samples[len(samples) // 2 :] if sample > 0]
    slope = statistics.linear_regression(range(len(late)), late).slope
    seconds = time.perf_counter() - start
    return {"peak_mb": round(max(samples), 1), "growth_mb": round(slope * len(late), 1), "seconds": round(seconds, 1)}


def iterate(folder: Path, _: int) -> None:
    """Predict lazily and drop each scene."""
    model = sk.load(str(folder / "model"))
    for scene in model.predict(iter(sorted((folder / "images").iterdir())), threshold=0.0):
        scene.to_json()


def evaluate(folder: Path, scenes: int) -> None:
    """Run every evaluator of the model."""
    by_task = evaluators(sk.load(str(folder / "model")))
    for number, (ground_truth, prediction) in enumerate(generated(scenes)):
        sample = sk.Sample(torch.zeros(3, *SIZE, dtype=torch.uint8), ground_truth, SUPERVISION, number)
        for evaluator in by_task.values():
            evaluator.update(sample, prediction)
    for evaluator in by_task.values():
        evaluator.result()


SUPERVISION = sk.Supervision(frozenset({sk.MASKS, sk.KEYPOINTS, sk.SEMANTIC, sk.PANOPTIC}))
WORK = {"iterator": iterate, "evaluation": evaluate}


def generated(count: int) -> Iterator[tuple[sk.Scene, sk.Scene]]:
    """Yield ground truth and unrelated predictions."""
    for number in range(count):
        random = np.random.default_rng(number)
        yield generated_scene(random, OBJECTS, scored=False), generated_scene(random, DETECTIONS, scored=True)


def generated_scene(random: np.random.Generator, count: int, scored: bool) -> sk.Scene:
    """Draw persons and cups as ellipses, in a random order in front of a floor and a wall."""
    boxes, inside, masks = ellipses()
    rows = random.integers(0, POOL, count)
    labels = torch.from_numpy(random.integers(0, 2, count))
    points = torch.from_numpy(random.uniform(0, SIZE[1], (count, 2, 2))).float()
    scores = torch.from_numpy(random.uniform(0, 1, count)).float() if scored else None
    ids = np.repeat([1, 2], SIZE[0] // 2)[:, None].repeat(SIZE[1], axis=1)
    for number, row in enumerate(rows):
        ids[inside[row]] = 3 + number
    kinds = np.array([0, 2, 3, *labels.tolist()])
    segments = tuple(Segment(int(i), int(kinds[i]), is_thing=bool(kinds[i] < 2)) for i in np.unique(ids))
    values = {
        sk.MASKS: masks[rows.tolist()],
        sk.KEYPOINTS: sk.Keypoints(points, torch.full((count, 2), 2)),
        sk.SEMANTIC: torch.from_numpy(kinds[ids]),
        sk.PANOPTIC: Panoptic(torch.from_numpy(ids), segments),
    }
    return sk.Scene(SIZE, VOCABULARY, {sk.OBJECTS: sk.Objects(boxes[rows], labels, scores)}, values)


@functools.cache
def ellipses() -> tuple[torch.Tensor, np.ndarray, sk.Masks]:
    """Return boxes [POOL 4], bitmaps [POOL H W] and run-length encodings, cached because they are not measured."""
    random, (height, width) = np.random.default_rng(0), SIZE
    centers, radii = random.uniform((0, 0), (width, height), (POOL, 2)), random.uniform(4, 30, (POOL, 2))
    y, x = np.mgrid[:height, :width] + 0.5
    inside = (((np.stack((x, y), -1) - centers[:, None, None]) / radii[:, None, None]) ** 2).sum(-1) < 1
    boxes = torch.from_numpy(np.concatenate((centers - radii, centers + radii), axis=1)).float()
    return boxes, inside, sk.Masks.from_dense(torch.from_numpy(inside))


if __name__ == "__main__":
    main()
