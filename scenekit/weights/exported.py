"""Networks of a checkpoint that are files of a runtime."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from scenekit.config import Config, validated
from scenekit.errors import InputError
from scenekit.hooks import RuntimeSpec, naming_plugin, registry
from scenekit.model.scene_model import SceneModel
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.quantization import Quantized, has_int8
from scenekit.runtimes.running import ReplacedForward, Runner, is_replaced
from scenekit.weights.fingerprints import check_fingerprint, fingerprint

NETWORKS = "networks"
"""Name of the folder of the networks, and of their entry in the manifest."""


class Fingerprint(Config):
    """Which file it is."""

    bytes: int
    """Its size."""
    sha256: str
    """Its checksum."""


class ExportedNetwork(Config):
    """One network of an exported model."""

    files: dict[str, Fingerprint]
    """All its files by their path in the folder of the network."""
    sizes: tuple[tuple[int | None, ...], ...]
    """Sizes of each tensor that goes in; None for those that are open."""
    int8: Quantized | None = None
    """What of it is in int8."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files.values())


class ExportedNetworks(Config):
    """The networks of an exported model, as its manifest lists them."""

    format: str
    """Name of the runtime."""
    networks: dict[str, ExportedNetwork]
    """The networks by name of their module, which is that of their folder."""

    @classmethod
    def read(cls, folder: Path, entry: Mapping[str, Any]) -> ExportedNetworks:
        """Read the entry of a manifest.

        Args:
            folder: The folder of the export.
            entry: The entry.

        Returns:
            The networks.

        Raises:
            InputError: It is none of this version, or a file of it is outside its folder.
        """
        try:
            exported = validated(cls, entry, f"{folder}: {NETWORKS!r} of the manifest")
        except InputError as error:
            raise InputError(f"{error}; export the model again") from None
        for path in exported.paths():
            if path.is_absolute() or ".." in path.parts:
                raise InputError(f"{folder}: expected files within {NETWORKS}, got {path}; export the model again")
        return exported

    def paths(self) -> Iterator[PurePosixPath]:
        """Yield the path of each file within the folder of the networks.

        Yields:
            The paths.
        """
        for name, network in self.networks.items():
            yield from (PurePosixPath(name, file) for file in network.files)

    def check(self, folder: Path) -> None:
        """Check that all files are there and as they were written.

        Args:
            folder: The folder of the export.

        Raises:
            InputError: One is missing, cut off or another one.
        """
        for name, network in self.networks.items():
            for file, expected in network.files.items():
                check_fingerprint(folder / NETWORKS / name / file, expected.model_dump())


def network_path(folder: Path, name: str, spec: RuntimeSpec) -> Path:
    """Return the file of a network that its runtime writes and opens; further ones are beside it.

    Args:
        folder: The folder of the export.
        name: Name of the module.
        spec: The runtime.

    Returns:
        The path.
    """
    return folder / NETWORKS / name / f"network{spec.suffix}"


def fingerprints(path: Path) -> dict[str, Fingerprint]:
    """Return which files a network has.

    Args:
        path: The file of the network.

    Returns:
        All files of its folder, by their path in it.
    """
    files = sorted(file for file in path.parent.rglob("*") if file.is_file())
    return {file.relative_to(path.parent).as_posix(): Fingerprint(**fingerprint(file)) for file in files}


def opened(spec: RuntimeSpec, path: Path) -> Runner:
    """Open a network in its runtime.

    Args:
        spec: The runtime.
        path: The file of the network.

    Returns:
        What runs it.
    """
    with naming_plugin(spec):
        return spec.open(path)


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
    exported = ExportedNetworks.read(folder, entry)
    spec: RuntimeSpec = registry().get("runtime", exported.format)
    check_installed(spec, spec.runs_with)
    exported.check(folder)
    modules = dict(model.named_modules())
    for name, about in exported.networks.items():
        path = network_path(folder, name, spec)
        if about.int8 is not None and about.int8.needs_vnni and not has_int8():
            raise InputError(f"{path}: in int8 for CPUs with VNNI, which this one lacks; export --int8 on this machine")
        if name not in modules:
            raise InputError(f"{path}: the model has no network {name!r}; export the model again")
        if path.name not in about.files:
            raise InputError(f"{path}: the manifest does not list this file; export the model again")
        modules[name].forward = ReplacedForward(name, modules[name], partial(opened, spec, path), about.sizes)


def keep_networks(source: SceneModel, target: SceneModel) -> None:
    """Let the networks of a model run where those of another one do that has the same weights.

    Args:
        source: The model whose networks are exported; those that it has trained since stay in torch.
        target: The model with the same modules.
    """
    for name, module in source.named_modules():
        if is_replaced(module) and module.forward.is_current:
            own = target.get_submodule(name)
            own.forward = module.forward.moved_to(own)


def is_exported(model: SceneModel) -> bool:
    """Return whether a model has networks that another runtime computes, which runs on the CPU alone.

    Args:
        model: The model.

    Returns:
        Whether it has.
    """
    return any(map(is_replaced, model.modules()))


def copy_networks(source: Path, target: Path, entry: Mapping[str, Any]) -> None:
    """Copy the networks of an export.

    Args:
        source: The folder of the export.
        target: The folder to copy them to.
        entry: The entry of its manifest.

    Raises:
        InputError: A file is missing, cut off or another one.
    """
    exported = ExportedNetworks.read(source, entry)
    exported.check(source)
    for path in exported.paths():
        copied = target / NETWORKS / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / NETWORKS / path, copied)
