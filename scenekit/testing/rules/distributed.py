"""A head learns in several processes at once, also where only one of them has labels."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from scenekit.data.sample import Sample
from scenekit.testing.bench import Bench
from scenekit.testing.check import RuleError, SkipError, check, seeded
from scenekit.testing.compare import difference
from scenekit.testing.rules.learning import trainable

TIMEOUT_S = 60.0

Gradients = Mapping[str, Tensor]


@check("let the same modules run in every process, leave labels to `learns_from`, and talk to no other process")
def two_processes(bench: Bench) -> None:
    """Two processes, one with labels and one without, agree on the mean of their gradients."""
    if not any(map(trainable, bench.parts.values())):
        raise SkipError("it has no parameters")
    if not _can_fork():
        raise SkipError("forks this process: needs Linux and no GPU in sight (CUDA_VISIBLE_DEVICES=)")
    shares = ([bench.sample(0)], [bench.sample(1, labelled=False)])
    alone = [_gradients(bench, Share(bench), samples) for samples in shares]
    expected = {name: sum(gradients[name] for gradients in alone) / 2 for name in alone[0]}
    for rank, found in enumerate(_together(bench, shares)):
        if fault := difference(expected, found):
            raise RuleError(f"process {rank} has other gradients than one process with both batches ({fault})")


class Share(nn.Module):
    """What two processes share: the model as a function of samples to the task's losses."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.model, self.bench = bench.model, bench

    def forward(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Return the losses of one process's images."""
        return self.bench.learn(samples, tasks=[self.bench.name], given=self.bench.ways[-1])


def _can_fork() -> bool:
    """Return whether processes can be forked: only a forked child gets what cannot be pickled; it may not use a GPU."""
    return sys.platform == "linux" and not torch.accelerator.is_available()


def _gradients(bench: Bench, learner: nn.Module, samples: Sequence[Sample]) -> Gradients:
    """Return gradients by parameter of the whole model; zeros where there is none."""
    bench.model.zero_grad()
    with seeded(1):
        losses = learner(samples)
    torch.autograd.backward([loss for loss in losses.values() if loss.requires_grad])
    found = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in trainable(bench.model).items()
    }
    bench.model.zero_grad()
    return found


def _together(bench: Bench, shares: Sequence[Sequence[Sample]]) -> list[Gradients]:
    """Return the gradients of each of two processes."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [(bench, samples, rank, Path(folder)) for rank, samples in enumerate(shares)]
        processes = [fork.Process(target=_one_of_two, args=each, daemon=True) for each in arguments]
        for process in processes:
            process.start()
        for process in processes:
            process.join(TIMEOUT_S)
        hanging = [rank for rank, process in enumerate(processes) if process.is_alive()]
        for process in processes:
            process.kill()
            process.join()
        if hanging:
            raise RuleError(f"process {hanging[0]} still waits for the other after {TIMEOUT_S:.0f} s")
        return [_result(Path(folder), rank) for rank in range(len(shares))]


def _result(folder: Path, rank: int) -> Gradients:
    with contextlib.suppress(FileNotFoundError):
        raise RuleError(f"process {rank} fails: {(folder / f'{rank}.txt').read_text()}")
    gradients: Gradients = torch.load(folder / f"{rank}.pt")
    return gradients


def _one_of_two(bench: Bench, samples: Sequence[Sample], rank: int, folder: Path) -> Any:
    """Run in a process of its own; write gradients, or the error, to `folder`."""
    torch.set_num_threads(1)  # the threads of the parent are not here
    try:
        meeting, limit = f"file://{folder / 'meeting'}", timedelta(seconds=TIMEOUT_S / 2)
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=limit)
        learner = DistributedDataParallel(Share(bench), find_unused_parameters=True)
        torch.save(_gradients(bench, learner, samples), folder / f"{rank}.pt")
        distributed.destroy_process_group()
    except Exception as error:
        (folder / f"{rank}.txt").write_text(f"{type(error).__name__}: {error}".splitlines()[0])
