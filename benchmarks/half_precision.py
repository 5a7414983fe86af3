"""Compare half with single precision on a CPU: `OMP_NUM_THREADS=1 python benchmarks/half_precision.py`.

The shipped model, all tasks, on images of the synthetic validation set, with its weights in float32, bfloat16 and
float16: medians of alternating runs, and how well detections above the threshold of `predict` agree with those of
float32. A detection agrees with one of the same label at an IoU of 0.8 or more. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from measuring import interleaved, machine
from torchvision.ops import box_iou

import scenekit as sk
from scenekit.io.files import write_atomically

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
AGREES = 0.8


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "half_precision.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: sk.load("small").to(kind) for name, kind in TYPES.items()}
    data = sk.dataset("synthetic", split="val")
    images = [data[index].image for index in range(arguments.images)]
    runs = {name: lambda model=model: model.predict(images) for name, model in models.items()}
    seconds = interleaved(runs, arguments.repeats, torch.device("cpu"))
    scenes = {name: model.predict(images) for name, model in models.items()}
    results = {
        "machine": machine(torch.device("cpu")),
        "images": len(images),
        "seconds_per_image": {name: statistics.median(times) / len(images) for name, times in seconds.items()},
        "agreement": {name: agreement(scenes["float32"], scenes[name]) for name in TYPES if name != "float32"},
    }
    write_atomically(arguments.out, (json.dumps(results, indent=2) + "\n").encode())
    print(json.dumps(results, indent=2))


def agreement(expected: list[sk.Scene], scenes: list[sk.Scene]) -> dict[str, Any]:
    """Return counts of detections, the median difference of scores, and the share of equal labels of pixels."""
    differences: list[float] = []
    for first, second in zip(expected, scenes, strict=True):
        iou = box_iou(first.objects.boxes, second.objects.boxes)
        iou[first.objects.labels[:, None] != second.objects.labels[None]] = 0.0
        pairs = [(row, int(overlaps.argmax())) for row, overlaps in enumerate(iou) if (overlaps >= AGREES).any()]
        differences += [abs(float(first.objects.scores[i] - second.objects.scores[j])) for i, j in pairs]
    same = [float((a[sk.SEMANTIC] == b[sk.SEMANTIC]).float().mean()) for a, b in zip(expected, scenes, strict=True)]
    return {
        "detections_of_float32": sum(len(scene.objects) for scene in expected),
        "detections": sum(len(scene.objects) for scene in scenes),
        "agreeing": len(differences),
        "median_difference_of_scores": statistics.median(differences) if differences else None,
        "median_share_of_equal_pixels": statistics.median(same),
    }


if __name__ == "__main__":
    main()
