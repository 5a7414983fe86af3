"""Compare the metrics of two models in every task: `python benchmarks/task_table.py MODEL [--before MODEL]`.

A model is a name, a folder, or a file of results written by `scenekit evaluate --json`. The models are evaluated on the
first images of the synthetic validation scenes. Each row is a metric: before, after, and the task's baseline and target
if there are any.
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
from scenekit.io.files import plain, write_atomically

MAIN_METRICS: Mapping[str, tuple[str, ...]] = {
    "detection": ("AP", "AP50"),
    "semantic": ("mIoU",),
    "masks": ("AP", "AP50"),
    "keypoints": ("AP", "AP50"),
    "panoptic": ("PQ",),
    "relations": tuple(
        f"{mode}/{name}@50" for mode in ("predcls", "sgcls", "sgdet") for name in ("R", "mR", "ngR", "zR")
    ),
    "attributes": ("given/mAP", "found/mAP", "given/mR@5", "found/mR@5"),
    "captions": ("mAP (unigram-F)", "detection mAP", "CIDEr-D", "objects: mAP (unigram-F)", "objects: CIDEr-D"),
    "boxes3d": (
        "AP3D",
        "AP3D@25",
        "AP3D@50",
        "AP_BEV@25",
        "median yaw error (deg)",
        "median center error (m)",
        "median depth error",
    ),
    "meshes": ("AP_mesh", "AP_mesh as placed", "F1@0.3", "Chamfer-L2", "AbsNormalConsistency"),
}
TARGETS: Mapping[str, float] = {
    "relations predcls/R@50": 0.80,
    "relations sgdet/R@50": 0.40,
    "attributes given/mAP": 0.60,
    "captions mAP (unigram-F)": 0.25,
    "boxes3d AP3D@25": 0.30,
    "boxes3d median yaw error (deg)": 20.0,
    "meshes AP_mesh": 0.20,
    "meshes F1@0.3": 50.0,
}
LOWER_IS_BETTER = ("error", "Chamfer")
"""Parts of names of metrics for which lower is better."""

Results = Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Evaluate the models, write the table, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, folder, or file of results")
    parser.add_argument("--before", help="the same for the model to compare with")
    parser.add_argument("--limit", type=int, default=500, help="number of images (500)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "task_table.json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    began = time.perf_counter()
    after = measured(arguments.model, arguments.limit, device)
    before = {} if arguments.before is None else measured(arguments.before, arguments.limit, device)
    rows = table(before, after)
    seconds = round(time.perf_counter() - began)
    result = {**machine(device), "images": arguments.limit, "seconds": seconds, "metrics": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())
    show(rows)


def measured(model: str, limit: int, device: torch.device) -> Results:
    """Return the results of a model, or those in a file."""
    if model.endswith(".json"):
        results: Results = json.loads(Path(model).read_text(encoding="utf-8"))
        return results
    network = sk.load(model).to(device)
    samples = sk.dataset("synthetic", split="val")
    return sk.evaluate(
        network, samples, limit=limit, on_sample=lambda done: print(f"\r{model}: {done}", end="", file=sys.stderr)
    )


def table(before: Results, after: Results) -> dict[str, dict[str, float | bool]]:
    """Return the rows by task and metric, with `before`, `after`, `baseline`, `target` and `met` if available."""
    names = [f"{task} {metric}" for task, metrics in MAIN_METRICS.items() if task in after for metric in metrics]
    return {name: row(name, before, after) for name in names}


def row(name: str, before: Results, after: Results) -> dict[str, float | bool]:
    """Return one row of the table."""
    task, _, metric = name.partition(" ")
    baseline = next((other for other in after if other.startswith(f"{task} (")), task)
    columns = {
        "before": before.get(task, {}).get(metric),
        "after": after[task].get(metric),
        "baseline": after[baseline].get(metric) if baseline != task else None,
        "target": TARGETS.get(name),
    }
    found: dict[str, float | bool] = {
        column: round(value, 4) for column, value in columns.items() if value is not None and math.isfinite(value)
    }
    if "target" in found and "after" in found:
        margin = found["after"] - found["target"]
        found["met"] = margin <= 0 if any(word in metric for word in LOWER_IS_BETTER) else margin >= 0
    return found


def show(rows: Mapping[str, Mapping[str, float | bool]]) -> None:
    """Print the table."""
    columns = ("before", "after", "baseline", "target", "met")
    print(f"\n{'metric':40}" + "".join(f"{column:>10}" for column in columns))
    for name, found in rows.items():
        print(f"{name:40}" + "".join(f"{cell(found.get(column)):>10}" for column in columns))


def cell(value: float | bool | None) -> str:
    """Format a number, a truth value, or None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
