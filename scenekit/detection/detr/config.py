"""Options of a detector of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from scenekit.detection.one_stage.config import WholeImageConfig
from scenekit.recipe.model import Side, Spread


class DetrConfig(WholeImageConfig):
    """A detector of transformers, which stays as it is: other tasks learn on its objects."""

    weights: str | None = None
    """Folder that `save_pretrained` wrote, or name on the Hugging Face hub; random if null. A run stores configuration,
    class names and preparation of images, which are read from there, in the options below, where they are null.
    """
    config: dict[str, Any] | None = None
    """Entries of the network's configuration that differ from the defaults of transformers."""
    labels: tuple[str, ...] | None = None
    """Names of the classes that the network predicts, in its order; those of the vocabulary if null and without
    `weights`. Names that the vocabulary lacks are not detected.
    """
    source: Literal["images", "backbone"] = "images"
    """"images": the detector runs its whole network on the images; heads read the model's own trunk. "backbone": it
    reads the maps of the backbone, which must be the same kind of `transformers/`, so that one network serves all.
    """
    size: tuple[Side, Side] | None = None
    """Height and width to which its network resizes every image, whatever its aspect ratio; null for the usual ones.
    With `source: backbone`, images enter as `model.input` says.
    """
    mean: tuple[float, float, float] | None = None
    """Mean that is subtracted from each channel, for values in 0..1, with `source: images`; null for the usual one."""
    std: tuple[Spread, Spread, Spread] | None = None
    """Standard deviation by which each channel is divided, in the same way."""


def relabeled(config: DetrConfig, names: Mapping[str, str]) -> DetrConfig:
    """Return a configuration whose network predicts classes of other names.

    Args:
        config: The configuration.
        names: New names by old ones.

    Returns:
        The configuration with the new names.
    """
    if config.labels is None:
        return config
    return config.model_copy(update={"labels": tuple(names.get(label, label) for label in config.labels)})
