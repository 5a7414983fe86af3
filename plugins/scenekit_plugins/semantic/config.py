"""Options of semantic segmentation: those of every decoder, and a section for each decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.hooks import TaskSpec
from scenekit.keys import FEATURES, IMAGES
from scenekit.ops.upsampling import Overlap

Decoder = Literal["pyramid", "patches", "full_resolution", "encoder_decoder"]

PYRAMID_OPTIONS = ("channels", "levels", "norm_groups", "upsampling")
"""Options of the decoder "pyramid" among those of the task."""


def check_groups(channels: int, groups: int) -> None:
    """Check that channels fill whole groups of GroupNorm.

    Args:
        channels: Number of channels.
        groups: Number of groups.

    Raises:
        ValueError: They do not.
    """
    if channels % groups:
        raise ValueError(f"channels must be a multiple of norm_groups ({groups})")


class PatchConfig(Config):
    """A classifier of the crop around each pixel (Farabet et al., 2013): as many forward passes as crops."""

    stride: int = Field(default=4, ge=1)
    """Every so many pixels, along both axes, there is a crop to classify."""
    shared: bool = False
    """Whether the same weights run once over the whole image instead, as a fully convolutional network (Long et al.,
    2015): equal logits in one forward pass.
    """
    stages: int = Field(default=3, ge=1, le=6)
    """Convolutions with stride 2, without padding; they make crops of side 2^(stages + 2) - 1 pixels."""
    channels: int = Field(default=32, ge=1)
    """Channels of these convolutions."""
    hidden: int = Field(default=128, ge=1)
    """Units of the fully connected layer on top of them."""
    chunk: int = Field(default=1024, ge=1)
    """Number of crops that are classified together: a limit of the memory."""

    @property
    def side(self) -> int:
        """Side of a crop in pixels: an odd number, so that the crop has a pixel at its center."""
        return int(2 ** (self.stages + 2)) - 1


class FullResolutionConfig(Config):
    """Convolutions alone, each at the resolution of the image: exact borders, small receptive field, much memory."""

    convs: int = Field(default=4, ge=1)
    """Number of 3x3 convolutions; a pixel sees so many pixels to each side."""
    channels: int = Field(default=32, ge=1)
    """Channels of each."""
    norm_groups: int = Field(default=8, ge=1)
    """Groups of GroupNorm."""

    @model_validator(mode="after")
    def _whole_groups(self) -> FullResolutionConfig:
        check_groups(self.channels, self.norm_groups)
        return self


class EncoderDecoderConfig(Config):
    """Downsampling and upsampling in symmetric stages (as Noh et al., 2015, and Badrinarayanan et al., 2017)."""

    stages: int = Field(default=3, ge=1, le=8)
    """Number of times that the sides are halved, and doubled again."""
    channels: int = Field(default=32, ge=1)
    """Channels at full resolution; each stage has twice as many as the one before."""
    norm_groups: int = Field(default=8, ge=1)
    """Groups of GroupNorm."""
    downsampling: Literal["max_pool", "strided"] = "max_pool"
    """2x2 max pooling, or a 3x3 convolution with stride 2."""
    upsampling: Literal["nearest", "bed_of_nails", "max_unpool", "transposed", "bilinear"] = "bilinear"
    """How sides are doubled (see `scenekit.ops.upsampling`): "max_unpool" puts values where the max pooling of the same
    stage found its maxima, "transposed" is a transposed 3x3 convolution.
    """
    overlap: Overlap = "sum"
    """Where kernels of "transposed" overlap: their sum, or their mean, which removes the checkerboard."""

    @model_validator(mode="after")
    def _is_possible(self) -> EncoderDecoderConfig:
        check_groups(self.channels, self.norm_groups)
        if self.upsampling == "max_unpool" and self.downsampling != "max_pool":
            raise ValueError(
                'upsampling "max_unpool" needs the positions of max pooling, but downsampling is '
                f'{self.downsampling!r}; set downsampling to "max_pool", or another upsampling'
            )
        return self


class SemanticConfig(Config):
    """Options of the semantic head."""

    decoder: Decoder = "pyramid"
    """Network that makes logits: on the shared pyramid, or of its own on the images; the options of those stand under
    their names.
    """
    channels: int = Field(default=128, ge=1)
    """Channels inside the decoder "pyramid"."""
    levels: int = Field(default=4, ge=1)
    """Number of levels of the pyramid that are merged, from the finest on."""
    norm_groups: int = Field(default=32, ge=1)
    """Groups of GroupNorm in the decoder "pyramid"."""
    upsampling: Literal["bilinear", "nearest"] = "bilinear"
    """Upsampling inside the decoder "pyramid"."""
    patches: PatchConfig = PatchConfig()
    """The decoder "patches"."""
    full_resolution: FullResolutionConfig = FullResolutionConfig()
    """The decoder "full_resolution"."""
    encoder_decoder: EncoderDecoderConfig = EncoderDecoderConfig()
    """The decoder "encoder_decoder"."""
    loss_at: Literal["input", "logits"] = "input"
    """Resolution at which labels and logits are compared."""
    things: Literal["apart", "together"] = "apart"
    """"apart": each thing is a class. "together": all things are one class, the first, beside each stuff, which is
    enough for panoptic merging, as in detectron2's Panoptic FPN; pixels of that class are IGNORE in the label map.
    """

    @model_validator(mode="after")
    def _whole_groups(self) -> SemanticConfig:
        check_groups(self.channels, self.norm_groups)
        return self

    @model_validator(mode="after")
    def _options_of_the_decoder(self) -> SemanticConfig:
        changed = [name for name in PYRAMID_OPTIONS if getattr(self, name) != type(self).model_fields[name].default]
        if self.decoder != "pyramid" and changed:
            raise ValueError(
                f'{" and ".join(changed)} would change nothing, being of the decoder "pyramid"; leave out, or set '
                f"options of {self.decoder!r} in the section of that name"
            )
        return self


def configured(spec: TaskSpec, config: SemanticConfig) -> TaskSpec:
    """Return the record of the task for its options: decoders but "pyramid" read the images alone.

    The shapes of all are fixed but those of "patches", which classifies crops in groups.

    Args:
        spec: The record.
        config: Options of the task.

    Returns:
        The changed record.
    """
    requires = (FEATURES if config.decoder == "pyramid" else IMAGES,)
    return replace(spec, requires=requires, static=config.decoder != "patches" or config.patches.shared)
