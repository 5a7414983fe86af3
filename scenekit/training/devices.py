"""Device, processes and random seeds of a run."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState

from scenekit.errors import InputError, warn_once

_log = logging.getLogger(__name__)


@contextmanager
def accelerator_for(precision: str, device: str | None) -> Iterator[Accelerator]:
    """Provide an accelerator for the time of a run.

    accelerate keeps one state per Python process; it is cleared afterwards, so that the next run may choose another
    device.

    Args:
        precision: Mixed precision: "no", "bf16" or "fp16".
        device: "cpu", "cuda", "cuda:1", "mps"; None or "auto" for the best available one.

    Yields:
        The accelerator.

    Raises:
        InputError: If the device is unknown or not available.
    """
    on_cpu = _select(device)
    # A head without labels contributes zeros, but a third party's may leave parameters without a gradient.
    tolerant = DistributedDataParallelKwargs(find_unused_parameters=True)
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    accelerator = Accelerator(mixed_precision=precision, cpu=on_cpu, kwargs_handlers=[tolerant])
    if precision == "bf16" and accelerator.device.type == "cpu" and not fast_bfloat16():
        warn_once(_log, "this processor has no instructions for bfloat16: train.precision: bf16 is slower here than no")
    try:
        yield accelerator
    finally:
        AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())


def _select(device: str | None) -> bool:
    """Make `device` the current one; return whether it is the CPU."""
    if device in (None, "auto"):
        return False
    try:
        wanted = torch.device(str(device))
    except RuntimeError as error:
        raise InputError(f"unknown device {device!r}; expected cpu, cuda, cuda:1, mps or auto") from error
    if wanted.type == "cpu":
        return True
    if not torch.accelerator.is_available() or torch.accelerator.current_accelerator() != torch.device(wanted.type):
        raise InputError(f"device {device!r} is not available here; use cpu or auto")
    if wanted.index is not None:
        if wanted.index >= torch.accelerator.device_count():
            raise InputError(f"device {device!r} does not exist; there are {torch.accelerator.device_count()}")
        torch.accelerator.set_device_index(wanted.index)
    return False


def fast_bfloat16() -> bool:
    """Return whether the CPU computes in bfloat16, or torch does not say (before 2.11)."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return not capabilities or any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def seed_step(seed: int, step: int, rank: int) -> None:
    """Set the seed of every global random number generator from (seed, step, process) alone.

    Args:
        seed: Seed of the run.
        step: Optimizer step.
        rank: Number of this process.
    """
    number = random.Random(f"step/{seed}/{step}/{rank}").getrandbits(62)
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)
