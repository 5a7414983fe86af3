"""Checkpoints of a run, from which it can be resumed exactly.

A checkpoint `checkpoints/step_00000500/` holds the model as `scenekit.load` reads it (with averaged weights, where the
run averages), and `state.pt` with everything else. Random numbers need no state: they are drawn from (seed, step).
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenekit.errors import InputError, listed
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import save_model, writing

FORMAT_VERSION = 1
"""Version of `state.pt`."""

ENTRIES = ("step", "weights", "optimizer", "ema", "scaler", "window")
"""Required entries of `state.pt`."""

CHECKPOINTS, STATE = "checkpoints", "state.pt"

UNFINISHED = ".unfinished"
"""End of the name of a checkpoint that is being written, also a part of the name of one that is being removed."""

SHOWN = 3
"""Number of parameter names that a message lists."""


def save_checkpoint(out: Path, step: int, model: SceneModel, state: Mapping[str, Any], keep: int) -> Path:
    """Write a checkpoint, atomically, and remove all but the latest ones.

    Args:
        out: Folder of the run.
        step: Number of finished steps.
        model: The model as it would be used.
        state: Entries of `state.pt` other than the step.
        keep: Number of checkpoints to keep.

    Returns:
        Folder of the checkpoint.
    """
    folder = out / CHECKPOINTS / f"step_{step:08d}"
    with replacing(folder) as unfinished:
        save_model(model, unfinished, extra={"step": step})
        with writing(unfinished / STATE), open(unfinished / STATE, "wb") as file:  # a path hides why it fails
            torch.save({"format_version": FORMAT_VERSION, "step": step, **state}, file)
    for old in checkpoints(out)[:-keep]:
        remove(old)
    return folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Provide a folder beside another one to write to; on success it takes its place, else it is removed.

    Args:
        folder: The folder that is replaced, if it is there.

    Yields:
        The folder to write to.

    Raises:
        InputError: If it cannot be renamed.
    """
    unfinished = folder.with_name(f".{folder.name}{UNFINISHED}")
    try:
        yield unfinished
        with writing(folder):
            remove(folder)
            os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder, if it is there; a run that is killed meanwhile leaves none that looks complete.

    Args:
        folder: Folder of a checkpoint or a model.
    """
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}{UNFINISHED}.{os.getpid()}")
        os.replace(folder, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def clear_leftovers(out: Path) -> None:
    """Remove what a killed run left of folders that it was writing or removing.

    Args:
        out: Folder of the run.
    """
    for folder in (*out.glob(f".*{UNFINISHED}*"), *(out / CHECKPOINTS).glob(f".*{UNFINISHED}*")):
        shutil.rmtree(folder, ignore_errors=True)


def check_finite(state: Mapping[str, Tensor], step: int) -> None:
    """Check that weights are finite before they are written.

    Args:
        state: Weights by name.
        step: Number of finished steps.

    Raises:
        InputError: If a tensor holds NaN or an infinity; the message names it.
    """
    bad = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise InputError(
            f"after step {step} the weights are no longer finite ({listed(bad, SHOWN)}), and are not written; lower "
            "train.lr or train.weight_decay, and resume from the checkpoint before, if there is one"
        )


def checkpoints(out: Path) -> list[Path]:
    """List the complete checkpoints of a run.

    Args:
        out: Folder of the run.

    Returns:
        Folders of the checkpoints, oldest first.
    """
    return sorted((out / CHECKPOINTS).glob("step_*"))


def load_state(folder: Path) -> dict[str, Any]:
    """Load the state of a checkpoint; only tensors and plain data are read.

    Args:
        folder: Folder of the checkpoint.

    Returns:
        The entries of `state.pt`.

    Raises:
        InputError: If the file is missing, damaged, incomplete or of another version.
    """
    path = folder / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; remove {folder} to resume from the previous checkpoint") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: damaged or cut off; remove {folder} to use the previous checkpoint") from error
    version = state.get("format_version") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: expected format version {FORMAT_VERSION}, got {version!r}; use a matching scenekit")
    missing = [name for name in ENTRIES if name not in state]
    if missing:
        raise InputError(f"{path}: {missing[0]!r} is missing; remove {folder} to resume from the previous checkpoint")
    return dict(state)
