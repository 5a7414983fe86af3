"""Compare the speed of scenekit with alternatives: `python benchmarks/speed.py [--device cuda] [--parts ...]`.

`torchvision`: Mask R-CNN R50-FPN in torchvision and in scenekit, same weights and image: inference and a training step,
which scenekit also takes with gradient checkpointing.
`tasks`: the shipped model `small` on held-out synthetic scenes, from memory to the finished Scene, with a score
threshold of 0.5: all tasks in one pass against one network per task, and the dense tasks against boxes and masks alone.
`batches`: lists of images that `small` predicts, four at a time against one at a time: held-out scenes in memory, the
same as JPEG files of mixed sizes, and as photographs of several megapixels.
`start`: fresh processes that import scenekit and print its help.

Times are medians of alternating runs; peak memory is measured in fresh processes. On a GPU everything is bfloat16 and
channels-last, for batches of 1 and 8, timed by CUDA events. The table marks missed targets, and goes to
benchmarks/results/speed_cpu.json (or speed_cuda.json). It takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import peers
import torch
from measuring import Row, Run, answer_of, interleaved, machine, milliseconds, peak_of
from PIL import Image

import scenekit as sk
from scenekit.io.files import write_atomically
from scenekit.keys import OBJECTS

PARTS = ("torchvision", "tasks", "batches", "start")
WORK = {"inference": peers.inference, "training": peers.training}
WHOSE = ("ours", "theirs")
TARGETS = {"inference": (0.85, 0.9), "training": (1.0, 1.0), peers.RECOMPUTED: (1.3, 0.9)}
"""Upper limits of time and peak memory: of torchvision's, and with gradient checkpointing of ours without."""
THRESHOLD = 0.5
PIXELS = ("semantic", "masks", "keypoints", "panoptic")
"""Dense tasks, with predictions per pixel."""
SEPARATE = tuple(
    (task,) for task in ("masks", "keypoints", "semantic", "attributes", "captions", "relations", "boxes3d", "meshes")
)
"""The networks that the joint one replaces; all but `semantic` detect boxes as well."""
BATCH = 4
SHAPES = (320, 240), (240, 320), (320, 320), (256, 192)
"""Widths and heights of files of mixed sizes."""
LARGE = (2400, 1800)
"""Width and height of files of photographs."""


def main() -> None:
    """Measure, print and write the table; with `--peak`, print the peak memory of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each Mask R-CNN")
    parser.add_argument("--images", type=int, default=20, help="images for the part `tasks`")
    parser.add_argument("--starts", type=int, default=10, help="number of fresh processes")
    parser.add_argument("--out", type=Path, help="file of the results")
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
    """Run the requested parts; rows are printed as they are measured."""
    rows: dict[str, Any] = {}
    details: dict[str, Any] = {}
    print(f"{'measured':44} {'value':>9} {'against':>9}      {'ratio':>6} {'target':>6}")
    parts = {"torchvision": against_torchvision, "tasks": all_tasks, "batches": in_batches, "start": starting}
    for name in arguments.parts:
        for row in parts[name](arguments, details):
            rows[row.measured] = row.to_json()
            numbers = f"{row.value:9.1f} {row.reference:9.1f} {row.unit:4} {row.ratio:6.3f} {row.target:6.2f}"
            print(f"{row.measured:44} {numbers}  {'met' if row.met else 'MISSED'}", flush=True)
    return {"comparisons": rows, **details}


def against_torchvision(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Yield rows of Mask R-CNN: time and peak memory of inference and training against torchvision's."""
    batches = (1, 8) if arguments.device.type == "cuda" else (1,)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peers.write_twins(folder)
        for work, batch in ((work, batch) for work in WORK for batch in batches):
            title = f"Mask R-CNN {work}, batch {batch}"
            whose = WHOSE if work == "inference" else (*WHOSE, peers.RECOMPUTED)
            runs = {who: WORK[work](who, folder, arguments.device, batch) for who in whose}
            if work == "inference":
                details[f"{title}: detections"] = detections(runs)
            seconds = interleaved(runs, arguments.repeats, arguments.device)
            del runs
            times = {who: milliseconds(seconds[who]) for who in whose}
            peaks = {who: peak(arguments, work, who, batch, folder) for who in whose}
            yield from compared(title, times, peaks, WHOSE, TARGETS[work])
            if peers.RECOMPUTED in whose:
                against = (peers.RECOMPUTED, "ours")
                yield from compared(
                    f"{title}, with checkpointing to without", times, peaks, against, TARGETS[peers.RECOMPUTED]
                )


def compared(
    title: str,
    times: Mapping[str, float],
    peaks: Mapping[str, float],
    pair: tuple[str, str],
    targets: tuple[float, float],
) -> Iterator[Row]:
    """Yield the time and the peak memory of the first of a pair against the second."""
    yield Row(title, *(times[who] for who in pair), "ms", targets[0])
    yield Row(f"{title}: peak", *(peaks[who] for who in pair), "MiB", targets[1])


def detections(runs: Mapping[str, Run]) -> dict[str, int]:
    """Return the number of detections of both, to show that their workloads are equal."""
    ours: Any = runs["ours"]()
    theirs: Any = runs["theirs"]()
    return {"ours": sum(len(scene.objects) for scene in ours), "theirs": sum(len(found["boxes"]) for found in theirs)}


