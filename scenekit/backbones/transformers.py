"""Networks of transformers (extra `transformers`) as backbones: `transformers/swin`, `transformers/dinov2`, ...

transformers is imported when one of its networks is built, not before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scenekit.backbones.adapter import AdaptedBackbone, Maps, fitting, missing_extra, probe
from scenekit.backbones.base import Level, Normalization
from scenekit.backbones.norm import frozen_copy, replace_batch_norm
from scenekit.backbones.state import check_fit, read_state
from scenekit.errors import InputError, nearest, one_line

NORMS = ("batch", "frozen")
STEM = "stem"
FRESH = ("hidden_states_norms.", ".num_batches_tracked")
"""Parts of names that published classifiers lack: norms that only backbones have are initialized as the identity."""
BOOKKEEPING = (
    *("_name_or_path", "architectures", "dtype", "id2label", "label2id", "model_type"),
    *("out_features", "out_indices", "stage_names", "transformers_version"),
)
"""Entries of a configuration that do not shape the network."""


def transformers_names() -> list[str]:
    """List what may follow `transformers/`.

    Returns:
        The model types that `AutoBackbone` supports.
    """
    _transformers()
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    return list(MODEL_FOR_BACKBONE_MAPPING_NAMES)


def build_transformers(
    name: str,
    *,
    weights: str | Path | None = None,
    norm: str = "batch",
    config: Mapping[str, Any] | None = None,
) -> AdaptedBackbone:
    """Build a network of transformers' `AutoBackbone` as a backbone.

    A vision transformer with maps at stride 16 gets a simple feature pyramid.

    Args:
        name: Model type.
        weights: Folder that `save_pretrained` wrote, name on the Hugging Face hub, file with the backbone's state dict,
            or None for random weights. They do not change the configuration: the recipe alone defines the network.
        norm: "batch", or "frozen" for batch norm with constant statistics.
        config: Entries of the network's configuration that differ from the defaults (`embed_dim`, `depths`, ...).

    Returns:
        The backbone.

    Raises:
        InputError: If transformers is missing, an option is invalid, the weights do not fit, or the network has no
            suitable maps.
    """
    if norm not in NORMS:
        raise InputError(f"backbone norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    settings, levels, indices = _layout(name, config or {})
    chosen = fitting(levels, f"transformers/{name}")
    cut = _config(name, {**settings, "out_indices": [indices[index] for index in chosen]})
    body = _create(name, cut, weights)
    if norm == "frozen":
        replace_batch_norm(body, frozen_copy)
    known = None if weights is None else _normalization(str(weights))
    return AdaptedBackbone(body, _maps, [levels[index] for index in chosen], known)


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", error) from None
    module: ModuleType = transformers
    return module


def _layout(name: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Level, ...], list[int]]:
    """Return the settings, all levels behind the stem, and their indices among the stages."""
    known = _config(name, {}).to_dict()
    for entry in settings:
        if entry not in known or entry in BOOKKEEPING:
            allowed = [other for other in known if other not in BOOKKEEPING]
            raise InputError(f"the configuration of transformers/{name} has no {entry!r}{nearest(entry, allowed)}")
    try:
        stages = _config(name, settings).stage_names
        indices = [index for index, stage in enumerate(stages) if stage != STEM]
        with torch.device("meta"):
            network = _transformers().AutoBackbone.from_config(_config(name, {**settings, "out_indices": indices}))
        return dict(settings), probe(network, _maps), indices
    except Exception as error:  # networks refuse sizes and settings each in its own way
        raise InputError(
            f"transformers/{name} cannot be a backbone ({one_line(error)}); choose another or set its `config`"
        ) from error


def _config(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the configuration in JSON's types: some networks reject the tuples of their own defaults."""
    config = _transformers().AutoConfig.for_model(name, **settings)
    return type(config).from_dict(json.loads(config.to_json_string(use_diff=False)))


def _maps(output: Any) -> Maps:
    maps: Maps = output.feature_maps
    return maps


def _create(name: str, config: Any, weights: str | Path | None) -> nn.Module:
    auto = _transformers().AutoBackbone
    if weights is None:
        network: nn.Module = auto.from_config(config)
        return network
    if Path(weights).suffix in (".safetensors", ".pth", ".pt", ".bin") or Path(weights).is_file():
        network = auto.from_config(config)
        own = network.state_dict()
        state = read_state(Path(weights), own)
        needed = [key for key in own if not _is_fresh(key)]
        check_fit(own, state, needed, fit=f"weights file {weights} does not fit transformers/{name}")
        network.load_state_dict(state, strict=False)
        return network
    return _pretrained(name, config, str(weights))


def _pretrained(name: str, config: Any, weights: str) -> nn.Module:
    """Load from a folder or the hub; transformers itself would initialize randomly what does not fit."""
    with torch.device("meta"):
        # AutoBackbone.from_pretrained asks the hub about local folders, too.
        kind = type(_transformers().AutoBackbone.from_config(config))
    try:
        with _quiet():
            network, report = kind.from_pretrained(
                weights, config=config, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except Exception as error:  # downloads fail in as many ways as there are places to download from
        raise InputError(
            f"weights {weights!r} could not be loaded ({one_line(error)}); pass a folder or a file"
        ) from error
    missing = [key for key in report["missing_keys"] if not _is_fresh(key)]
    if missing or report["mismatched_keys"]:
        count = f"{len(missing)} parameters missing, {len(report['mismatched_keys'])} of another shape"
        raise InputError(f"weights {weights!r} do not fit transformers/{name}: {count}{_difference(weights, config)}")
    body: nn.Module = network.train()
    return body


def _difference(weights: str, config: Any) -> str:
    """Return the entries in which the configuration of the weights differs."""
    theirs, ours = _transformers().AutoConfig.from_pretrained(weights).to_dict(), config.to_dict()
    if theirs.get("model_type") != ours["model_type"]:
        return f"; they are of transformers/{theirs.get('model_type')}"
    other = {key: theirs[key] for key in ours if key in theirs and theirs[key] != ours[key] and key not in BOOKKEEPING}
    return f"; set model.backbone.options.config to that of the weights: {other}" if other else ""


def _normalization(weights: str) -> Normalization | None:
    """Return the normalization of the image processor stored with the weights, if there is one."""
    try:
        with _quiet():
            processor = _transformers().AutoImageProcessor.from_pretrained(weights)
        return Normalization(tuple(processor.image_mean), tuple(processor.image_std))
    except (OSError, ValueError, AttributeError, TypeError, ImportError):
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Switch the tables and progress bars of transformers off; its errors are reported by scenekit."""
    logging = _transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _is_fresh(key: str) -> bool:
    return any(part in key for part in FRESH)
