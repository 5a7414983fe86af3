"""Weights in files of a training run: beside other entries, under names of their own, with prefixes."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from scenekit.errors import InputError, listed, nearest, one_line, warn_once

_log = logging.getLogger(__name__)

AVERAGED = ("ema", "average", "swa")
"""Parts of the names under which an average of the weights over the training is stored; it is preferred."""

HOMES = ("model", "state_dict", "model_state_dict", "model_state", "network", "net", "params", "weights", "module")
"""Names under which weights are stored, the most usual first."""

OTHERS = ("optim", "sched", "scaler", "criterion", "rng", "callback")
"""Parts of the names of entries that are no weights of a network though they may hold tensors."""

WRAPPERS = ("module.", "_orig_mod.", "ema_model.", "model.")
"""What wrappers put before the names of parameters: DataParallel, torch.compile, averages, Lightning."""

COUNTERS = ("n_averaged", "initted", "step", "online_model.")
"""Beginnings of the names of what averages store beside the averaged weights."""

DEEPEST = 3
"""How many levels below the top weights are searched for."""

SHOWN = 8
"""How many entries of a file an error lists before it only counts."""


class Skipped(list[Any]):
    """Stands for an object of another class than a tensor's: its code is neither imported nor run."""

    def __new__(cls, *_: Any, **__: Any) -> Skipped:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, _: Any) -> None: ...


class SkippedMapping:
    """The same for files with mappings of other classes, which torch fills only where they are an OrderedDict."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[str, Any]:  # type: ignore[misc]
        return OrderedDict()


def read_content(path: Path) -> Any:
    """Return the content of a safetensors or a PyTorch file with `Skipped` for objects; no code in it is run.

    Args:
        path: The file.

    Raises:
        InputError: If the file is damaged or of another format.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        try:
            return _loaded(path, Skipped)
        except pickle.UnpicklingError:
            return _loaded(path, SkippedMapping)
    except Exception as error:  # a damaged file raises errors of many types
        reason = one_line(error)
        if isinstance(error, pickle.UnpicklingError | KeyError):  # advice to run code in it, or a byte that is unknown
            reason = "not written by torch.save, or it holds more than tensors"
        raise InputError(
            f"weights file {path} is cut off or not a weights file ({reason}); copy it again, or save the weights"
            " alone: torch.save(model.state_dict(), FILE)"
        ) from error


def _loaded(path: Path, stand_in: type) -> Any:
    with torch.serialization.safe_globals([(stand_in, name) for name in _classes(path)]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _classes(path: Path) -> list[str]:
    """Return the classes and functions that a file names beyond those of tensors; of torch's old format none."""
    return torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []


def weights_in(content: object, path: Path, own: Collection[str] = (), entry: str | None = None) -> dict[str, Tensor]:
    """Find the weights in the content of a file, and remove the prefixes of wrappers from their names.

    An average over the training goes before the weights of the last step; where there is a choice, a warning says
    which was taken.

    Args:
        content: The content.
        path: The file, for messages.
        own: Names of the network's parameters, which keep what looks like a prefix.
        entry: Name under which the weights are, with dots between levels; None for the usual ones.

    Returns:
        Tensors by name.

    Raises:
        InputError: If there are no weights, none under this name, or several whose names do not say which to use.
    """
    states = dict(_states(content))
    if not states:
        raise InputError(
            f"weights file {path}: expected a state dict (tensors by name), got {_summary(content)}; save the weights"
            " alone: torch.save(model.state_dict(), FILE)"
        )
    if entry is not None and entry not in states:
        hint = nearest(entry, states) if any(states) else "; there they have no name, leave it out"
        raise InputError(f"weights file {path} has no weights under {entry!r}{hint}")
    name = min(states, key=_rank) if entry is None else entry
    if len(states) > 1 and entry is None:
        if _rank(name) == len(HOMES):
            raise InputError(
                f"weights file {path} has weights under {listed(sorted(states), SHOWN)}; save the right ones alone:"
                " torch.save(model.state_dict(), FILE)"
            )
        others = listed((repr(other) for other in states if other != name), SHOWN)
        warn_once(_log, f"{path}: the weights under {name!r} are used, not those under {others}")
    return _unwrapped(states[name], own)


def _states(content: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield (path of names, tensors) of every state dict in the content."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if tensors and not any(isinstance(value, Mapping | Skipped | list) for value in content.values()):
        yield name, tensors
    elif depth < DEEPEST:
        for key, value in content.items():
            if not any(part in key.lower() for part in OTHERS):
                yield from _states(value, f"{name}.{key}".removeprefix("."), depth + 1)


def _rank(name: str) -> int:
    """Return the place of a state dict in the order in which they are preferred, `len(HOMES)` for unknown names."""
    parts = name.lower().split(".")
    if any(word in part for part in parts for word in AVERAGED):
        return -1
    return min((HOMES.index(part) for part in parts if part in HOMES), default=len(HOMES))


def _unwrapped(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Return the parameters without prefixes that all of them have, and without the counters of averages."""
    named = {name: value for name, value in state.items() if not name.startswith(COUNTERS)} or dict(state)
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in named) and not any(name.startswith(prefix) for name in own):
            return _unwrapped({name.removeprefix(prefix): value for name, value in named.items()}, own)
    return named


def _summary(content: object) -> str:
    """Return in words what a file holds."""
    if isinstance(content, Mapping):
        entries = (f"{key!r} ({_noun(value)})" for key, value in content.items())
        return f"entries {listed(entries, SHOWN)}" if content else "nothing"
    return _noun(content)


def _noun(value: object) -> str:
    return "an object of a class" if isinstance(value, Skipped) else type(value).__name__