def peak(arguments: argparse.Namespace, work: str, whose: str, batch: int, folder: Path) -> float:
    """Return the peak memory in MiB, measured in a process of its own."""
    settings = "--device", str(arguments.device), "--threads", str(arguments.threads)
    return float(answer_of(Path(__file__), *settings, "--peak", work, whose, str(batch), str(folder)))


def all_tasks(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Yield rows of `small`: dense tasks at most 1.4 times boxes and masks, all tasks 0.45 times separate networks."""
    joint = placed(sk.load("small"), arguments.device)
    parts = {" + ".join(tasks): placed(part_of(joint, tasks), arguments.device) for tasks in SEPARATE}
    data = sk.dataset("synthetic", "test")
    inputs = [data[index].image for index in range(arguments.images)]
    for batch in (1, 8) if arguments.device.type == "cuda" else (1,):
        requests: dict[str, list[float]] = {}
        steps: dict[str, list[float]] = {}
        for start in range(0, len(inputs) - batch + 1, batch):
            images = inputs[start : start + batch]
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


def in_batches(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Yield rows of lists that `small` predicts in batches, to one image at a time: at most as long."""
    model = placed(sk.load("small"), arguments.device)
    data = sk.dataset("synthetic", "test")
    scenes = [data[index].image for index in range(arguments.images)]
    with tempfile.TemporaryDirectory() as name:
        sources: dict[str, list[Any]] = {
            "in memory": list(scenes),
            "files of mixed sizes": written(scenes, Path(name) / "mixed", SHAPES),
            "large files": written(scenes[: 2 * BATCH], Path(name) / "large", (LARGE,)),
        }
        for source, images in sources.items():
            runs: dict[str, Run] = {
                "batches": lambda images=images: model.predict(images, batch_size=BATCH),
                "list": lambda images=images: model.predict(images),
                "alone": lambda images=images: [model.predict(image) for image in images],
            }
            seconds = interleaved(runs, arguments.repeats, arguments.device)
            ms = {name: milliseconds(values) / len(images) for name, values in seconds.items()}
            details[f"small, {source}: ms per image"] = {name: round(value, 2) for name, value in ms.items()}
            yield Row(f"small, {source}, list to one by one", ms["list"], ms["alone"], "ms", 1.0)
            yield Row(f"small, {source}, batch {BATCH} to one by one", ms["batches"], ms["alone"], "ms", 1.0)


def written(images: Sequence[torch.Tensor], folder: Path, shapes: Sequence[tuple[int, int]]) -> list[Path]:
    """Write images as JPEG files of these widths and heights in turn."""
    folder.mkdir()
    for number, image in enumerate(images):
        resized = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(shapes[number % len(shapes)])
        resized.save(folder / f"{number:03}.jpg", quality=90)
    return sorted(folder.iterdir())


def part_of(model: sk.SceneModel, tasks: Collection[str]) -> sk.SceneModel:
    """Build a network with only these tasks and the same weights."""
    config = model.config.model_copy(update={"tasks": {name: model.config.tasks[name] for name in tasks}})
    part = sk.build(config, model.vocabulary)
    part.load_state_dict({name: value for name, value in model.state_dict().items() if name in part.state_dict()})
    return part.eval()


def placed(model: sk.SceneModel, device: torch.device) -> sk.SceneModel:
    """Move the model to the device, channels-last on a GPU."""
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
    """Return the seconds of each request for one batch of images."""
    requests = {"all tasks": None, "pixels": PIXELS, "boxes": boxes_of(joint), **{task: [task] for task in joint.tasks}}
    runs: dict[str, Run] = {name: lambda tasks=tasks: predict(joint, images, tasks) for name, tasks in requests.items()}
    for name, part in parts.items():
        # Stages that no requested task needs do not run: the semantic network does not detect boxes.
        runs[f"network of {name}"] = lambda part=part: predict(part, images, part.tasks)
    return interleaved(runs, 1, device, warm_up)


@torch.inference_mode()
def predict(model: sk.SceneModel, images: list[torch.Tensor], tasks: Collection[str] | None) -> list[sk.Scene]:
    """Predict scenes for images in memory."""
    with torch.autocast("cuda", torch.bfloat16, enabled=model.device.type == "cuda"):
        outputs = model(model.preprocess(images), tasks=tasks, threshold=THRESHOLD)
        return model.scenes(outputs, tasks, threshold=THRESHOLD)


@torch.inference_mode()
def steps_of(model: sk.SceneModel, images: list[torch.Tensor], device: torch.device) -> dict[str, list[float]]:
    """Return the seconds of each step of the joint pass."""
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
    """Return the stages that provide OBJECTS."""
    return [name for name, step in model.plan.steps.items() if OBJECTS in step.provides]


def add(columns: dict[str, list[float]], more: Mapping[str, list[float]]) -> None:
    """Append to each column."""
    for name, values in more.items():
        columns.setdefault(name, []).extend(values)


def starting(arguments: argparse.Namespace, details: dict[str, Any]) -> Iterator[Row]:
    """Yield rows of fresh processes: `import scenekit` and the help in less than half a second."""
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
