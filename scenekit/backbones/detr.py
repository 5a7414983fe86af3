"""Encoders of transformers' detectors (RT-DETR, RT-DETRv2, D-FINE, DEIMv2, RF-DETR) as backbones.

Their maps are those that the decoder of the detector reads, so that its detections and the heads of other tasks share
one network.

Letters: B images, C channels, H W input pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scenekit.backbones.adapter import AdaptedBackbone, Maps
from scenekit.backbones.base import Level, Normalization
from scenekit.backbones.norm import frozen_copy, replace_batch_norm
from scenekit.backbones.patches import PatchGrid
from scenekit.backbones.pretrained import check_settings, configuration, create, library, normalization_of
from scenekit.errors import InputError, one_line

NO_NORMALIZATION = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Family:
    """A kind of detector of transformers: where its maps are, and how its images enter it."""

    parts: tuple[str, ...]
    """Modules of the network that compute the maps."""
    maps: Callable[[Any, Tensor], Maps]
    """(modules by name, pixels) -> the maps that the decoder reads."""
    passed: Callable[[Sequence[Tensor]], Any]
    """(maps) -> what the last of these modules would return."""
    shapes: Callable[[Any], list[tuple[int, int]]]
    """(configuration) -> channels and stride of each."""
    patches: Callable[[Any], PatchGrid | None]
    """(configuration) -> how images are padded to whole patches; None for networks without patches."""
    size: Callable[[Any], int]
    """(configuration) -> side in pixels of the square to which images are resized, unless its weights say otherwise."""
    normalization: Normalization
    """Normalization of images, unless its weights say otherwise."""
    resampling: str
    """How images are resized."""


def _hybrid_maps(parts: Any, pixels: Tensor) -> Maps:
    mask = pixels.new_ones(len(pixels), *pixels.shape[2:])
    levels = parts["backbone"](pixels, mask)
    projected = [project(level) for project, (level, _) in zip(parts["encoder_input_proj"], levels, strict=True)]
    maps: Maps = parts["encoder"](projected).last_hidden_state
    return maps


def _deimv2_maps(parts: Any, pixels: Tensor) -> Maps:
    maps: Maps = parts["encoder"](parts["conv_encoder"](pixels)).feature_maps
    return maps


def _rf_detr_maps(parts: Any, pixels: Tensor) -> Maps:
    mask = torch.ones(len(pixels), *pixels.shape[2:], dtype=torch.bool, device=pixels.device)
    return [parts["backbone"](pixels, mask)[0]]


def _hybrid_output(maps: Sequence[Tensor]) -> Any:
    return SimpleNamespace(last_hidden_state=maps, feature_maps=maps, hidden_states=None, attentions=None)


def _rf_detr_output(maps: Sequence[Tensor]) -> Any:
    return maps[0], torch.ones_like(maps[0][:, 0], dtype=torch.bool)


def _hybrid_shapes(config: Any) -> list[tuple[int, int]]:
    return list(zip(config.decoder_in_channels, config.feat_strides, strict=True))


def _rf_detr_shapes(config: Any) -> list[tuple[int, int]]:
    return [(config.d_model, config.backbone_config.patch_size)]


def _rf_detr_patches(config: Any) -> PatchGrid:
    patch = config.backbone_config.patch_size
    return PatchGrid(patch, patch, patch * config.backbone_config.num_windows)


_HYBRID = Family(
    parts=("backbone", "encoder_input_proj", "encoder"),
    maps=_hybrid_maps,
    passed=_hybrid_output,
    shapes=_hybrid_shapes,
    patches=lambda config: None,
    size=lambda config: 640,
    normalization=NO_NORMALIZATION,
    resampling="antialiased",
)

FAMILIES: Mapping[str, Family] = {
    "rt_detr": _HYBRID,
    "rt_detr_v2": _HYBRID,
    "d_fine": _HYBRID,
    "deimv2": replace(_HYBRID, parts=("conv_encoder", "encoder"), maps=_deimv2_maps),
    "rf_detr": Family(
        parts=("backbone",),
        maps=_rf_detr_maps,
        passed=_rf_detr_output,
        shapes=_rf_detr_shapes,
        patches=_rf_detr_patches,
        size=lambda config: config.backbone_config.image_size,
        normalization=IMAGENET,
        resampling="plain",
    ),
}
"""The detectors of transformers whose detections need no NMS, by model type."""


class Encoder(nn.Module):
    """The modules of a detector that compute its maps, under the names that they have there.

    Args:
        network: The detector without its last layers (`model` of transformers' detectors).
        family: Its kind.
    """

    def __init__(self, network: nn.Module, family: Family) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({name: getattr(network, name) for name in family.parts})
        self.family = family

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> Sequence[Float[Tensor, "B _ _ _"]]:
        """Compute the maps.

        Args:
            pixels: Normalized images.

        Returns:
            The maps that the decoder reads.
        """
        return list(self.family.maps(self.parts, pixels))


def detector_configuration(name: str, settings: Mapping[str, Any], labels: Sequence[str] | None = None) -> Any:
    """Return the configuration of a detector.

    Args:
        name: Model type, one of `FAMILIES`.
        settings: Entries that differ from the defaults.
        labels: Names of its classes; None where they do not matter.

    Returns:
        The configuration of transformers.

    Raises:
        InputError: If an entry is unknown, or transformers refuses it.
    """
    check_settings(name, settings)
    try:
        return configuration(name, settings, **({} if labels is None else {"id2label": dict(enumerate(labels))}))
    except Exception as error:  # networks refuse settings each in its own way
        raise InputError(f"transformers/{name}: {one_line(error)}; change its `config`") from error


def create_detector(config: Any, weights: str | Path | None, place: str, fresh: Callable[[str], bool]) -> nn.Module:
    """Create a detector of transformers.

    Args:
        config: Its configuration.
        weights: As for backbones.
        place: Where a recipe has the configuration, for messages.
        fresh: Tells by its name whether a parameter may be missing in the weights.

    Returns:
        The detector.

    Raises:
        InputError: If the weights do not fit, or transformers refuses the configuration.
    """
    try:
        return create(library().AutoModelForObjectDetection, config, weights, fresh, place)
    except InputError:
        raise
    except Exception as error:  # networks refuse settings each in its own way
        raise InputError(f"transformers/{config.model_type}: {one_line(error)}; change {place}") from error


def build_encoder(
    name: str, settings: Mapping[str, Any], weights: str | Path | None, frozen_norm: bool, frozen: bool
) -> AdaptedBackbone:
    """Build the encoder of a detector as a backbone; a single map gets a simple feature pyramid.

    Args:
        name: Model type of the detector.
        settings: Entries of its configuration that differ from the defaults.
        weights: Weights of the whole detector, or None for random ones.
        frozen_norm: Whether batch norm has constant statistics.
        frozen: Whether the encoder stays as it is.

    Returns:
        The backbone.
    """
    family, place = FAMILIES[name], "model.backbone.options.config"
    config = detector_configuration(name, settings)
    prefixes = tuple(f"model.{part}." for part in family.parts)
    network: Any = create_detector(config, weights, place, lambda key: not key.startswith(prefixes))
    body = Encoder(network.model, family).eval()  # in training, some look at values, which the test image has not
    if frozen_norm:
        replace_batch_norm(body, frozen_copy)
    known = None if weights is None else normalization_of(str(weights))
    # Where the decoder takes the centers of cells to be.
    levels = [Level(channels, stride, stride / 2) for channels, stride in family.shapes(config)]
    return AdaptedBackbone(body, list, levels, known, family.patches(config), frozen)
