"""What a run keeps so that it can go on exactly: checkpoint folders, the newest last.

A checkpoint `checkpoints/step_00000500/` holds the model as `scenekit.load` reads it (with averaged weights, where the
run averages), and `state.pt` with everything else. Random numbers need no state: they are drawn from (seed, step).
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scenekit.errors import InputError
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import save_model, writing

FORMAT_VERSION = 1
"""Version of `state.pt`."""

ENTRIES = ("step", "weights", "optimizer", "ema", "scaler", "window")
"""What `state.pt` cannot do without."""

CHECKPOINTS, STATE = "checkpoints", "state.pt"


def save_checkpoint(out: Path, step: int, model: SceneModel, state: Mapping[str, Any], keep: int) -> Path:
    """Write one checkpoint and remove all but the last `keep`; there never is half a one under its final name."""
    folder = out / CHECKPOINTS / f"step_{step:08d}"
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    save_model(model, unfinished, extra={"step": step})
    with writing(unfinished / STATE):
        torch.save({"format_version": FORMAT_VERSION, "step": step, **state}, unfinished / STATE)
    with writing(folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    for old in checkpoints(out)[:-keep]:
        shutil.rmtree(old)
    return folder


def checkpoints(out: Path) -> list[Path]:
    """Finished checkpoints of a run, oldest first."""
    return sorted((out / CHECKPOINTS).glob("step_*"))


def load_state(folder: Path) -> dict[str, Any]:
    """The state of a checkpoint; only tensors and plain data are read. InputError where the file is unusable."""
    path = folder / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; remove {folder} to resume from the checkpoint before") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: damaged or cut off; remove {folder} to resume from the checkpoint before") from error
    found = state.get("format_version") if isinstance(state, dict) else None
    if found != FORMAT_VERSION:
        raise InputError(f"{path}: format version {FORMAT_VERSION} is expected, got {found!r}; use a matching scenekit")
    missing = [name for name in ENTRIES if name not in state]
    if missing:
        raise InputError(f"{path}: {missing[0]!r} is missing; remove {folder} to resume from the checkpoint before")
    return dict(state)
