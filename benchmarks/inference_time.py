"""How long one picture takes: `python benchmarks/inference_time.py [--model small] [--pictures 30] [--threads 2]`.

Batch 1, held-out synthetic scenes, from the pixels in memory to the finished Scene, objects from a score of 0.5 on.
`requests`: all tasks in one pass, and each task with only what it needs, in turn on every picture; `steps`: where the
time of the joint pass goes. Medians over the pictures after a warm-up. Results go to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch

import scenekit as sk
from scenekit.files import write_atomically

Seconds = Mapping[str, list[float]]
WARM_UP = 3


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
    requests, steps = measure(model, pictures)
    result = {
        "device": f"{processor()}, {arguments.threads} threads",
        "torch": torch.__version__,
        "picture": list(pictures[0].shape[1:]),
        "pictures": len(pictures),
        "requests_ms": in_milliseconds(requests),
        "steps_ms": in_milliseconds(steps),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


@torch.inference_mode()
def measure(model: sk.SceneModel, pictures: list[torch.Tensor]) -> tuple[Seconds, Seconds]:
    """Seconds of each request, and of each step of the joint one, for every picture after the warm-up."""
    detection = [name for name, step in model.plan.steps.items() if sk.OBJECTS in step.provides]
    wanted = {"all": None, "boxes": detection, **{task: [task] for task in model.tasks}}
    requests, steps = defaultdict(list), defaultdict(list)
    for picture in (*pictures[:WARM_UP], *pictures):
        for name, tasks in wanted.items():
            start = time.perf_counter()
            outputs = model(model.preprocess([picture]), tasks=tasks)
            network = time.perf_counter()
            model.scenes(outputs, tasks, threshold=0.5)
            end = time.perf_counter()
            requests[name].append(end - start)
            if name == "all":
                steps["finishing"].append(end - network)
                for step, seconds in outputs.seconds.items():
                    steps[step].append(seconds)
    return requests, steps


def in_milliseconds(seconds: Seconds) -> dict[str, float]:
    """Medians without the warm-up."""
    return {name: round(1000 * statistics.median(values[WARM_UP:]), 1) for name, values in seconds.items()}


def processor() -> str:
    """What the system calls its processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
