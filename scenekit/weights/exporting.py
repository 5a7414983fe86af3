"""An exported model: its networks as files of a runtime, in a folder that `scenekit.load` opens like any checkpoint.

It is a checkpoint whose manifest lists the networks too, with the checksum of each file.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import Tensor
from torch.export import ExportedProgram

from scenekit.config import merged, validated
from scenekit.errors import InputError, PluginError, ScenekitError, one_line
from scenekit.hooks import RuntimeSpec, naming_plugin, registry
from scenekit.io.files import drafted_folder, unwritable
from scenekit.io.images import ImageSource, read_image
from scenekit.model.prediction import evaluating
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import InputConfig
from scenekit.runtimes.examples import run_examples
from scenekit.runtimes.formats import check_installed
from scenekit.runtimes.networks import Network, networks_of, with_calls
from scenekit.runtimes.programs import RefusedError, check_parity, program_of
from scenekit.runtimes.quantization import Quantized
from scenekit.runtimes.running import ReplacedForward, in_torch
from scenekit.structures.geometry import Size
from scenekit.weights.checkpoint import MANIFEST, save_model
from scenekit.weights.exported import (
    NETWORKS,
    ExportedNetwork,
    ExportedNetworks,
    fingerprints,
    network_path,
    opened,
)

LEAST_SCORE = 0.05
"""Smallest score of the objects that networks are calibrated on: those that count for average precision."""


@dataclass
class ExportResult:
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
    size: Size | None = None,
    calibration: Sequence[ImageSource] = (),
    progress: Callable[[str], object] = lambda name: None,
) -> ExportResult:
    """Write a model whose networks run in another runtime.

    ```python
    done = export(sk.load("small"), Path("out"), size=(480, 640))
    scene = sk.load("out").predict("street.jpg")
    ```

    Args:
        model: The model; it stays as it is.
        folder: A new or empty folder, which is written as a whole or not at all.
        format: Name of a runtime: onnx, openvino, pt2, or one of a plugin.
        size: Height and width in pixels that images are resized to, so that the networks take this size alone; None for
            sizes as the model has them.
        calibration: Images on which activations are measured for networks in int8; none for float.
        progress: Called with the name of each network before it is exported.

    Returns:
        What was exported.

    Raises:
        InputError: There is no such format, it has no int8, its packages are missing, an image cannot be read, or the
            folder has files or cannot be written.
    """
    spec = runtime_for(format, size, int8=bool(calibration))
    for image in calibration:
        read_image(image)  # before the networks, which take minutes
    source = _of_size(model, size)
    with drafted_folder(folder, last=MANIFEST) as draft, evaluating(source), in_torch(source):
        done = _Export(spec, draft, progress).run(source, calibration)
        exported = ExportedNetworks(format=format, networks=done.networks)
        save_model(source, draft, entries={NETWORKS: exported.model_dump()})
    return done


def runtime_for(format: str, size: Size | None = None, int8: bool = False) -> RuntimeSpec:
    """Return the runtime of an export after checking that it can do what is asked.

    Args:
        format: Its name.
        size: Height and width in pixels that images are resized to; None for sizes as the model has them.
        int8: Whether networks are to be in int8.

    Returns:
        The runtime.

    Raises:
        InputError: There is no such format, it has no int8, its packages are missing, or the size is invalid.
    """
    spec: RuntimeSpec = registry().get("runtime", format)
    if int8 and spec.quantize is None:
        raise InputError(f"format {format!r} has no int8; use onnx, or leave out --int8")
    check_installed(spec, (*spec.writes_with, *spec.runs_with))
    if size is not None:
        validated(InputConfig, {"fixed_size": size}, "the size of the images")
    return spec


def _of_size(model: SceneModel, size: Size | None) -> SceneModel:
    """Return a model with the same parts that resizes images to a size."""
    if size is None:
        return model
    options = merged(model.config.input.model_dump(), {"fixed_size": size})
    images = validated(InputConfig, options, "the size of the images")
    resized = copy.copy(model)
    resized.config = model.config.model_copy(update={"input": images})
    return resized


@dataclass(frozen=True)
class _Export:
    """Writes networks one by one."""

    spec: RuntimeSpec
    folder: Path
    progress: Callable[[str], object]
    done: ExportResult = field(default_factory=ExportResult)

    def run(self, model: SceneModel, calibration: Sequence[ImageSource]) -> ExportResult:
        """Write the networks of a model.

        Args:
            model: The model.
            calibration: Images for the calibration of int8; none for float.

        Returns:
            What was exported.
        """
        networks_of(model, partial(run_examples, model), self.write)
        if calibration:
            self.quantize(model, calibration)
        return self.done

    def write(self, network: Network) -> bool:
        """Write a network and check that it computes the same.

        Args:
            network: The network.

        Returns:
            Whether it does; otherwise the reason is noted, and nothing of it is left.

        Raises:
            InputError: The disk does not take it.
        """
        self.progress(network.name)
        path = network_path(self.folder, network.name, self.spec)
        load = partial(opened, self.spec, path)
        try:
            self._convert(network.name, program_of(network), path)
            check_parity(network, ReplacedForward(network.name, network.module, load, network.sizes))
        except RefusedError as error:
            shutil.rmtree(path.parent, ignore_errors=True)
            self.done.refused[network.name] = str(error)
            return False
        self.done.networks[network.name] = ExportedNetwork(files=fingerprints(path), sizes=network.sizes)
        return True

    def _convert(self, name: str, program: ExportedProgram, path: Path) -> None:
        """Write a program; only converters know which errors they raise where they lack an operator."""
        try:
            path.parent.mkdir(parents=True)
            with naming_plugin(self.spec):
                self.spec.write(program, path)
        except OSError as error:
            raise unwritable(path, error) from error
        except PluginError:
            raise
        except Exception as error:
            raise RefusedError(f"{name}: {self.spec.name} cannot express it ({one_line(error)})") from error
        if not path.is_file():
            raise PluginError(f"write of runtime {self.spec.name!r} must write the file that it is given, {path.name}")

    def quantize(self, model: SceneModel, images: Sequence[ImageSource]) -> None:
        """Replace the networks that some images reach by ones in int8.

        Args:
            model: The model.
            images: The images.

        Raises:
            InputError: A network cannot be quantized.
        """
        modules = {name: model.get_submodule(name) for name in self.done.networks}
        for network in with_calls(modules, lambda: model.predict(list(images), threshold=LEAST_SCORE)):
            calls = [call.tensors for call in network.calls if all(tensor.numel() for tensor in call.tensors)]
            if not calls:
                continue
            self.progress(f"{network.name} in int8")
            path = network_path(self.folder, network.name, self.spec)
            changed = {"int8": self._quantized(network.name, path, calls), "files": fingerprints(path)}
            self.done.networks[network.name] = self.done.networks[network.name].model_copy(update=changed)

    def _quantized(self, name: str, path: Path, calls: Sequence[Sequence[Tensor]]) -> Quantized:
        """Replace a network by one in int8."""
        assert self.spec.quantize is not None
        try:
            with naming_plugin(self.spec):
                quantized = self.spec.quantize(path, calls)
        except OSError as error:
            raise unwritable(path, error) from error
        except ScenekitError:
            raise
        except Exception as error:
            raise InputError(f"{name}: cannot be in int8 ({one_line(error)}); leave out --int8") from error
        if not isinstance(quantized, Quantized):
            raise PluginError(f"quantize of runtime {self.spec.name!r} must return Quantized, got {quantized!r}")
        return quantized
