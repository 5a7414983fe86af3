"""Networks of transformers with their weights: random, from a folder, a file, or a name on the Hugging Face hub.

transformers is imported when a network is built, not before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scenekit.backbones.adapter import missing_extra
from scenekit.backbones.base import Normalization
from scenekit.backbones.state import check_fit, read_state
from scenekit.errors import InputError, nearest, one_line, warn_once

BOOKKEEPING = (
    *("_name_or_path", "architectures", "dtype", "id2label", "label2id", "model_type"),
    *("out_features", "out_indices", "stage_names", "transformers_version"),
)
"""Entries of a configuration that do not shape the network."""

FILES = (".safetensors", ".pth", ".pt", ".bin")
"""Suffixes of files with weights."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class License:
    """A license of weights that is not permissive."""

    word: str
    """What the name of the weights or a type of network in their configuration contains."""
    name: str
    """Name of the license."""
    terms: str
    """What it says, in a few words."""
    address: str
    """Where it stands."""


LICENSES = (
    License(
        "dinov3",
        "DINOv3 License",
        "commercial use is allowed, redistribution and some uses are restricted",
        "https://ai.meta.com/resources/models-and-libraries/dinov3-license",
    ),
    License(
        "eupe",
        "FAIR Noncommercial Research License",
        "no commercial use",
        "https://github.com/facebookresearch/EUPE",
    ),
)
"""Licenses that a note is logged of; models that are trained on such weights fall under them, too."""


def library() -> ModuleType:
    """Import transformers.

    Returns:
        The module.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", error) from None
    module: ModuleType = transformers
    return module


def configuration(kind: str, settings: Mapping[str, Any], **labels: Any) -> Any:
    """Return the configuration of a network in JSON's types: some networks reject the tuples of their own defaults.

    Args:
        kind: Model type.
        settings: Entries that differ from the defaults.
        labels: Entries that do not shape the network, such as `id2label`.

    Returns:
        The configuration.
    """
    config = library().AutoConfig.for_model(kind, **settings, **labels)
    return type(config).from_dict(json.loads(config.to_json_string(use_diff=False)))


def check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    """Check that the configuration of a kind of network has these entries.

    Args:
        kind: Model type.
        settings: Entries of a configuration.

    Raises:
        InputError: If one is unknown; the message names the nearest one.
    """
    known = configuration(kind, {}).to_dict()
    for entry in settings:
        if entry not in known or entry in BOOKKEEPING:
            allowed = [other for other in known if other not in BOOKKEEPING]
            raise InputError(f"the configuration of transformers/{kind} has no {entry!r}{nearest(entry, allowed)}")


def settings_of(config: Any) -> dict[str, Any]:
    """Return the entries of a configuration that shape the network and differ from the defaults.

    Args:
        config: The configuration.

    Returns:
        The entries in JSON's types.
    """
    entries: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    known = configuration(config.model_type, {}).to_dict()  # files may have entries of other versions
    return {name: value for name, value in entries.items() if name in known and name not in BOOKKEEPING}


def create(auto: Any, config: Any, weights: str | Path | None, fresh: Callable[[str], bool], place: str) -> nn.Module:
    """Create a network with its weights.

    Args:
        auto: The class of transformers that builds it, such as `AutoBackbone`.
        config: Its configuration.
        weights: Folder that `save_pretrained` wrote, file with a state dict, name on the hub; None for random ones.
        fresh: Tells by its name whether a parameter may be missing in the weights.
        place: Where a recipe has the configuration, for messages.

    Returns:
        The network, in training mode.

    Raises:
        InputError: If the weights cannot be loaded or do not fit.
    """
    if weights is None:
        network: nn.Module = auto.from_config(config)
        return network
    note_license(weights, config)
    if Path(weights).suffix in FILES or Path(weights).is_file():
        network = auto.from_config(config)
        own = network.state_dict()
        state = read_state(Path(weights), own)
        needed = [key for key in own if not fresh(key)]
        check_fit(own, state, needed, fit=f"weights file {weights} does not fit transformers/{config.model_type}")
        fitting = {key: value for key, value in state.items() if value.shape == own[key].shape}
        network.load_state_dict(fitting, strict=False)
        return network
    return _pretrained(auto, config, str(weights), fresh, place)


def _pretrained(auto: Any, config: Any, weights: str, fresh: Callable[[str], bool], place: str) -> nn.Module:
    """Load from a folder or the hub; transformers itself would initialize randomly what does not fit."""
    with torch.device("meta"):
        kind = type(auto.from_config(config))  # AutoBackbone.from_pretrained asks the hub about local folders, too
    with downloading(weights), quiet():
        network, report = kind.from_pretrained(
            weights, config=config, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
        )
    missing = [key for key in report["missing_keys"] if not fresh(key)]
    mismatched = [key for key, *_ in report["mismatched_keys"] if not fresh(key)]
    if missing or mismatched:
        count = f"{len(missing)} parameters missing, {len(mismatched)} of another shape"
        raise InputError(
            f"weights {weights!r} do not fit transformers/{config.model_type}: "
            f"{count}{_difference(weights, config, place)}"
        )
    body: nn.Module = network.train()
    return body


@contextmanager
def downloading(weights: str) -> Iterator[None]:
    """Raise failures of loading from a folder or the hub as InputError, in one line that says what to do.

    Args:
        weights: Folder, or name on the hub.

    Yields:
        Nothing.

    Raises:
        InputError: If something within the context failed.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # downloads fail in as many ways as there are places to download from
        if "gated" in str(error).lower():
            raise InputError(
                f"weights {weights!r} are given only to those who accept their license: accept it at "
                f"https://huggingface.co/{weights}, then run `hf auth login`; or download them yourself and name the "
                "folder as weights"
            ) from error
        raise InputError(
            f"weights {weights!r} could not be loaded ({one_line(error)}); pass a folder or a file"
        ) from error


