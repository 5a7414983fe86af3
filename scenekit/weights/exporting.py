"""An exported model: its networks as files of a runtime, in a folder that `scenekit.load` opens like any checkpoint.

It is a checkpoint whose manifest lists the networks too, with the checksum of each file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scenekit.config import merged, validated
from scenekit.errors import InputError
from scenekit.hooks import RuntimeSpec, naming_plugin, registry
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import InputConfig
from scenekit.runtimes.examples import passes
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.networks import Network, networks_of
from scenekit.runtimes.programs import check_parity, program_of
from scenekit.runtimes.running import RunNetwork
from scenekit.weights.checkpoint import save_model, writing
from scenekit.weights.fingerprints import fingerprint
from scenekit.weights.networks import NETWORKS, Exported, ExportedNetwork


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
    progress: Callable[[str], object] = lambda name: None,
) -> Export:
    """Write a model whose networks run in another runtime.

    Args:
        model: The model, in evaluation mode.
        folder: Folder to write to.
        format: Name of a runtime: onnx, openvino, pt2, or one of a plugin.
        size: Height and width in pixels that images are resized to, so that the networks take this size alone; None for
            sizes as the model has them.
        progress: Called with the name of each network before it is exported.

    Returns:
        What was exported.

    Raises:
        InputError: There is no such format, its packages are missing, or the folder cannot be written.
    """
    spec: RuntimeSpec = registry().get("runtime", format)
    check_installed(spec, (*spec.writes_with, *spec.runs_with))
    if size is not None:
        options = merged(model.config.input.model_dump(), {"fixed_size": size})
        images = validated(InputConfig, options, "the size of the images")
        model.config = model.config.model_copy(update={"input": images})
    with writing(folder):
        (folder / NETWORKS).mkdir(parents=True, exist_ok=True)
    done = Export()
    networks_of(model, partial(passes, model), partial(_written, done, spec, folder, progress))
    exported = Exported(format=format, files=done.networks)
    save_model(model, folder, entries={NETWORKS: exported.model_dump()})
    return done


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
