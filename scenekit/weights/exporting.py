"""An exported model: its networks as files of a runtime, in a folder that `scenekit.load` opens like any checkpoint.

It is a checkpoint whose manifest lists the networks too, with the checksum of each file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scenekit.config import merged, validated
from scenekit.errors import InputError
from scenekit.hooks import RuntimeSpec, naming_plugin, registry
from scenekit.io.images import ImageSource
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import InputConfig
from scenekit.runtimes.examples import passes
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.networks import Network, called, networks_of
from scenekit.runtimes.programs import check_parity, program_of
from scenekit.runtimes.running import RunNetwork
from scenekit.weights.checkpoint import save_model, writing
from scenekit.weights.fingerprints import fingerprint
from scenekit.weights.networks import NETWORKS, Exported, ExportedNetwork

LEAST_SCORE = 0.05
"""Smallest score of the objects that networks are calibrated on: those that count for average precision."""


@dataclass
class Export:
    """What was exported."""

    networks: dict[str, ExportedNetwork] = field(default_factory=dict)
    """The networks by name of their module."""
    refused: dict[str, str] = field(default_factory=dict)
    """Modules that cannot be one network, with the reason; those within them may be."""

    def left_in(self, model: SceneModel) -> dict[str, float]:
        """Return what torch still computes.

        Args:
            model: The model that was exported.

        Returns:
            The share of the parameters of each stage and head that is in no network, 0 to 1.
        """
        exported = {id(each) for name in self.networks for each in model.get_submodule(name).parameters()}
        shares = {}
        for name, part in model.parts.items():
            sizes = {id(each): each.numel() for each in part.parameters()}
            left = sum(size for key, size in sizes.items() if key not in exported)
            shares[name] = left / max(sum(sizes.values()), 1)
        return shares


def export(
    model: SceneModel,
    folder: Path,
    format: str = "onnx",
    size: tuple[int, int] | None = None,
    calibration: Sequence[ImageSource] = (),
    progress: Callable[[str], object] = lambda name: None,
) -> Export:
    """Write a model whose networks run in another runtime.

    Args:
        model: The model, in evaluation mode.
        folder: Folder to write to.
        format: Name of a runtime: onnx, openvino, pt2, or one of a plugin.
        size: Height and width in pixels that images are resized to, so that the networks take this size alone; None for
            sizes as the model has them.
        calibration: Images on which activations are measured for networks in int8; none for float.
        progress: Called with the name of each network before it is exported.

    Returns:
        What was exported.

    Raises:
        InputError: There is no such format, it has no int8, its packages are missing, or the folder cannot be written.
    """
    spec: RuntimeSpec = registry().get("runtime", format)
    check_installed(spec, (*spec.writes_with, *spec.runs_with))
    if calibration and spec.quantize is None:
        raise InputError(f"format {format!r} has no int8; use onnx, or leave out --int8")
    if size is not None:
        options = merged(model.config.input.model_dump(), {"fixed_size": size})
        images = validated(InputConfig, options, "the size of the images")
        model.config = model.config.model_copy(update={"input": images})
    with writing(folder):
        (folder / NETWORKS).mkdir(parents=True, exist_ok=True)
    done = Export()
    networks_of(model, partial(passes, model), partial(_written, done, spec, folder, progress))
    if calibration:
        _quantize(done, spec, model, folder, calibration, progress)
    exported = Exported(format=format, files=done.networks)
    save_model(model, folder, entries={NETWORKS: exported.model_dump()})
    return done


def _quantize(
    done: Export,
    spec: RuntimeSpec,
    model: SceneModel,
    folder: Path,
    images: Sequence[ImageSource],
    progress: Callable[[str], object],
) -> None:
    """Replace the files of networks that the images reach by ones in int8."""
    assert spec.quantize is not None
    modules = {name: model.get_submodule(name) for name in done.networks}
    for network in called(modules, lambda: model.predict(list(images), threshold=LEAST_SCORE)):
        calls = [call.tensors for call in network.calls if all(tensor.numel() for tensor in call.tensors)]
        if not calls:
            continue
        progress(f"{network.name} in int8")
        path = folder / NETWORKS / done.networks[network.name].file
        with naming_plugin(spec), writing(path):
            quantized = spec.quantize(path, calls)
        changed = {"int8": quantized, **fingerprint(path)}
        done.networks[network.name] = done.networks[network.name].model_copy(update=changed)


def _written(
    done: Export, spec: RuntimeSpec, folder: Path, progress: Callable[[str], object], network: Network
) -> bool:
    """Write a network and check that it computes the same; return whether it does."""
    progress(network.name)
    path = folder / NETWORKS / f"{network.name}{spec.suffix}"
    try:
        with naming_plugin(spec), writing(path):
            spec.write(program_of(network), path)
            check_parity(network, RunNetwork(network.name, network.module, partial(spec.open, path), network.sizes))
    except InputError as error:
        path.unlink(missing_ok=True)
        done.refused[network.name] = str(error)
        return False
    done.networks[network.name] = ExportedNetwork(file=path.name, sizes=network.sizes, **fingerprint(path))
    return True
