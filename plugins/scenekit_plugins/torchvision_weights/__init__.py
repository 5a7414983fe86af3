"""Weight source for torchvision's networks: published weights, and files with weights of the same networks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor
from torchvision.models import WeightsEnum

from scenekit.backbones.state import read_state
from scenekit.errors import InputError, nearest
from scenekit.hooks import WeightSource, hookimpl
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.weights.checkpoint import fill
from scenekit_plugins.torchvision_weights import classifiers
from scenekit_plugins.torchvision_weights.classifiers import CLASSIFIERS
from scenekit_plugins.torchvision_weights.likeness import likely_cause
from scenekit_plugins.torchvision_weights.names import renamed
from scenekit_plugins.torchvision_weights.networks import NETWORKS, Network, configured, vocabulary


def load(name: str) -> SceneModel:
    """Load a network with the weights that torchvision publishes, downloaded (once) and checked by its own code.

    Args:
        name: Name of the builder in torchvision.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the name is unknown, or the download fails.
    """
    reason = f"torchvision/{name}: the file is of another network"
    if name in CLASSIFIERS:
        weights = classifiers.published(name).DEFAULT
        return _classifier(name, weights, _downloaded(name, weights), reason)
    network = _network(name)
    return _model(name, network, _downloaded(name, network.weights.DEFAULT), network.published_eps, reason)


def convert(name: str, file: Path) -> SceneModel:
    """Convert a file of `model.state_dict()`, with any number of classes.

    Args:
        name: Name of the builder in torchvision.
        file: Path of the file.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the name is unknown, the file is damaged, or the weights are of another network.
    """
    if name in CLASSIFIERS:
        weights = classifiers.weights_of(name, _digest(file)) if file.is_file() else classifiers.published(name).DEFAULT
        return _classifier(name, weights, read_state(file), f"{file}: not the weights of torchvision's {name}")
    network = _network(name)
    state = read_state(file)
    eps = network.published_eps if _is_published(file, network.weights.DEFAULT) else network.eps
    return _model(name, network, state, eps, f"{file}: not the weights of torchvision's {name}")


def _network(name: str) -> Network:
    if name not in NETWORKS:
        known = (*NETWORKS, *CLASSIFIERS)
        raise InputError(f"torchvision/NAME: unknown network {name!r}{nearest(name, known)}")
    return NETWORKS[name]


def _downloaded(name: str, weights: WeightsEnum) -> Mapping[str, Tensor]:
    try:
        state: Mapping[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # offline; a checksum that is not the file's
        raise InputError(
            f"torchvision/{name}: {weights.url} could not be loaded ({error}); "
            f"download it on another machine and run: scenekit convert torchvision/{name} FILE -o model.safetensors"
        ) from error
    return state


def _classifier(name: str, weights: WeightsEnum, state: Mapping[str, Tensor], reason: str) -> SceneModel:
    vocabulary = classifiers.vocabulary(weights, state, reason)
    model = build(classifiers.configured(name, weights, state), vocabulary)
    counters = {name: value for name, value in model.state_dict().items() if name.endswith(".num_batches_tracked")}
    fill(model, {**counters, **classifiers.renamed(state)}, reason, likely=lambda: likely_cause(name, state))
    return model.eval()


def _model(name: str, network: Network, state: Mapping[str, Tensor], eps: float, reason: str) -> SceneModel:
    if network.classes[0] not in state:
        raise InputError(f"{reason}: {network.classes[0]} is missing; {likely_cause(name, state)}")
    model = build(configured(network, eps), vocabulary(network, state, reason))
    own = model.state_dict()
    # torchvision also fills in counters that old files lack.
    counters = {name: value for name, value in own.items() if name.endswith(".num_batches_tracked")}
    fill(model, {**counters, **renamed(state, network.names)}, reason, likely=lambda: likely_cause(name, state))
    return model.eval()


def _is_published(file: Path, weights: WeightsEnum) -> bool:
    """Return whether the file has the checksum that the published file's address ends in."""
    ending = re.search(r"-([0-9a-f]+)\.pth$", weights.url)
    return ending is not None and _digest(file).startswith(ending[1])


def _digest(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@hookimpl
def scenekit_weights() -> Iterator[WeightSource]:
    """Yield the source `torchvision`."""
    yield WeightSource(
        prefix="torchvision",
        summary="classifiers and detectors of torchvision, published or from .pth files",
        load=load,
        convert=convert,
        names=(*NETWORKS, *CLASSIFIERS),
    )
