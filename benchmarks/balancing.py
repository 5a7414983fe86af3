"""Compare balancers of task losses on synthetic scenes: `python benchmarks/balancing.py [--quick] [--only NAME ...]`.

All tasks but captions, relations and meshes are trained jointly by the recipe recipes/line/joint.yaml, with the same
scenes in the same order, from the trunk of the shipped model `small` below fresh layers: by the plain sum of the losses
(the weights that tasks have by default), by the sum with the weights of recipes/small.yaml, and by two balancers; each
with several seeds, which change weights of fresh layers, order and augmentation. Each model is evaluated on the first
validation scenes. The runs are short: the metrics compare the ways within their spread over the seeds, and are not
those of converged models.

Each run keeps its model and its metrics in a folder of its own below `--work`; finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from joint_or_alone import with_tasks
from line import System, recipe_of, written_trunk
from measuring import machine
from task_table import LOWER_IS_BETTER

import scenekit as sk
from scenekit.io.files import plain, write_atomically

TASKS = ("semantic", "masks", "panoptic", "keypoints", "attributes", "boxes3d")
KEYS = "[semantic, masks, keypoints, attributes, boxes3d]"
METRICS: Mapping[str, str] = {
    "detection": "AP50",
    "semantic": "mIoU",
    "masks": "AP50",
    "keypoints": "AP50",
    "panoptic": "PQ",
    "attributes": "given/mAP",
    "boxes3d": "AP3D@25",
}
SUM = "plain sum"
WAYS: Mapping[str, tuple[str, ...]] = {
    SUM: (),
    "tuned sum": ("train.loss_weights={keypoints: 0.3, boxes3d: 3.0}",),
    "uncertainty": ("train.balancer=uncertainty",),
    "pcgrad": ("train.balancer=pcgrad",),
}
"""Options of the recipe by row of the table."""
SEEDS = (0, 1, 2)


def main() -> None:
    """Train and evaluate what is missing, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two steps and two images each, to see that all run")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--scenes", type=int, default=240, help="number of training scenes")
    parser.add_argument("--images", type=int, default=60, help="number of evaluated images")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--size", type=int, nargs=2, default=(144, 192), help="height and width of the scenes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these ways")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/balancing"))
    parser.add_argument("--out", type=Path, help="results/balancing.json beside this file; in --work with --quick")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.steps, arguments.batch, arguments.scenes, arguments.images = 2, 2, 8, 2
        arguments.size, arguments.work = (64, 96), arguments.work / "quick"
    results = arguments.work if arguments.quick else Path(__file__).parent / "results"
    torch.set_num_threads(arguments.threads)
    trunk = written_trunk(arguments.work)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS if name in (arguments.only or WAYS)}
    if find_spec("torchjd") is None and found.pop("pcgrad", None) is not None:
        print("pcgrad: left out, as torchjd is not installed", flush=True)
    for seed in arguments.seeds:
        for name, rows in found.items():
            rows.append(result_of(name, seed, trunk, arguments))
    facts = {name: getattr(arguments, name) for name in ("steps", "batch", "scenes", "images")}
    result = {**machine(torch.device("cpu")), **facts, "size": list(arguments.size), "seeds": len(arguments.seeds)}
    result |= {"balancing": {name: row_of(rows) for name, rows in found.items()}}
    result |= {"wins over the plain sum": list(wins(found))}
    write_atomically(arguments.out or results / "balancing.json", (json.dumps(plain(result), indent=1) + "\n").encode())


def result_of(name: str, seed: int, trunk: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the metrics of one run, trained unless that is done already."""
    folder = arguments.work / f"{name.replace(' ', '_')}-{arguments.steps}-{arguments.images}-seed{seed}"
    file = folder / "result.json"
    if not file.exists():
        model = sk.train(recipe(name, seed, trunk, arguments), out=folder, resume=True, device="cpu", progress=False)
        scenes = sk.dataset("synthetic", split="val", size=arguments.size)
        metrics = sk.evaluate(model, scenes, limit=arguments.images)
        row = {f"{task} {metric}": metrics[task].get(metric) for task, metric in METRICS.items()}
        write_atomically(file, json.dumps(plain(row)).encode())
    row = json.loads(file.read_text(encoding="utf-8"))
    print(f"{name}, seed {seed}: {json.dumps(row)}", flush=True)
    return dict(row)


def recipe(name: str, seed: int, trunk: Path, arguments: argparse.Namespace) -> sk.Recipe:
    """Return the recipe of one run."""
    options = (
        f"train.seed={seed}",
        f"train.batch_size={arguments.batch}",
        f"train.interference_every={max(arguments.steps // 12, 1)}",
        f"data.train.0.options.keys={KEYS}",
        f"data.val.options.keys={KEYS}",
        *WAYS[name],
    )
    return with_tasks(recipe_of(System("joint", options), trunk, arguments), TASKS)


def row_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return mean and standard deviation over the seeds of each number."""
    return {name: spread([row[name] for row in rows if row[name] is not None]) for name in rows[0]}


def spread(values: Sequence[float]) -> str:
    """Return `mean ± standard deviation`; the mean alone of one value."""
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


def wins(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return how many metrics are better than those of the plain sum: in the mean, and with every seed."""
    plain_sum = found.get(SUM)
    if plain_sum is None:
        return []
    metrics = list(plain_sum[0])
    lines = []
    for name, rows in found.items():
        pairs = {metric: gains(metric, rows, plain_sum) for metric in metrics}
        better = sum(statistics.mean(gain) > 0 for gain in pairs.values() if gain)
        always = sum(min(gain) > 0 for gain in pairs.values() if gain)
        if name != SUM:
            lines.append({"way": name, "better in the mean": better, "with every seed": always, "of": len(metrics)})
    return lines


def gains(metric: str, rows: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return how much better each seed's metric is than that of the base."""
    sign = -1 if any(part in metric for part in LOWER_IS_BETTER) else 1
    pairs = ((row[metric], other[metric]) for row, other in zip(rows, base, strict=True))
    return [sign * (own - other) for own, other in pairs if own is not None and other is not None]


if __name__ == "__main__":
    main()
