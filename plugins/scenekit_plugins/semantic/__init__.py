"""Semantic segmentation on the shared pyramid (Kirillov et al., Panoptic Feature Pyramid Networks, 2019, section 3.1).

Letters: B images, L classes of the head (labels, or stuff and one for all things), C channels of the head, h w the
finest map, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.config import Config
from scenekit.errors import InputError
from scenekit.fields.semantic import IGNORE
from scenekit.hooks import Coverage, TaskSpec, hookimpl
from scenekit.keys import FEATURES, SEMANTIC
from scenekit.model.board import Board
from scenekit.model.head import AxisNames, Core, Head, rows_by_name
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.scene import Scene
from scenekit.structures import FeaturePyramid, Geometry, Vocabulary, by_size
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.semantic.draw import draw_semantic
from scenekit_plugins.semantic.evaluator import SemanticEvaluator
from scenekit_plugins.semantic.label_maps import best_labels

Upsampling = Literal["bilinear", "nearest"]

THINGS = "(things)"
"""Name of the class that all things share where they are one class."""


class SemanticConfig(Config):
    """Options of the semantic head."""

    channels: int = Field(default=128, ge=1)
    """Channels inside the head."""
    levels: int = Field(default=4, ge=1)
    """Number of levels of the pyramid that are merged, from the finest on."""
    norm_groups: int = Field(default=32, ge=1)
    """Groups of GroupNorm."""
    upsampling: Upsampling = "bilinear"
    """Upsampling inside the head."""
    loss_at: Literal["input", "logits"] = "input"
    """Resolution at which labels and logits are compared."""
    things: Literal["apart", "together"] = "apart"
    """"apart": each thing is a class. "together": all things are one class, the first, beside each stuff, which is
    enough for panoptic merging, as in detectron2's Panoptic FPN; pixels of that class are IGNORE in the label map.
    """

    @model_validator(mode="after")
    def _whole_groups(self) -> SemanticConfig:
        if self.channels % self.norm_groups:
            raise ValueError(f"channels must be a multiple of norm_groups ({self.norm_groups})")
        return self


@dataclass(frozen=True)
class Classes:
    """Classes of the head."""

    names: tuple[str, ...]
    """Names of the classes; the first one may stand for all things."""
    merged: int = 1
    """Number of things that the first class stands for."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, things: Literal["apart", "together"]) -> Classes:
        """Return every label, or one class for all things and every stuff.

        Args:
            vocabulary: Vocabulary of the model.
            things: Whether things are classes of their own.

        Returns:
            The classes.
        """
        if things == "apart":
            return cls(vocabulary.labels)
        return cls((THINGS, *vocabulary.stuff), merged=len(vocabulary.things))

    def from_labels(self, labels: Int[Tensor, "B H W"]) -> Int[Tensor, "B H W"]:
        """Convert labels to classes; IGNORE stays.

        Args:
            labels: Labels of the vocabulary.

        Returns:
            Classes of the head.
        """
        return torch.where(labels == IGNORE, IGNORE, (labels - self.merged + 1).clamp(min=0))

    def to_labels(self, classes: Int[Tensor, "H W"]) -> Int[Tensor, "H W"]:
        """Convert classes to labels; IGNORE for a class of several labels.

        Args:
            classes: Classes of the head.

        Returns:
            Labels of the vocabulary.
        """
        labels = classes + self.merged - 1
        return labels if self.merged == 1 else labels.masked_fill(classes == 0, IGNORE)


class SemanticHead(Head[Float[Tensor, "B L h w"], Float[Tensor, "B L h w"]]):
    """A head that upsamples each level to the finest one's stride by convolutions, and classifies their sum."""

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        super().__init__()
        if config.levels > len(core.strides):
            raise InputError(
                f"task 'semantic' merges {config.levels} levels, but the pyramid has {len(core.strides)}; set levels"
            )
        self.stride = core.strides[0]
        self.loss_at = config.loss_at
        self.branches = nn.ModuleList(_branch(core.channels, config, steps) for steps in range(config.levels))
        self.classes = Classes.of(core.vocabulary, config.things)
        self.predictor = nn.Conv2d(config.channels, len(self.classes.names), kernel_size=1)
        self.axis_names = rows_by_name({"predictor": AxisNames(self.classes.names)})

    def forward(self, board: Board) -> Float[Tensor, "B L h w"]:
        pyramid: FeaturePyramid = board[FEATURES]
        (logits,) = by_size(self._logits, pyramid.maps[: len(self.branches)], board.images)  # GroupNorm averages
        return logits

    def _logits(self, maps: Sequence[Tensor]) -> list[Tensor]:
        merged = [branch(level) for branch, level in zip(self.branches, maps, strict=True)]
        height, width = merged[0].shape[2:]
        return [self.predictor(sum(level[:, :, :height, :width] for level in merged))]

    def loss(self, raw: Float[Tensor, "B L h w"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute cross-entropy over annotated pixels."""
        height, width = (side * self.stride for side in raw.shape[2:])
        labels = self.classes.from_labels(targets[SEMANTIC])
        # The finest map covers the image with whole cells, so that its last ones may extend beyond it.
        labels = F.pad(labels, (0, width - labels.shape[2], 0, height - labels.shape[1]), value=IGNORE)
        if self.loss_at == "input":
            logits = F.interpolate(raw.float(), scale_factor=float(self.stride), mode="bilinear", align_corners=False)
        else:
            logits, half = raw.float(), self.stride // 2
            labels = labels[:, half :: self.stride, half :: self.stride]
        each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
        return {"pixel": safe_mean(each[labels != IGNORE])}

    def decode(self, raw: Float[Tensor, "B L h w"], board: Board) -> Float[Tensor, "B L h w"]:
        return raw

    def finish(self, value: Float[Tensor, "L h w"], scene: Scene, geometry: Geometry) -> Int[Tensor, "H W"]:
        """Resize logits to the original image, without padding, and return the best label per pixel."""
        best = best_labels(value.float(), self.stride, geometry.source, geometry.size)
        return self.classes.to_labels(best).cpu()


def _branch(channels: int, config: SemanticConfig, steps: int) -> nn.Sequential:
    """Build 3x3 convolution, GroupNorm, ReLU, x2 upsampling: `steps` times (once without upsampling for the finest)."""
    layers: list[nn.Module] = []
    for step in range(max(steps, 1)):
        source = channels if step == 0 else config.channels
        layers += [
            nn.Conv2d(source, config.channels, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(config.norm_groups, config.channels),
            nn.ReLU(),
        ]
        if steps:
            aligned: dict[str, Any] = {"align_corners": False} if config.upsampling == "bilinear" else {}
            layers.append(nn.Upsample(scale_factor=2, mode=config.upsampling, **aligned))
    return nn.Sequential(*layers)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """Yield the task `semantic`."""
    yield TaskSpec(
        name="semantic",
        summary="a label for every pixel, things and stuff",
        provides=(SEMANTIC,),
        build=SemanticHead,
        config=SemanticConfig,
        requires=(FEATURES,),
        learns_from=(SEMANTIC,),
        evaluator=SemanticEvaluator,
        draw=on_canvas(draw_semantic),
        draw_covers=Coverage.IMAGE,
        hub_tag="image-segmentation",
    )
