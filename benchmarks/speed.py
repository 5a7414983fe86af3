"""How fast scenekit is, against what else one would run: `python benchmarks/speed.py [--device cuda] [--parts ...]`.

`torchvision`: Mask R-CNN R50-FPN of torchvision and ours, same weights and image: one image, one step of training.
`tasks`: the shipped model `small` on held-out synthetic scenes from memory to the finished Scene, objects from a score
of 0.5 on: all tasks in one pass against a network for each, one after another; those of the pixels against boxes and
masks alone.
`start`: fresh processes that import scenekit and print its help.

Times are medians over repeats that take turns, peaks of memory come from fresh processes that do nothing else. On a GPU
all is bfloat16 and channels-last, for batches of 1 and 8, timed by CUDA events. The table says where a target is
missed, and goes to benchmarks/results/speed_cpu.json (or speed_cuda.json). It takes some five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import Row, Run, answer_of, interleaved, machine, milliseconds, peak_of

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.keys import OBJECTS

PARTS = ("torchvision", "tasks", "start")
WORK = {"inference": peers.inference, "training": peers.training}
WHOSE = ("ours", "theirs")
THRESHOLD = 0.5
PIXELS = ("semantic", "masks", "keypoints", "panoptic")
"""Tasks that tell where things are, to the pixel."""
SEPARATE = tuple(
    (task,) for task in ("masks", "keypoints", "semantic", "attributes", "captions", "relations", "boxes3d", "meshes")
)
"""The networks that the joint one stands in for; all but `semantic` find boxes too."""


def main() -> None:
    """Measure, print and write the table; or answer with one peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="of each Mask R-CNN")
    parser.add_argument("--images", type=int, default=20, help="for the tasks")
    parser.add_argument("--starts", type=int, default=10, help="of fresh processes")
    parser.add_argument("--out", type=Path, help="another file for the results")
    parser.add_argument("--peak", nargs=4, metavar=("WORK", "WHOSE", "BATCH", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        work, whose, batch, folder = arguments.peak
        run = WORK[work](whose, Path(folder), arguments.device, int(batch))
        print(json.dumps(peak_of(run, arguments.device)))
        return
    result = {**machine(arguments.device), **measured(arguments)}
    out = arguments.out or Path(__file__).parent / "results" / f"speed_{arguments.device.type}.json"
    write_atomically(out, (json.dumps(result, indent=2) + "\n").encode())


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """All parts that were asked for; lines are printed as they come."""
    rows: dict[str, Any] = {}
    details: dict[str, Any] = {}
    print(f"{'measured':44} {'value':>9} {'against':>9}      {'ratio':>6} {'target':>6}")
    parts = {"torchvision": against_torchvision, "tasks": all_tasks, "start": starting}
    for name in arguments.parts:
        for row in parts[name](arguments, details):
            rows[row.measured] = row.to_json()
            numbers = f"{row.value:9.1f} {row.reference:9.1f} {row.unit:4} {row.ratio:6.3f} {row.target:6.2f}"
            print(f"{row.measured:44} {numbers}  {'met' if row.met else 'MISSED'}", flush=True)
    return {"comparisons": rows, **details}


def against_torchvision(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Mask R-CNN: time and peak of memory of inference and training, at most 1.05 times theirs."""
    batches = (1, 8) if arguments.device.type == "cuda" else (1,)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers.write_twins(folder)
        for work, batch in ((work, batch) for work in WORK for batch in batches):
            title = f"Mask R-CNN {work}, batch {batch}"
            runs = {whose: WORK[work](whose, folder, arguments.device, batch) for whose in WHOSE}
            if work == "inference":
                details[f"{title}: detections"] = detections(runs)
            seconds = interleaved(runs, arguments.repeats, arguments.device)
            yield Row(title, *(milliseconds(seconds[whose]) for whose in WHOSE), "ms", 1.05)
            del runs
            peaks = [peak(arguments, work, whose, batch, folder) for whose in WHOSE]
            yield Row(f"{title}: peak", *peaks, "MiB", 1.05)


def detections(runs: Mapping[str, Run]) -> dict[str, int]:
    """How many objects each finds, to show that both do the same work."""
    ours: Any = runs["ours"]()
    theirs: Any = runs["theirs"]()
    return {"ours": sum(len(scene.objects) for scene in ours), "theirs": sum(len(found["boxes"]) for found in theirs)}


def peak(arguments: argparse.Namespace, work: str, whose: str, batch: int, folder: Path) -> float:
    """MiB, in a process of its own."""
    settings = "--device", str(arguments.device), "--threads", str(arguments.threads)
    return float(answer_of(Path(__file__), *settings, "--peak", work, whose, str(batch), str(folder)))


def all_tasks(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """`small`: tasks of the pixels at most 1.4 times boxes and masks, all tasks 0.45 times the separate networks."""
    joint = placed(sk.load("small"), arguments.device)
    parts = {" + ".join(tasks): placed(part_of(joint, tasks), arguments.device) for tasks in SEPARATE}
    data = sk.dataset("synthetic", "test")
    pictures = [data[index].image for index in range(arguments.images)]
    for batch in (1, 8) if arguments.device.type == "cuda" else (1,):
        requests: dict[str, list[float]] = {}
        steps: dict[str, list[float]] = {}
        for start in range(0, len(pictures) - batch + 1, batch):
            images = pictures[start : start + batch]
            add(requests, requests_of(joint, parts, images, arguments.device, warm_up=3 if start == 0 else 0))
            add(steps, steps_of(joint, images, arguments.device))
        ms = {name: milliseconds(values) for name, values in requests.items()}
        details |= {f"small, batch {batch}: ms": ms}
        details |= {
            f"small, batch {batch}: steps in ms": {name: milliseconds(values) for name, values in steps.items()}
        }
        separate = sum(ms[f"network of {name}"] for name in parts)
        yield Row(f"small, {' + '.join(PIXELS)} to boxes + masks, batch {batch}", ms["pixels"], ms["masks"], "ms", 1.4)
        yield Row(f"small, all tasks to separate, batch {batch}", ms["all tasks"], separate, "ms", 0.45)


def part_of(model: sk.SceneModel, tasks: Collection[str]) -> sk.SceneModel:
    """A network of its own with only these tasks, and the same weights."""
    config = model.config.model_copy(update={"tasks": {name: model.config.tasks[name] for name in tasks}})
    part = sk.build(config, model.vocabulary)
    part.load_state_dict({name: value for name, value in model.state_dict().items() if name in part.state_dict()})
    return part.eval()


def placed(model: sk.SceneModel, device: torch.device) -> sk.SceneModel:
    """On its device, channels-last on a GPU."""
    if device.type != "cuda":
        return model.eval()
    return model.eval().to(device, memory_format=torch.channels_last)


def requests_of(
    joint: sk.SceneModel,
    parts: Mapping[str, sk.SceneModel],
    images: list[torch.Tensor],
    device: torch.device,
    warm_up: int,
) -> dict[str, list[float]]:
    """Seconds of everything that one may ask for, for one batch of images."""
    wanted = {"all tasks": None, "pixels": PIXELS, "boxes": boxes_of(joint), **{task: [task] for task in joint.tasks}}
    runs: dict[str, Run] = {name: lambda tasks=tasks: see(joint, images, tasks) for name, tasks in wanted.items()}
    for name, part in parts.items():
        # What a network is not asked for does not run: the semantic one never looks for boxes.
        runs[f"network of {name}"] = lambda part=part: see(part, images, part.tasks)
    return interleaved(runs, 1, device, warm_up)


@torch.inference_mode()
def see(model: sk.SceneModel, images: list[torch.Tensor], tasks: Collection[str] | None) -> list[sk.Scene]:
    """From images in memory to scenes."""
    with torch.autocast("cuda", torch.bfloat16, enabled=model.device.type == "cuda"):
        outputs = model(model.preprocess(images), tasks=tasks, threshold=THRESHOLD)
        return model.scenes(outputs, tasks, threshold=THRESHOLD)


@torch.inference_mode()
def steps_of(model: sk.SceneModel, images: list[torch.Tensor], device: torch.device) -> dict[str, list[float]]:
    """Where the time of the joint pass goes."""
    with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
        batch = model.preprocess(images)
        outputs = model(batch, threshold=THRESHOLD)
        around = interleaved(
            {
                "preprocess": lambda: model.preprocess(images),
                "finish": lambda: model.scenes(outputs, threshold=THRESHOLD),
            },
            repeats=1,
            device=device,
            warm_up=0,
        )
    return {**around, **{name: [seconds] for name, seconds in outputs.seconds.items()}}


def boxes_of(model: sk.SceneModel) -> list[str]:
    """Stages that give objects."""
    return [name for name, step in model.plan.steps.items() if OBJECTS in step.provides]


def add(columns: dict[str, list[float]], more: Mapping[str, list[float]]) -> None:
    """Append to each column."""
    for name, values in more.items():
        columns.setdefault(name, []).extend(values)


def starting(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Fresh processes: `import scenekit` and the help under half a second."""
    commands = {
        "import scenekit": [sys.executable, "-c", "import scenekit"],
        "scenekit --help": [sys.executable, "-m", "scenekit", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(arguments.starts):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        yield Row(f"{name}, to half a second", 1000 * statistics.median(values), 500.0, "ms", 1.0)


if __name__ == "__main__":
    main()
