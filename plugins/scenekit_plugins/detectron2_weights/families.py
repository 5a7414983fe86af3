"""Conversion of the checkpoints of detectron2 and of networks built on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from scenekit.errors import InputError, nearest
from scenekit.hooks import WeightSource
from scenekit.io.files import path_named
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit.weights.checkpoint import fill
from scenekit_plugins.detectron2_weights.checkpoint import read_checkpoint
from scenekit_plugins.detectron2_weights.names import renamed

OTHER = "it is most likely of another architecture, or a part of it was changed; those of the model zoo are converted"


@dataclass(frozen=True)
class Family:
    """Networks whose checkpoints have the same names of parameters."""

    prefix: str
    """Name of the source of weights."""
    infer: Callable[[str, Mapping[str, Tensor], Path], tuple[ModelConfig, Vocabulary]]
    """(name, state dict, file) -> configuration and vocabulary of the network; the name may be empty."""
    modules: Mapping[str, str]
    """Their names of modules and ours."""
    kinds: str
    """What is converted, for error messages."""
    zoo: str
    """Page with published checkpoints."""
    names: tuple[str, ...] = ()
    """Names of configurations, where the parameters do not always show which it is."""
    derived: frozenset[str] = frozenset()
    """Entries that become options of the network."""

    def convert(self, name: str, file: Path) -> SceneModel:
        """Convert a checkpoint; names and shapes of its parameters determine the network.

        Args:
            name: Name of the configuration, where the parameters do not show it.
            file: Path of the checkpoint.

        Returns:
            The model, in evaluation mode.

        Raises:
            InputError: If the name is unknown, or the file is not a checkpoint, would run code, or holds another kind
                of network.
        """
        self._check(name)
        state = read_checkpoint(file)
        model = build(*self.infer(name, state, file))
        parameters = {name: value for name, value in state.items() if name not in self.derived}
        values = renamed(parameters, file, self.modules, self.kinds)
        fill(model, values, f"{file}: differs from the networks that are converted", likely=lambda: OTHER)
        return model.eval()

    def load(self, name: str) -> SceneModel:
        """Load a checkpoint from disk; nothing is downloaded.

        Args:
            name: Path of the checkpoint.

        Returns:
            The model, in evaluation mode.

        Raises:
            InputError: If there is no such file, or `convert` refuses it.
        """
        file = path_named(name)
        if file.is_file():
            return self.convert("", file)
        raise InputError(
            f"{self.prefix}/{name}: expected the path of a checkpoint, but there is no such file; "
            f"download one of {self.zoo} and run: scenekit convert {self.prefix} CHECKPOINT -o model.safetensors"
        )

    def source(self, summary: str) -> WeightSource:
        """Return the record of the source.

        Args:
            summary: One line for `scenekit plugins`.

        Returns:
            The record.
        """
        return WeightSource(self.prefix, summary, load=self.load, convert=self.convert, names=self.names)

    def _check(self, name: str) -> None:
        if name and not self.names:
            raise InputError(
                f"{self.prefix}/{name}: the network is determined from the file; use {self.prefix} without a name"
            )
        if name and name not in self.names:
            raise InputError(f"{self.prefix}/NAME: unknown configuration {name!r}{nearest(name, self.names)}")
