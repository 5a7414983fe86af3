"""The section `model` of a recipe: which parameters a model has, and how images enter it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from scenekit.config import Config

_log = logging.getLogger(__name__)

LONGEST_SIDE = 2**15
"""Largest input size of a network, in pixels."""

Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
Spread = Annotated[float, Field(gt=0)]


class InputConfig(Config):
    """How images enter the network: resized, normalized and padded."""

    min_size: int = Field(default=800, ge=1, le=LONGEST_SIDE)
    """Length to which the shorter side is resized, in pixels, unless the longer side would exceed `max_size`."""
    max_size: int = Field(default=1333, ge=1, le=LONGEST_SIDE)
    """Upper limit of the longer side, in pixels."""
    fixed_size: tuple[Side, Side] | None = None
    """Height and width to which every image is resized, whatever its aspect ratio, as SSD; in place of `min_size` and
    `max_size`.
    """
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of each channel that is subtracted, for values in 0..1."""
    std: tuple[Spread, Spread, Spread] = (0.229, 0.224, 0.225)
    """Standard deviation by which each channel is divided, for values in 0..1."""
    bgr: bool = False
    """Whether the network expects the channels in the order blue, green, red."""
    divisor: int = Field(default=32, ge=1, le=LONGEST_SIDE)
    """Height and width are padded to a multiple of this number of pixels."""
    resampling: Literal["antialiased", "plain", "bicubic"] = "antialiased"
    """"antialiased": bilinear, averages what a pixel covers and rounds sizes to the nearest. "plain": bilinear between
    four neighbors, and rounds sizes down, as torchvision's detectors. "bicubic": as "antialiased", but bicubic.
    """
    crop: int | None = Field(default=None, ge=1, le=LONGEST_SIDE)
    """Side of the square in the middle that is kept after resizing, in pixels, as torchvision's classifiers; sizes are
    rounded down then. Only for tasks of the whole image, such as its class.
    """


class BackboneConfig(Config):
    """The network below the feature pyramid."""

    name: str = "resnet50"
    """Name of a registered backbone."""
    weights: str | None = None
    """Pretrained weights: a name that the backbone's library knows, or a file."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the backbone's builder."""


class PyramidConfig(Config):
    """The shared features that stages and heads read: a pyramid, or a single map of the backbone."""

    kind: Literal["fpn", "single"] = "fpn"
    """"fpn": a feature pyramid network. "single": the backbone's map at the last of `levels`, as it is, without the
    options of a pyramid.
    """
    levels: tuple[int, ...] | None = None
    """Strides, in pixels, of the backbone's maps that are used; all if null."""
    channels: int = Field(default=256, ge=1)
    """Channels of every level."""
    extra: Literal["pool", "pool_backbone", "conv", "conv_backbone"] | None = "pool"
    """How coarser levels are added (see `FPN`)."""
    norm: Literal["batch", "group"] | None = None
    """Normalization after each convolution."""
    slim: bool = False
    """Whether cheaper, depthwise separable convolutions are used."""


OPTIONS_OF_FASTER_RCNN = frozenset({"preset", "anchors", "rpn", "pooler", "box_head"})
"""Sections of the detector that was named `rcnn`; today's `rcnn` has others, and always `proposals`."""


def detector_of_today(name: Any, options: Mapping[str, Any]) -> Any:
    """Return the name that a detector has today: `rcnn` once was that of Faster R-CNN, which has other options.

    Args:
        name: Name of a detector, as it is written in a recipe or a checkpoint.
        options: Options of the detector.

    Returns:
        The name; any other value as it is.
    """
    if name != "rcnn" or not set(options) <= OPTIONS_OF_FASTER_RCNN:
        return name
    _say_renamed()
    return "faster_rcnn"


@functools.cache
def _say_renamed() -> None:
    _log.warning(
        "model.detector: 'rcnn' without the option 'proposals' is read as 'faster_rcnn', which is its name now; "
        "change the recipe, or save the model again"
    )


class ModelConfig(Config):
    """Everything that decides which parameters a model has and what they mean (beside the vocabulary)."""

    input: InputConfig = Field(default_factory=InputConfig)
    """How images enter the network."""
    backbone: BackboneConfig = Field(default_factory=BackboneConfig)
    """The network below the feature pyramid."""
    pyramid: PyramidConfig | None = Field(default_factory=PyramidConfig)
    """The shared features; null for a model whose stages and heads read the backbone's maps or the images alone."""
    detector: str | None = "faster_rcnn"
    """Name of a registered detector; null for a model without objects."""
    detector_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the detector."""
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The tasks of the model by name, each with its options."""

    @model_validator(mode="after")
    def _is_complete(self) -> ModelConfig:
        if self.detector is None and self.detector_options:
            raise ValueError("detector_options without a detector; set model.detector, or leave them out")
        if self.detector is None and not self.tasks:
            raise ValueError("neither a detector nor a task; set model.detector or model.tasks")
        return self

    @model_validator(mode="before")
    @classmethod
    def _names_of_today(cls, options: Any) -> Any:
        if not isinstance(options, Mapping) or not isinstance(options.get("detector_options", {}), Mapping):
            return options
        name = detector_of_today(options.get("detector"), options.get("detector_options", {}))
        return {**options, "detector": name} if "detector" in options else options
