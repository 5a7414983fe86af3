"""Measurements for benchmarks: times of alternating runs, memory of fresh processes, description of the machine."""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

from scenekit.model.timing import StepTimer

Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One row of the table: value, reference value, and the upper limit of their ratio."""

    measured: str
    value: float
    reference: float
    unit: str
    target: float

    @property
    def ratio(self) -> float:
        """Value divided by the reference."""
        return self.value / self.reference

    @property
    def met(self) -> bool:
        """Whether the ratio is within the target."""
        return self.ratio <= self.target

    def to_json(self) -> dict[str, Any]:
        """Return the row as it is written to the results."""
        numbers = {"value": round(self.value, 3), "reference": round(self.reference, 3), "unit": self.unit}
        return {**numbers, "ratio": round(self.ratio, 3), "target": self.target, "met": self.met}


def interleaved(
    runs: Mapping[str, Run], repeats: int, device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds of alternating runs, so that other load on the machine affects all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(warm_up + repeats):
        for name, run in runs.items():
            timer = StepTimer(device)
            with timer.step(name):
                run()
            if repeat >= warm_up:
                seconds[name].append(timer.seconds[name])
    return seconds


def milliseconds(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return round(1000 * statistics.median(seconds), 2)


def peak_of(run: Run, device: torch.device, repeats: int = 2) -> float:
    """Return the peak memory of `run` in MiB: of the whole process on a CPU, of torch's allocator on a GPU."""
    for _ in range(repeats):
        run()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resident_peak()


def resident_peak() -> float:
    """Return the peak resident memory of this process in MiB.

    Linux is not measured by `getrusage`, whose maximum a process inherits from its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts in bytes


def answer_of(script: Path, *arguments: str) -> Any:
    """Run `script` with `arguments` in a new process and return the JSON in the last line of its output."""
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script.name} {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine(device: torch.device) -> dict[str, str]:
    """Describe the machine: CPU or GPU, threads, versions."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"{processor()}, {torch.get_num_threads()} threads"
    versions = {"python": platform.python_version(), "torch": torch.__version__, "torchvision": torchvision.__version__}
    return {
        "device": name,
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        **versions,
    }


def processor() -> str:
    """Return the name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
