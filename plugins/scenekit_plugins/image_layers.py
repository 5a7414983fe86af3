"""Pooling and layers of the heads that tell something of the whole image.

Letters: B images, C channels of the map, S pooled side, F features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.config import Config
from scenekit.errors import InputError
from scenekit.keys import BACKBONE_FEATURES
from scenekit.model.board import Board
from scenekit.model.head import Core
from scenekit.ops.losses import safe_mean
from scenekit.structures import FeaturePyramid, ImageClasses, LocatedClasses, Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES
from scenekit.structures.images import cropped

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "hardswish": nn.Hardswish, "gelu": nn.GELU}

NORM_EPS = 1e-6
"""Epsilon of the layer norm, that of ConvNeXt's."""


class ImageLayersConfig(Config):
    """Options of the layers behind the coarsest map of the backbone."""

    pooled: int = Field(default=1, ge=1)
    """Side of the averaged map: 1 averages the whole image."""
    hidden: tuple[PositiveInt, ...] = ()
    """Units of each hidden layer."""
    activation: Literal["relu", "hardswish", "gelu"] = "relu"
    """Activation behind each hidden layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the units of each hidden layer that are dropped in training."""
    pooled_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the pooled features that are dropped in training."""
    layer_norm: bool = False
    """Whether the pooled features are normalized."""
    level: NonNegativeInt | None = None
    """Stride of the backbone's map that is read, in pixels; the coarsest if null."""


class ImageLayers(nn.Module):
    """Averages a map to S x S cells; hidden layers follow.

    Args:
        core: What is known of the backbone.
        config: Options.
        task: Name of the task, for error messages.
    """

    def __init__(self, core: Core, config: ImageLayersConfig, task: str) -> None:
        super().__init__()
        strides = [level.stride for level in core.levels]
        if config.level is not None and config.level not in strides:
            raise InputError(f"task {task!r}, level: the backbone has maps of stride {strides}, not {config.level}")
        self.index = len(strides) - 1 if config.level is None else strides.index(config.level)
        channels, self.side = core.levels[self.index].channels, config.pooled
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS) if config.layer_norm else None
        widths = (channels * config.pooled**2, *config.hidden)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.activation = ACTIVATIONS[config.activation]()
        self.pooled_dropout, self.dropout = nn.Dropout(config.pooled_dropout), nn.Dropout(config.dropout)
        self.features = widths[-1]

    def forward(self, board: Board) -> Float[Tensor, "B F"]:
        """Compute the features of each image.

        Args:
            board: The view of the head.

        Returns:
            A row per image.
        """
        pyramid: FeaturePyramid = board[BACKBONE_FEATURES]
        pooled = self._pooled(pyramid.maps[self.index], board)
        if self.norm is not None:
            pooled = self.norm(pooled.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        features: Tensor = self.pooled_dropout(pooled.flatten(1))
        for layer in self.layers:
            features = self.dropout(self.activation(layer(features)))
        return features

    def _pooled(self, level: Float[Tensor, "B C _ _"], board: Board) -> Float[Tensor, "B C S S"]:
        """Average each image without its padding."""
        images = board.images
        if set(images.sizes) == {images.padded_size}:
            return F.adaptive_avg_pool2d(level, self.side)
        parts = [
            F.adaptive_avg_pool2d(cropped(level[row : row + 1], size, images.padded_size), self.side)
            for row, size in enumerate(images.sizes)
        ]
        return torch.cat(parts)


def class_names(vocabulary: Vocabulary, task: str) -> tuple[str, ...]:
    """Return the classes of images.

    Args:
        vocabulary: That of the model.
        task: Name of the task, for the error message.

    Returns:
        Their names.

    Raises:
        InputError: If the vocabulary has none.
    """
    names: tuple[str, ...] = vocabulary.lists.get(IMAGE_CLASSES, ())
    if not names:
        raise InputError(
            f"task {task!r} needs a vocabulary with the list {IMAGE_CLASSES!r}, but it has none; use a data set whose "
            "images have a class, such as image_folder, or data.labelers: [largest_object], or leave the task out"
        )
    return names


def cross_entropy(
    logits: Float[Tensor, "B K"], targets: Sequence[ImageClasses | LocatedClasses | None], label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Compute the mean cross-entropy of the images that have a class.

    Args:
        logits: One row per image.
        targets: Ground truth of each image; None or empty where it is unknown.
        label_smoothing: Share of the target that is spread over all classes.

    Returns:
        The loss.
    """
    rows = [row for row, target in enumerate(targets) if target is not None and len(target)]
    labels = torch.tensor([int(target.labels[0]) for target in targets if target is not None and len(target)])
    each = F.cross_entropy(
        logits[rows].float(), labels.to(logits.device, torch.int64), reduction="none", label_smoothing=label_smoothing
    )
    return safe_mean(each)
