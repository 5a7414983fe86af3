"""Compare precisions on a CPU, in every task: `python benchmarks/precision.py [--images 500]`.

The shipped model on the first images of the synthetic validation scenes: with its weights in float32; in bfloat16,
where the processor computes in it; and exported in int8 by ONNX Runtime, calibrated on 24 images of the training set.
Each row is a metric in each precision; `half_precision.py` and `runtimes.py` have their times. 500 images take about
ten minutes in each precision on one core.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from measuring import machine
from task_table import MAIN_METRICS, Results, cell

import scenekit as sk
from scenekit.io.files import plain, write_atomically
from scenekit.runtimes.quantization import has_int8
from scenekit.training.devices import fast_bfloat16
from scenekit.weights.exporting import export

CALIBRATION = 24
OUT = Path(__file__).parent / "results" / "precision.json"


def main() -> None:
    """Evaluate, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="images that the metrics are of (500)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT, help="file of the results")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        models = models_of(Path(folder))
        results = {name: evaluated(name, model, arguments.images) for name, model in models.items()}
    rows = table(results)
    about = {**machine(torch.device("cpu")), "int8 instructions": has_int8(), "images": arguments.images}
    write_atomically(arguments.out, (json.dumps(plain({**about, "metrics": rows}), indent=1) + "\n").encode())
    print(f"{'metric':40}" + "".join(f"{name:>10}" for name in models))
    for name, row in rows.items():
        print(f"{name:40}" + "".join(f"{cell(row.get(column)):>10}" for column in models))


def models_of(folder: Path) -> dict[str, sk.SceneModel]:
    """Return the model in each precision that the processor has."""
    models = {"float32": sk.load("small")}
    if fast_bfloat16():
        models["bfloat16"] = sk.load("small").to(torch.bfloat16)
    train = sk.dataset("synthetic", "train")
    export(sk.load("small"), folder / "int8", "onnx", None, [train[index].image for index in range(CALIBRATION)])
    return {**models, "int8": sk.load(folder / "int8")}


def evaluated(name: str, model: sk.SceneModel, images: int) -> Results:
    """Return the metrics of all tasks."""
    samples = sk.dataset("synthetic", split="val")
    return sk.evaluate(
        model, samples, limit=images, on_sample=lambda done: print(f"\r{name}: {done}", end="", file=sys.stderr)
    )


def table(results: Mapping[str, Results]) -> dict[str, dict[str, float]]:
    """Return the main metrics by precision, but those that the scenes say nothing about."""
    rows = {
        f"{task} {metric}": {name: round(float(own[task][metric]), 4) for name, own in results.items()}
        for task, metrics in MAIN_METRICS.items()
        for metric in metrics
    }
    return {name: row for name, row in rows.items() if all(map(math.isfinite, row.values()))}


if __name__ == "__main__":
    main()
