"""What is stored with the weights of a detector of transformers: configuration, class names, preparation of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scenekit.backbones.detr import FAMILIES
from scenekit.backbones.pretrained import downloading, library, normalization_of, processor_of, quiet, settings_of
from scenekit.detection.detr.config import DetrConfig
from scenekit.errors import InputError
from scenekit.scene import Scene
from scenekit.structures.geometry import Size


def stored_options(weights: str) -> tuple[str, DetrConfig]:
    """Read which detector weights are of, and its options.

    Args:
        weights: Folder that `save_pretrained` wrote, or name on the Hugging Face hub.

    Returns:
        The model type, and options with everything that is null in a recipe.

    Raises:
        InputError: If nothing can be read there, or the weights are of another network.
    """
    with downloading(weights), quiet():
        config = library().AutoConfig.from_pretrained(weights)
    kind = config.model_type
    if kind not in FAMILIES:
        raise InputError(f"weights {weights!r} are of transformers/{kind}; detectors are {', '.join(sorted(FAMILIES))}")
    normalization = normalization_of(weights) or FAMILIES[kind].normalization
    return kind, DetrConfig(
        weights=weights,
        config=settings_of(config),
        labels=tuple(str(config.id2label[column]) for column in range(config.num_labels)),
        size=_size(weights) or (FAMILIES[kind].size(config),) * 2,
        mean=normalization.mean,
        std=normalization.std,
    )


def _size(weights: str) -> Size | None:
    """Return the height and width to which images are resized; None where these are not stored as one size."""
    size: Any = getattr(processor_of(weights), "size", None) or {}
    sides = size.get("height"), size.get("width")
    return None if None in sides else (int(sides[0]), int(sides[1]))


def prepared(name: str, config: DetrConfig, scenes: Iterable[Scene]) -> DetrConfig:
    """Complete options by what is stored with the weights; the ground truth is not looked at.

    Args:
        name: Model type.
        config: Options of the detector.
        scenes: Ground truth of the training data.

    Returns:
        The options; those that are set stay as they are.

    Raises:
        InputError: If the weights are of another detector.
    """
    if config.weights is None:
        return config
    kind, stored = stored_options(config.weights)
    if kind != name:
        raise InputError(
            f"weights {config.weights!r} are of transformers/{kind}; set model.detector: transformers/{kind}"
        )
    fields = ("config", "labels", "size", "mean", "std")
    return config.model_copy(
        update={field: getattr(stored, field) for field in fields if getattr(config, field) is None}
    )
