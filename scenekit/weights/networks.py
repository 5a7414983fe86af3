"""Networks of a checkpoint that are files of a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scenekit.config import Config, validated
from scenekit.errors import InputError
from scenekit.hooks import RuntimeSpec, registry
from scenekit.model.scene_model import SceneModel
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.quantization import Quantized, has_int8
from scenekit.runtimes.running import RunNetwork
from scenekit.weights.fingerprints import check_fingerprint

NETWORKS = "networks"
"""Name of the folder of the networks, and of their entry in the manifest."""


class ExportedNetwork(Config):
    """One network of an exported model."""

    file: str
    """Its file in the folder of the networks."""
    sizes: tuple[tuple[int | None, ...], ...]
    """Sizes of each tensor that goes in; None for those that are open."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Checksum of the file."""
    int8: Quantized | None = None
    """What of it is in int8."""


class Exported(Config):
    """The networks of an exported model, as its manifest lists them."""

    format: str
    """Name of the runtime."""
    files: dict[str, ExportedNetwork]
    """The networks by name of their module."""


def load_networks(model: SceneModel, folder: Path, entry: Mapping[str, Any], device: torch.device) -> None:
    """Let the networks of an exported model run in their runtime.

    Args:
        model: The model with its weights.
        folder: The folder of the export.
        entry: The entry of its manifest.
        device: Device that the model is moved to.

    Raises:
        InputError: The device is not the CPU, a file is missing or another one, the format is not installed, or the
            model has no such network.
    """
    if device.type != "cpu":
        raise InputError(f"{folder}: exported networks run on the CPU alone, got {device}; use --device cpu")
    exported = validated(Exported, entry, f"{folder}: {NETWORKS!r} of the manifest")
    spec: RuntimeSpec = registry().get("runtime", exported.format)
    check_installed(spec, spec.runs_with)
    modules = dict(model.named_modules())
    for name, about in exported.files.items():
        path = folder / NETWORKS / Path(about.file).name
        check_fingerprint(path, about.model_dump())
        if about.int8 is not None and about.int8.full_range and not has_int8():
            raise InputError(f"{path}: in int8 for CPUs with VNNI, which this one lacks; export --int8 on this machine")
        if name not in modules:
            raise InputError(f"{path}: the model has no network {name!r}; export the model again")
        modules[name].forward = RunNetwork(name, modules[name], partial(spec.open, path), about.sizes)


def keep_networks(source: SceneModel, target: SceneModel) -> None:
    """Let the networks of a model run where those of another one do that has the same weights.

    Args:
        source: The model whose networks are exported.
        target: The model with the same modules.
    """
    for name, module in source.named_modules():
        if isinstance(run := vars(module).get("forward"), RunNetwork):
            target.get_submodule(name).forward = run
