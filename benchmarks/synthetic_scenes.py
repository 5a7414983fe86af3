"""Time the rendering of synthetic scenes: `OMP_NUM_THREADS=1 python benchmarks/synthetic_scenes.py [--scenes 50]`.

320x240 pixels with all annotations but amodal masks, one process, one core, CPU time and wall time; medians after a
warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from scenekit.io.files import write_atomically
from scenekit_datasets.synthetic import generate

WARM_UP = 5


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "synthetic_scenes.json")
    arguments = parser.parse_args()
    wall, processor = [], []
    for index in range(WARM_UP + arguments.scenes):
        began, worked = time.perf_counter(), time.process_time()
        generate(3, index)
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    result = {
        "scenes": arguments.scenes,
        "wall_seconds": spread(wall[WARM_UP:]),
        "processor_seconds": spread(processor[WARM_UP:]),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


def spread(values: list[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    named = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in named.items()}


if __name__ == "__main__":
    main()
