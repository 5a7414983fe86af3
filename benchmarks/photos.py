"""Measure models on photographs: `python benchmarks/photos.py FOLDER [--models photo small] [--synthetic 500]`.

FOLDER has `val.json`, in the style of COCO with labels of every kind, and `images/`. Each model is measured on all of
its photographs, over the classes that model and data share, in the label space of the model if it has one, and on the
first synthetic validation scenes. What a model has learned nothing of is not measured.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from measuring import machine

import scenekit as sk
from scenekit.cli.evaluate import data_config
from scenekit.data.labels.opening import opened
from scenekit.io.files import plain, write_atomically

METRICS: Mapping[str, tuple[str, ...]] = {
    "detection": ("AP", "AP50", "AP75"),
    "masks": ("AP", "AP50"),
    "keypoints": ("AP", "AP50"),
    "semantic": ("mIoU", "pixel accuracy"),
    "panoptic": ("PQ", "SQ", "RQ"),
    "boxes3d": ("AP3D@25",),
    "attributes": ("given/mAP",),
}
PER_CLASS = {"detection": "AP50", "masks": "AP50"}
"""Metrics that are shown for each class as well."""
TARGETS: Mapping[str, float] = {
    "detection AP50": 0.30,
    "detection AP50 of person": 0.45,
    "masks AP50 of person": 0.35,
    "keypoints AP50": 0.25,
}

Results = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Evaluate the models on photographs and on synthetic scenes, write the numbers, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with val.json and images/")
    parser.add_argument("--models", nargs="+", default=["photo", "small"], help="names or folders (photo small)")
    parser.add_argument("--synthetic", type=int, default=500, help="number of synthetic scenes (500)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "photos.json")
    arguments = parser.parse_args()
    began = time.perf_counter()
    device = torch.device(arguments.device)
    options = {"annotations": str(arguments.folder / "val.json"), "images": str(arguments.folder / "images")}
    metrics: dict[str, dict[str, float]] = {}
    for model in arguments.models:
        metrics[f"{model}, photographs"] = numbers(measured(model, "coco", options, None, device))
        metrics[f"{model}, synthetic"] = numbers(measured(model, "synthetic", {}, arguments.synthetic, device))
    first = metrics[f"{arguments.models[0]}, photographs"]
    targets = {
        name: {"value": first.get(name, 0.0), "target": target, "met": first.get(name, 0.0) >= target}
        for name, target in TARGETS.items()
    }
    facts = {"seconds": round(time.perf_counter() - began), "synthetic scenes": arguments.synthetic}
    result = {**machine(device), **facts, "targets": targets, "metrics": by_metric(metrics)}
    write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())
    show(metrics)


def measured(model: str, data: str, options: dict[str, Any], limit: int | None, device: torch.device) -> Results:
    """Return the results of a model on the validation split of a data set, as `scenekit evaluate` computes them."""
    config = data_config(model, data, "val", options)
    samples = opened(config.train[0], config.label_space)
    network = sk.load(model).to(device)
    return sk.evaluate(
        network,
        samples,
        limit=limit,
        on_sample=lambda done: print(f"\r{model}, {data}: {done}", end="", file=sys.stderr),
    )


def numbers(results: Results) -> dict[str, float]:
    """Return the main metrics, and those of single classes, by name."""
    found = {
        f"{task} {metric}": results[task].get(metric)
        for task, metrics in METRICS.items()
        if task in results
        for metric in metrics
    }
    for task, metric in PER_CLASS.items():
        for name, values in results.get(task, {}).get("per_class", {}).items():
            found[f"{task} {metric} of {name}"] = values[metric]
    return {name: round(value, 4) for name, value in found.items() if value is not None and math.isfinite(value)}


def by_metric(columns: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return a row for each metric, with a column for each model and kind of image."""
    names = dict.fromkeys(name for values in columns.values() for name in values)
    return {name: {column: values.get(name) for column, values in columns.items()} for name in names}


def show(columns: Mapping[str, Mapping[str, float]]) -> None:
    """Print a column for each model and kind of image."""
    print(f"\n{'metric':40}" + "".join(f"{column:>22}" for column in columns))
    for name, found in by_metric(columns).items():
        print(f"{name:40}" + "".join(f"{'' if cell is None else f'{cell:.4f}':>22}" for cell in found.values()))


if __name__ == "__main__":
    main()
