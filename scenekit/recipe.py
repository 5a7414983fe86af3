"""The pydantic model of a whole run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from scenekit.hooks.records import Config


class InputConfig(Config):
    """How pictures enter the network: resized so that the shorter side is `min_size` unless the longer one would pass
    `max_size`, normalized by `mean` and `std` of values in 0..1, padded to a multiple of `divisor`.
    """

    min_size: int = 800
    max_size: int = 1333
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    bgr: bool = False
    divisor: int = 32


class BackboneConfig(Config):
    """The network below the pyramid; `weights` is a name that the backbone's library knows, or a file."""

    name: str = "resnet50"
    weights: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class PyramidConfig(Config):
    """The feature pyramid."""

    channels: int = 256
    extra: Literal["pool", "conv"] | None = "pool"
    slim: bool = False


class ModelConfig(Config):
    """Everything that decides which parameters a model has and what they mean (beside the vocabulary)."""

    input: InputConfig = Field(default_factory=InputConfig)
    backbone: BackboneConfig = Field(default_factory=BackboneConfig)
    pyramid: PyramidConfig = Field(default_factory=PyramidConfig)
    detector: str = "rcnn"
    detector_options: dict[str, Any] = Field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
