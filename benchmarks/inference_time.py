"""How long one picture takes, step by step: `python benchmarks/inference_time.py [--model small] [--pictures 30]`.

Batch 1, held-out synthetic scenes, all tasks in one pass. Times are medians over the pictures after a warm-up; `total`
is measured on its own, from the pixels in memory to the finished Scene. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch

import scenekit as sk
from scenekit.structures.scene import write_atomically


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small")
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "inference_time.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = sk.load(arguments.model).eval()
    data = sk.dataset("synthetic", "test")
    pictures = [data[index].image for index in range(arguments.pictures)]
    result = {
        "device": f"{platform.processor() or platform.machine()}, {arguments.threads} threads",
        "torch": torch.__version__,
        "picture": list(pictures[0].shape[1:]),
        "milliseconds": {name: round(1000 * value, 1) for name, value in measure(model, pictures).items()},
    }
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


@torch.inference_mode()
def measure(model: sk.SceneModel, pictures: list[torch.Tensor]) -> dict[str, float]:
    """Median seconds of each step of the plan, of finishing all heads, and of the whole way."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for picture in (*pictures[:3], *pictures):
        start = time.perf_counter()
        outputs = model(model.preprocess([picture]))
        network = time.perf_counter()
        model.scenes(outputs, threshold=0.5)
        end = time.perf_counter()
        for name, value in outputs.seconds.items():
            seconds[name].append(value)
        seconds["finishing"].append(end - network)
        seconds["total"].append(end - start)
    return {name: statistics.median(values[3:]) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
