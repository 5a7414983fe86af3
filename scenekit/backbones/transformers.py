"""Networks of transformers (extra `transformers`) as backbones: `transformers/swin`, `transformers/dinov2`, ...

transformers is imported when one of its networks is built, not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scenekit.backbones.adapter import PLAIN_STRIDE, PROBE, AdaptedBackbone, Maps, fitting, probe
from scenekit.backbones.base import Level
from scenekit.backbones.detr import FAMILIES, build_encoder
from scenekit.backbones.norm import frozen_copy, replace_batch_norm
from scenekit.backbones.patches import PatchGrid
from scenekit.backbones.pretrained import check_settings, configuration, create, library, normalization_of
from scenekit.errors import InputError, one_line

NORMS = ("batch", "frozen")
STEM = "stem"
FRESH = ("hidden_states_norms.", ".num_batches_tracked")
"""Parts of names that published classifiers lack: norms that only backbones have are initialized as the identity."""
PLACE = "model.backbone.options.config"


def transformers_names() -> list[str]:
    """List what may follow `transformers/`.

    Returns:
        The model types that `AutoBackbone` supports, and the detectors whose encoders are backbones.
    """
    library()
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

    return [*MODEL_FOR_BACKBONE_MAPPING_NAMES, *FAMILIES]


def build_transformers(
    name: str,
    *,
    weights: str | Path | None = None,
    norm: str = "batch",
    trainable_stages: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> AdaptedBackbone:
    """Build a network of transformers' `AutoBackbone`, or the encoder of one of its detectors, as a backbone.

    A vision transformer gets a simple feature pyramid with strides of 4 to 32. Images are padded to whole patches; maps
    of patches of 14 pixels are interpolated to a stride of 16.

    Args:
        name: Model type.
        weights: Folder that `save_pretrained` wrote, name on the Hugging Face hub, file with the backbone's state dict,
            or None for random weights. They do not change the configuration: the recipe alone defines the network.
        norm: "batch", or "frozen" for batch norm with constant statistics.
        trainable_stages: 0 for a network that stays as it is, without dropout; a simple feature pyramid on it is
            trained all the same. None to train all of it.
        config: Entries of the network's configuration that differ from the defaults (`embed_dim`, `depths`, ...).

    Returns:
        The backbone.

    Raises:
        InputError: If transformers is missing, an option is invalid, the weights do not fit, or the network has no
            suitable maps.
    """
    if norm not in NORMS:
        raise InputError(f"backbone norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    if trainable_stages not in (None, 0):
        raise InputError(
            f"backbone trainable_stages: networks of transformers are trained whole (null) or not at all (0), got "
            f"{trainable_stages}"
        )
    build = build_encoder if name in FAMILIES else _build_backbone
    return build(name, config or {}, weights, norm == "frozen", trainable_stages == 0)


def _build_backbone(
    name: str, settings: Mapping[str, Any], weights: str | Path | None, frozen_norm: bool, frozen: bool
) -> AdaptedBackbone:
    check_settings(name, settings)
    patches = _patches(name, settings)
    levels, indices = _layout(name, settings, patches)
    chosen = fitting(levels, f"transformers/{name}")
    cut = configuration(name, {**settings, "out_indices": [indices[index] for index in chosen]})
    body = create(library().AutoBackbone, cut, weights, _is_fresh, PLACE)
    if frozen_norm:
        replace_batch_norm(body, frozen_copy)
    known = None if weights is None else normalization_of(str(weights))
    return AdaptedBackbone(body, _maps, [levels[index] for index in chosen], known, patches, frozen)


def _patches(name: str, settings: Mapping[str, Any]) -> PatchGrid | None:
    """Return how images are padded for a network of patches of another size than that of the pyramid's plain map."""
    patch = getattr(_configuration(name, settings), "patch_size", None)
    if not isinstance(patch, int) or patch >= PLAIN_STRIDE or 2 * patch <= PLAIN_STRIDE:
        return None
    return PatchGrid(patch, PLAIN_STRIDE, patch)


def _layout(name: str, settings: Mapping[str, Any], patches: PatchGrid | None) -> tuple[tuple[Level, ...], list[int]]:
    """Return all levels behind the stem, and their indices among the stages."""
    try:
        stages = configuration(name, settings).stage_names
        indices = [index for index, stage in enumerate(stages) if stage != STEM]
        with torch.device("meta"):
            network = library().AutoBackbone.from_config(configuration(name, {**settings, "out_indices": indices}))
            if patches is None:
                return probe(network, _maps), indices
            maps = _maps(network.eval()(patches.padded(torch.zeros(PROBE))))
        return tuple(Level(m.shape[1], patches.stride, patches.stride / 2) for m in maps), indices
    except Exception as error:  # networks refuse sizes and settings each in its own way
        raise InputError(
            f"transformers/{name} cannot be a backbone ({one_line(error)}); choose another or set its `config`"
        ) from error


def _configuration(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        return configuration(name, settings)
    except Exception as error:  # networks refuse settings each in its own way
        raise InputError(
            f"transformers/{name} cannot be a backbone ({one_line(error)}); choose another or set its `config`"
        ) from error


def _maps(output: Any) -> Maps:
    maps: Maps = output.feature_maps
    return maps


def _is_fresh(key: str) -> bool:
    return any(part in key for part in FRESH)
