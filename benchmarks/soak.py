"""Run a live stream for long: `python benchmarks/soak.py [--minutes 10] [--budget 60ms] [--fps 10]`.

A video of rendered scenes, a minute long and opened again whenever it ends, comes at its own times, as if it were live;
all tasks of `small` share the budget. Measured are the times of the frames, and the resident memory of the process, as
a line fitted to its samples after the first tenth of the time. Memory is flat where that line rises by at most `FLAT`;
the other target is that the 95th percentile of the time from taking a frame to its scene is within the budget. Results
go to benchmarks/results/. (Of each opening one decoded frame waits for Python's collection of cycles: in PyAV a frame
and its side data refer to each other.)
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch
from measuring import machine

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.model.ledger import seconds_of
from scenekit.streaming.stream import SceneStream

LENGTH = 60.0
"""Seconds of the video."""
INTERVAL = 1.0
"""Seconds between two samples of the memory."""
WARM_UP = 0.1
"""Share of the time after which the memory counts."""
FLAT = 0.5
"""MB per minute that memory may rise."""


def main() -> None:
    """Run the stream, and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--budget", default="60ms", help="less than all tasks take together")
    parser.add_argument("--fps", type=float, default=10.0, help="frames per second of the recording")
    parser.add_argument("--images", type=int, default=50, help="rendered scenes of the recording")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = {**machine(torch.device("cpu")), **measured(arguments)}
    write_atomically(arguments.out, (json.dumps(result, indent=2) + "\n").encode())
    print(json.dumps(result, indent=2))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return counts, times and memory of a stream of so many minutes."""
    model, seconds = sk.load("small"), 60 * arguments.minutes
    ledger = sk.cost(model)
    with tempfile.TemporaryDirectory() as name:
        clip = written(Path(name) / "clip.mp4", arguments.images, arguments.fps)
        frames = looping(clip, arguments.fps, seconds)
        with sk.stream(model, frames, budget=arguments.budget, ledger=ledger, paced=True) as scenes:
            samples = resident(scenes)
    stats, budget = scenes.stats.to_json(), 1e3 * seconds_of(arguments.budget)
    p95 = stats["times"]["end_to_end"]["p95_ms"]
    return {
        "minutes": arguments.minutes,
        "frames_per_second": arguments.fps,
        "budget_ms": budget,
        "p95_ms": p95,
        "p95_within_budget": p95 <= budget,
        **memory([(when, size) for when, size in samples if when >= WARM_UP * seconds]),
        "scenes_per_second": stats["scenes_per_second"],
        "frames": stats["frames"],
        "ran": stats["ran"],
        "times": stats["times"],
    }


def written(path: Path, images: int, fps: float) -> Path:
    """Write rendered scenes, again and again, as a video of `LENGTH` seconds."""
    data = sk.dataset("synthetic", "test")
    rendered = [data[number].image for number in range(images)]
    with sk.VideoWriter(path, rate=fps) as writer:
        for number in range(round(LENGTH * fps)):
            writer.write(rendered[number % images], number / fps)
    return path


def looping(clip: Path, fps: float, seconds: float) -> Iterator[sk.VideoFrame]:
    """Yield the frames of a video that begins again and again, with times that go on."""
    numbers = iter(range(int(fps * seconds)))
    while True:
        with sk.video(clip) as frames:
            for frame in frames:
                if (number := next(numbers, None)) is None:
                    return
                yield replace(frame, moment=sk.Moment(number / fps, number))


def resident(scenes: SceneStream) -> list[tuple[float, float]]:
    """Run a stream to its end, and return (seconds, MB of resident memory)."""
    process, began, samples = psutil.Process(), time.perf_counter(), list[tuple[float, float]]()
    for scene in scenes:
        if isinstance(scene, sk.Scene):
            scene.to_json()
        now = time.perf_counter() - began
        if not samples or now >= samples[-1][0] + INTERVAL:
            samples.append((now, process.memory_info().rss / 2**20))
    return samples


def memory(samples: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the first and last memory, each a median of a tenth of the samples, and the slope between."""
    times, sizes = zip(*samples, strict=True)
    few = max(1, len(sizes) // 10)
    slope = 60 * statistics.linear_regression(times, sizes).slope
    return {
        "first_mb": round(statistics.median(sizes[:few]), 1),
        "last_mb": round(statistics.median(sizes[-few:]), 1),
        "slope_mb_per_minute": round(slope, 3),
        "memory_flat": slope <= FLAT,
    }


if __name__ == "__main__":
    main()
