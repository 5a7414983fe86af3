"""Count what scenekit survives: `python benchmarks/survival.py [inputs] [kills] [disks] [--out FILE.json]`.

inputs: the properties of tests/properties on thousands of hostile files each; every file must be read as something
    sound or refused in one line.
kills: a training run that is killed at random moments, during imports and while checkpoints are written or removed, and
    resumed each time. After each kill, every checkpoint must load; in the end, the weights must be those of a run that
    was not interrupted, to the bit, and the log must have each step once.
disks: the same run, and other commands that write, on a file system too small for them (a tmpfs: Linux, as root). The
    command must end with status 2 and one line that says why; checkpoints that were complete before must load, and
    nothing half-written may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from measuring import machine
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from scenekit.io.files import plain, write_atomically
from scenekit.training.state import checkpoints, load_state
from scenekit.weights import load

REPOSITORY = Path(__file__).resolve().parent.parent
STEPS = 100
RECIPE: Mapping[str, Any] = {
    "model": {
        "input": {"min_size": 64, "max_size": 64},
        "backbone": {"name": "mobilenet_v3_small", "options": {"norm": "frozen"}},
        "pyramid": {"channels": 16},
        "detector_options": {"box_head": {"fcs": [16]}},
        "tasks": {"masks": {"channels": 8, "convs": 1}},
    },
    "data": {
        "train": [
            {"name": "synthetic", "options": {"length": 8, "size": [48, 64], "keys": ["masks"], "cache": False}},
        ]
    },
    "train": {"steps": STEPS, "batch_size": 2, "workers": 0, "log_every": 1, "save_every": 1, "keep": 2},
}
SMALL = (4096, 8192)
"""Sizes in bytes of file systems for commands that write little."""
ENDINGS = (
    "full disks",
    "named in one line, status 2",
    "whole checkpoints left",
    "broken checkpoints left",
    "files left half-written",
)
QUIET: Mapping[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TEST, CASES = re.compile(r"\S*/test_(\w+)\.py::(\w+):$"), re.compile(r"(\d+) passing, (\d+) failing")
"""Lines of the statistics that hypothesis prints for each property."""
FAILED = re.compile(r"(?:FAILED|ERROR) \S*/test_(\w+)\.py(?:::(\w+))?")
"""Lines of pytest's summary; of a property that fails otherwise on the same file again, there are no statistics."""


def main() -> None:
    """Run the parts that are asked for, and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["inputs", "kills", "disks", []], default=[])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--disks", type=int, default=14, help="number of sizes of the file system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "survival.json")
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for part in arguments.parts or ["inputs", "kills", "disks"]:
        with tempfile.TemporaryDirectory() as work:
            found[part] = PARTS[part](Path(work), arguments)
        print(json.dumps({part: found[part]}, indent=1), flush=True)
        result = {**machine(torch.device("cpu")), **{name: found[name] for name in PARTS if name in found}}
        write_atomically(arguments.out, (json.dumps(plain(result), indent=1) + "\n").encode())


def inputs(work: Path, arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Return by kind of file how many hostile ones were tried, and on how many a property failed."""
    options = ["-m", "thousands", "-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics", "tests/properties"]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace")
    if done.returncode:
        print(f"tests/properties failed:\n{done.stdout}{done.stderr}", file=sys.stderr)
    return counted(done.stdout)


def counted(output: str) -> dict[str, dict[str, int]]:
    """Sum the cases of each property by kind of file; a property that fails without statistics is one failure."""
    rows: dict[str, dict[str, int]] = {}
    listed: set[Any] = set()
    for line in output.splitlines():
        if test := TEST.match(line) or FAILED.match(line):
            row = rows.setdefault(test[1].replace("_", " "), {"files": 0, "failures": 0})
            row["failures"] += test.re is FAILED and test.groups() not in listed
            listed.add(test.groups())
        elif cases := CASES.search(line):
            row["files"] += int(cases[1]) + int(cases[2])
            row["failures"] += int(cases[2])
    return rows


