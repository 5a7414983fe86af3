"""Models by name: shipped with scenekit, on disk, from other libraries, and from the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scenekit.config import validated
from scenekit.errors import InputError, nearest
from scenekit.hooks import WeightSource, naming_plugin, registry
from scenekit.io.files import path_named
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import LabelSpace, ModelConfig
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights.card import LABEL_SPACE
from scenekit.weights.checkpoint import MANIFEST, SUFFIX, load_model, read_config, read_manifest, save_model, usable
from scenekit.weights.convert import convert
from scenekit.weights.detector_options import with_detector_options
from scenekit.weights.hub import download, push_to_hub

__all__ = [
    "config_of",
    "convert",
    "described",
    "label_space_of",
    "load",
    "load_model",
    "path_on_disk",
    "push_to_hub",
    "save_model",
    "shipped",
]

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def shipped() -> Mapping[str, Path]:
    """Return the models that come with scenekit.

    Returns:
        Their folders by name.
    """
    return {folder.parent.name: folder.parent for folder in sorted(Path(__file__).parent.glob(f"*/{MANIFEST}"))}


def load(
    name: str | os.PathLike[str],
    device: torch.device | str = "cpu",
    detector_options: Mapping[str, Any] | None = None,
    networks: bool = True,
) -> SceneModel:
    """Load a model for inference.

    ```python
    model = sk.load("torchvision/maskrcnn_resnet50_fpn", device="cuda")
    ```

    Args:
        name: A shipped model, a folder or a file that `save_model` wrote, "prefix/name" of an installed weight source,
            or a repository of the Hugging Face hub as "owner/name" or "owner/name@revision".
        device: Device that the model is moved to.
        detector_options: Options of the detector that differ from the model's own, such as
            `{"box_head": {"across_classes": 0.7}}`, which removes detections of the same thing as two classes.
        networks: Whether networks of an export run in their runtime; otherwise torch runs them with the same weights,
            on any device, as training and another export need it.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If there is no such model or device, or an option of the detector is unknown.
    """
    model = _loaded(name, device, networks)
    return model if not detector_options else with_detector_options(model, detector_options)


def _loaded(name: str | os.PathLike[str], device: torch.device | str, networks: bool) -> SceneModel:
    text, device = os.fspath(name), usable(device)
    if (path := path_on_disk(name)) is not None:
        return load_model(path, device, networks)
    prefix = text.partition("/")[0]
    if "/" in text and prefix in registry().names("weights"):
        source: WeightSource = registry().get("weights", prefix)
        with naming_plugin(source):
            return source.load(text.partition("/")[2]).to(device).eval()
    if _HUB_ID.fullmatch(text):
        return load_model(download(text), device, networks)
    raise InputError(
        f"unknown model {text!r}; expected a shipped one, a path, or owner/name of the hub{nearest(text, shipped())}"
    )


def config_of(name: str | os.PathLike[str]) -> ModelConfig:
    """Return the configuration of a model; its weights are read only where they are not scenekit's own files.

    Args:
        name: The model, as `load` takes it.

    Returns:
        The configuration.

    Raises:
        InputError: There is no such model.
    """
    return described(name)[0]


def described(name: str | os.PathLike[str]) -> tuple[ModelConfig, Vocabulary]:
    """Return the configuration and the vocabulary of a model, as `config_of` does.

    Args:
        name: The model, as `load` takes it.

    Returns:
        Both.

    Raises:
        InputError: There is no such model.
    """
    if (path := path_on_disk(name)) is not None:
        return read_config(path)
    model = load(name)
    return model.config, model.vocabulary


def label_space_of(name: str | os.PathLike[str]) -> LabelSpace | None:
    """Return the label space of the data that a model was trained on.

    Args:
        name: The model, as `load` takes it.

    Returns:
        The label space; None where the model has none, or is none of scenekit's own files.

    Raises:
        InputError: If its manifest cannot be read.
    """
    path = path_on_disk(name)
    content = None if path is None else read_manifest(path).get("extra", {}).get(LABEL_SPACE)
    return None if content is None else validated(LabelSpace, content, f"{path}: labels of the manifest")


def path_on_disk(name: str | os.PathLike[str]) -> Path | None:
    """Return where a model is on disk.

    Args:
        name: The model, as `load` takes it.

    Returns:
        Its folder or file, which may be missing; None for a model of another library or of the hub.

    Raises:
        InputError: No file can have the name.
    """
    text = os.fspath(name)
    if text in shipped():
        return shipped()[text]
    looks_like_path = text.startswith((".", "~", os.sep)) or text.endswith((os.sep, SUFFIX))
    if os.path.exists(text) or isinstance(name, os.PathLike) or looks_like_path:
        return path_named(text)
    return None
