"""Time the exact IoU of oriented 3D boxes: `OMP_NUM_THREADS=1 python benchmarks/iou3d.py [--repeats 20]`.

All pairs of 100 x 100 boxes with random orientations, on one thread: crowded, so that nearly all pairs overlap, and
spread over 20 m, as in a scene. Results are wall time and CPU time; compare CPU time if other programs use the same
cores (`load_average`). Target: 0.5 s. If manifold3d is installed, the volumes of some pairs are compared with its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import machine
from torch import Tensor

from scenekit.io.files import write_atomically
from scenekit.ops.iou3d import box3d_overlap
from scenekit.ops.rotations import random_rotations
from scenekit.structures import Boxes3D

COUNT = 100
SPREADS = {"crowded": 0.3, "spread over 20 m": 10.0}
"""Half the side of the cube of the centers, in metres."""

TRIANGLES = np.array(
    [
        *([0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4]),
        *([1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7]),
    ]
)


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "iou3d.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    boxes = {name: [corners(spread, generator) for _ in range(2)] for name, spread in SPREADS.items()}
    cases = {name: measured(first, second, arguments.repeats) for name, (first, second) in boxes.items()}
    result: dict[str, Any] = {
        **machine(torch.device("cpu")),
        "load_average": round(os.getloadavg()[0], 1),
        "pairs": COUNT**2,
        "cases": cases,
    }
    if importlib.util.find_spec("manifold3d"):
        result["largest_difference_to_manifold3d"] = difference(*boxes["crowded"])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


def corners(spread: float, generator: torch.Generator) -> Tensor:
    """Draw boxes with sides from 0.5 to 2 m and return their corners."""
    center = (torch.rand(COUNT, 3, dtype=torch.float64, generator=generator) * 2 - 1) * spread
    size = torch.rand(COUNT, 3, dtype=torch.float64, generator=generator) * 1.5 + 0.5
    return Boxes3D(center, size, random_rotations(COUNT, dtype=center.dtype, generator=generator)).corners


def measured(first: Tensor, second: Tensor, repeats: int) -> dict[str, float]:
    """Return medians over calls, after a warm-up, and the fraction of pairs that overlap."""
    volume, _ = box3d_overlap(first, second)
    clock, processor = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        box3d_overlap(first, second)
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    return {
        "overlapping_share": round(float((volume > 0).float().mean()), 3),
        "median_seconds": round(statistics.median(clock), 4),
        "median_processor_seconds": round(statistics.median(processor), 4),
    }


def difference(first: Tensor, second: Tensor) -> float:
    """Return the largest difference of the volumes, in cubic metres, over one pair of each row."""
    import manifold3d

    volume, _ = box3d_overlap(first, second)
    a, b = (
        [manifold3d.Manifold(manifold3d.Mesh64(solid.numpy(), TRIANGLES)) for solid in boxes]
        for boxes in (first, second)
    )
    return max(abs((a[i] ^ b[i]).volume() - volume[i, i].item()) for i in range(COUNT))


if __name__ == "__main__":
    main()