def note_license(weights: str | Path, config: Any) -> None:
    """Log once which license weights have, if it is not permissive.

    Args:
        weights: Folder, file, or name on the hub.
        config: Configuration of the network.
    """
    names = f"{weights} {json.dumps(config.to_dict(), default=str)}".lower()
    for license in LICENSES:
        if license.word in names:
            warn_once(_log, f"weights {weights}: {license.name} ({license.terms}), see {license.address}")


def _difference(weights: str, config: Any, place: str) -> str:
    """Return the entries in which the configuration of the weights differs."""
    theirs, ours = library().AutoConfig.from_pretrained(weights).to_dict(), config.to_dict()
    if theirs.get("model_type") != ours["model_type"]:
        return f"; they are of transformers/{theirs.get('model_type')}"
    other = {key: theirs[key] for key in ours if key in theirs and theirs[key] != ours[key] and key not in BOOKKEEPING}
    if other:
        return f"; set {place} to that of the weights: {other}"
    classes, named = (len(entries.get("id2label") or ()) for entries in (theirs, ours))
    return f"; they have {classes} classes, `labels` must name all of them, not {named}" if classes != named else ""


def processor_of(weights: str) -> Any:
    """Return the image processor that is stored with weights; None where there is none.

    Args:
        weights: Folder, or name on the hub.

    Returns:
        The processor of transformers, or None.
    """
    try:
        with quiet():
            return library().AutoImageProcessor.from_pretrained(weights)
    except (OSError, ValueError, AttributeError, TypeError, ImportError):
        return None


def normalization_of(weights: str) -> Normalization | None:
    """Return the normalization of images with which weights were trained, if a processor is stored with them.

    Args:
        weights: Folder, or name on the hub.

    Returns:
        Mean and standard deviation, or None.
    """
    processor = processor_of(weights)
    mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    if processor is None or mean is None or std is None:
        return None
    if not getattr(processor, "do_normalize", True):
        return Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Normalization(tuple(mean), tuple(std))


@contextmanager
def quiet() -> Iterator[None]:
    """Switch the tables and progress bars of transformers off; its errors are reported by scenekit.

    Yields:
        Nothing.
    """
    messages = library().utils.logging
    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity(messages.CRITICAL)
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()
