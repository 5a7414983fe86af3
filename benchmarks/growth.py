"""Measure how time grows with work: `python benchmarks/growth.py [--sweeps batch objects tasks pixels] [--quick]`.

All with the shipped model `small`, from decoded pixels to Scenes, on one rendered image:
`batch`: all tasks for batches of 1 to 32 images.
`objects`: all tasks for 1 to 1,000 external boxes of one size, whose labels cycle through all classes.
`tasks`: boxes alone, then one task more at a time, in the order in which they run.
`pixels`: all tasks on the image scaled to widths of 320 to 1,600 pixels, which the network gets as they are; the 10
best detections of each go to the heads.
Batches and pixels are measured again while glibc keeps freed memory in the process: by default it returns that of
large tensors to the kernel, which fills the pages of the next one with zeros.

Times are medians of alternating runs. The exponent b is that of a * amount^b, fitted to logarithms: 1 is linear. Small
amounts show what a pass costs anyway, so there is a second one for the upper half of the amounts, which lasts longer.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import Run, interleaved, machine, milliseconds
from torch import Tensor

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.model.measuring import pixels_of
from scenekit.scene import Objects

CPU = torch.device("cpu")
SIZE = (240, 320)
BOX = (48, 64)
DETECTIONS = 10

Amounts = Sequence[int]
Sweep = Callable[[sk.SceneModel, Amounts], Mapping[int, Run]]
"""Returns a run for each amount of work."""


def main() -> None:
    """Measure the sweeps, fit the exponents, write and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=tuple(SWEEPS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="three small amounts of each, once")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "growth.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    amounts, repeats = (QUICK, 1) if arguments.quick else (AMOUNTS, arguments.repeats)
    model = sk.load("small")
    found: dict[str, list[dict[str, Any]]] = {}
    for name in arguments.sweeps:
        found[name] = points(name, SWEEPS[name](model, amounts[name]), repeats)
    if keep_memory():
        for name in LARGE.intersection(arguments.sweeps):
            kept = points(name, SWEEPS[name](model, amounts[name]), repeats)
            for row, again in zip(found[name], kept, strict=True):
                row["milliseconds_with_memory_kept"] = again["milliseconds"]
    fitted = {name: exponents(rows) for name, rows in found.items()}
    print(json.dumps(fitted, indent=1))
    result = {**machine(CPU), "repeats": repeats, "exponents": fitted, **found}
    write_atomically(arguments.out, (json.dumps(result, indent=1) + "\n").encode())


def points(name: str, runs: Mapping[int, Run], repeats: int) -> list[dict[str, Any]]:
    """Return time and images per second for each amount of work, medians of alternating runs."""
    seconds = interleaved({str(amount): run for amount, run in runs.items()}, repeats, CPU)
    rows = []
    for amount in runs:
        median = statistics.median(seconds[str(amount)])
        images = amount if name == "batch" else 1
        rows.append(
            {
                name: amount,
                "milliseconds": milliseconds(seconds[str(amount)]),
                "images_per_second": round(images / median, 3),
            }
        )
        print(rows[-1], flush=True)
    return rows


def keep_memory() -> bool:
    """Have glibc keep all freed memory in this process from now on; return False where there is no glibc."""
    try:
        glibc = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    m_trim_threshold, m_mmap_max = -1, -4
    return bool(glibc.mallopt(m_mmap_max, 0) and glibc.mallopt(m_trim_threshold, 2**31 - 1))


def exponents(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the exponent of time over all amounts, and over the upper half of them."""
    table = [(next(iter(row.values())), row["milliseconds"]) for row in rows]
    return {"all": exponent(table), "upper_half": exponent(table[len(table) // 2 :])}


def exponent(table: Sequence[tuple[float, float]]) -> float:
    """Return b of time = a * amount^b: the slope of a line through the logarithms of (amount, time)."""
    amounts, times = zip(*table, strict=True)
    line = statistics.linear_regression([math.log(amount) for amount in amounts], [math.log(time) for time in times])
    return round(line.slope, 3)


def batches(model: sk.SceneModel, amounts: Amounts) -> Mapping[int, Run]:
    """Return runs of so many images in one batch."""
    image = scaled(SIZE)
    return {amount: partial(model.predict, [image] * amount, batch_size=amount) for amount in amounts}


def objects(model: sk.SceneModel, amounts: Amounts) -> Mapping[int, Run]:
    """Return runs with so many external objects."""
    image, classes = scaled(SIZE), len(model.vocabulary.things)
    return {amount: partial(model.predict, image, given={sk.OBJECTS: tiled(amount, classes)}) for amount in amounts}


def tiled(count: int, classes: int) -> Objects:
    """Return boxes of equal size on a lattice that spans the image; where there are many, they overlap."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    places = torch.arange(count)
    x = (places % columns) * (SIZE[1] - BOX[1]) / max(columns - 1, 1)
    y = (places // columns) * (SIZE[0] - BOX[0]) / max(rows - 1, 1)
    return Objects(torch.stack((x, y, x + BOX[1], y + BOX[0]), dim=1), places % classes)


def tasks(model: sk.SceneModel, amounts: Amounts) -> Mapping[int, Run]:
    """Return runs of boxes and so many tasks less one."""
    image = scaled(SIZE)
    boxes = [name for name in model.core_stages if sk.OBJECTS in model.plan.steps[name].provides]
    wanted = [*boxes, *(name for name in model.plan.order if name in model.tasks)]
    return {amount: partial(model.predict, image, wanted[: len(boxes) - 1 + amount]) for amount in amounts}


def pixels(model: sk.SceneModel, amounts: Amounts) -> Mapping[int, Run]:
    """Return runs on images of so many pixels."""
    runs: dict[int, Run] = {}
    for amount in amounts:
        height = math.isqrt(amount * 3 // 4)
        size = height, amount // height
        runs[amount] = partial(of_size(model, size).predict, scaled(size), threshold=0.0)
    return runs


def of_size(model: sk.SceneModel, size: tuple[int, int]) -> sk.SceneModel:
    """Return the same network for inputs of that size, with a fixed number of detections."""
    config = model.config
    detector = dict(config.detector_options)
    detector["box_head"] = {**detector["box_head"], "detections": DETECTIONS, "score_threshold": 0.0}
    seen = config.input.model_copy(update={"min_size": size[0], "max_size": size[1]})
    other = sk.build(config.model_copy(update={"input": seen, "detector_options": detector}), model.vocabulary)
    other.load_state_dict(model.state_dict())
    return other.eval()


def scaled(size: tuple[int, int]) -> Tensor:
    """Return the rendered image, [3 H W] in 0..255."""
    return pixels_of(None, size).round().to(torch.uint8)


SWEEPS: Mapping[str, Sweep] = {"batch": batches, "objects": objects, "tasks": tasks, "pixels": pixels}
LARGE = {"batch", "pixels"}
"""Sweeps with large tensors."""
AMOUNTS: Mapping[str, Amounts] = {
    "batch": (1, 2, 4, 8, 16, 32),
    "objects": (1, 3, 10, 30, 100, 300, 1000),
    "tasks": tuple(range(1, 11)),
    "pixels": tuple(width * width * 3 // 4 for width in (320, 480, 640, 800, 1120, 1600)),
}
QUICK: Mapping[str, Amounts] = {
    "batch": (1, 2, 3),
    "objects": (1, 10, 30),
    "tasks": (1, 4, 10),
    "pixels": (96 * 72, 160 * 120, 320 * 240),
}

if __name__ == "__main__":
    main()