def kills(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what became of a run that was killed and resumed again and again."""
    rng, recipe = random.Random(arguments.seed), write_recipe(work)
    trained(recipe, work / "whole").check_returncode()
    killed, broken = 0, 0
    run = work / "killed"
    while killed < arguments.kills and not (run / "model").exists():
        killed += kill(recipe, run, rng)
        broken += sum(not is_whole(folder) for folder in checkpoints(run))
    trained(recipe, run, "--resume").check_returncode()
    whole, resumed = (load_file(folder / "model" / "model.safetensors") for folder in (work / "whole", run))
    steps = [json.loads(line).get("step") for line in (run / "log.jsonl").read_text().splitlines()]
    logged = [step for step in steps if step is not None]
    return {
        "kills": killed,
        "broken checkpoints": broken,
        "final weights equal those of an uninterrupted run": same(whole, resumed),
        "each step is logged once": sorted(logged) == list(range(1, STEPS + 1)),
        "files left behind": len(leftovers(run)),
    }


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    """Return whether two files of weights are equal to the bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def kill(recipe: Path, run: Path, rng: random.Random) -> bool:
    """Start or resume the run, and kill it: one time in five while it starts, else after its first new checkpoint."""
    before = checkpoints(run)
    process = subprocess.Popen(command(recipe, run, "--resume"), **QUIET, env=environment())
    if rng.random() > 0.2:
        while process.poll() is None and checkpoints(run)[-1:] == before[-1:]:
            time.sleep(0.01)
        time.sleep(rng.random())
    else:
        time.sleep(rng.random() * 6)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def disks(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how commands end on file systems that are too small, by command."""
    recipe = write_recipe(work)
    trained(recipe, work / "whole", "--set", "train.steps=3").check_returncode()
    model, image = work / "whole" / "model", work / "image.png"
    size = sum(path.stat().st_size for path in (work / "whole").rglob("*") if path.is_file())
    Image.new("RGB", (64, 48), (90, 120, 60)).save(image)
    sizes = [int(size * (number + 0.5) / arguments.disks) for number in range(arguments.disks)]
    synthetic = ("export-data", "synthetic", "--split", "val", "--limit", 4)
    return {
        "train": full_disks(lambda disk: command(recipe, disk / "run", "--set", "train.steps=3"), sizes, work),
        "predict": full_disks(
            lambda disk: scenekit("predict", image, "--model", model, "--out", disk / "out"), SMALL, work
        ),
        "export-data": full_disks(lambda disk: scenekit(*synthetic, "--out", disk / "data"), SMALL, work),
    }


def full_disks(arguments_of: Callable[[Path], list[str]], sizes: Sequence[int], work: Path) -> dict[str, int]:
    """Run a command on file systems of these sizes in bytes, and count how it ends."""
    disk, row = work / "disk", dict.fromkeys(ENDINGS, 0)
    for size in sizes:
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
        try:
            done = subprocess.run(arguments_of(disk), capture_output=True, text=True, env=environment())
            whole = [is_whole(folder) for folder in checkpoints(disk / "run")]
            row["full disks"] += done.returncode != 0
            row["named in one line, status 2"] += done.returncode == 2 and is_named(done.stderr)
            row["whole checkpoints left"] += sum(whole)
            row["broken checkpoints left"] += len(whole) - sum(whole)
            row["files left half-written"] += len(leftovers(disk))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return row


def is_named(stderr: str) -> bool:
    """Return whether the last line says that there is no space, without a traceback above it."""
    last = stderr.strip().splitlines()[-1:]
    return (
        "Traceback" not in stderr
        and bool(last)
        and last[0].startswith("error: ")
        and "no space left" in last[0].lower()
    )


def is_whole(checkpoint: Path) -> bool:
    """Return whether model and state of a checkpoint can be loaded."""
    try:
        load(str(checkpoint))
        load_state(checkpoint)
    except Exception:
        return False
    return True


def leftovers(folder: Path) -> list[Path]:
    """Return the files and folders with hidden names, which no command leaves behind."""
    return [path for path in folder.rglob(".*")]


def trained(recipe: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the recipe to its end."""
    return subprocess.run(command(recipe, out, *options), capture_output=True, text=True, env=environment())


def command(recipe: Path, out: Path, *options: str) -> list[str]:
    """Return the command that trains."""
    return scenekit("train", recipe, "--out", out, "--device", "cpu", *options)


def scenekit(*arguments: object) -> list[str]:
    """Return a command of scenekit."""
    return [sys.executable, "-m", "scenekit", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the environment of commands: one thread, so that sums have one order."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def write_recipe(folder: Path) -> Path:
    """Write the recipe of the run."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(dict(RECIPE)))
    return path


PARTS: Mapping[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "inputs": inputs,
    "kills": kills,
    "disks": disks,
}

if __name__ == "__main__":
    main()
