"""Semantic segmentation on the shared pyramid (Kirillov et al., Panoptic Feature Pyramid Networks, 2019, section 3.1).

Letters: B images, L classes of the head (labels, or stuff and one for all things), C channels of the head, h w the
finest map, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from scenekit.structures import FeaturePyramid, Geometry, Vocabulary
from scenekit.visualization.scene_canvas import on_canvas
from scenekit_plugins.semantic.draw import draw_semantic
from scenekit_plugins.semantic.evaluator import SemanticEvaluator
from scenekit_plugins.semantic.label_maps import best_labels

Upsampling = Literal["bilinear", "nearest"]

THINGS = "(things)"
"""The name of the class that all things share where they are not told apart."""


class SemanticConfig(Config):
    """`channels` inside the head; `levels` of the pyramid that are merged, from the finest; `norm_groups` of GroupNorm.

    `upsampling` inside the head; `loss_at` the resolution at which labels and logits are compared: "input" or "logits".
    `things` are told "apart", or "together" are one class, the first, beside each stuff: enough for panoptic merging,
    as in detectron2's Panoptic FPN. Where that class wins, the finished map says IGNORE: some thing, no matter which.
    """

    channels: int = Field(default=128, ge=1)
    levels: int = Field(default=4, ge=1)
    norm_groups: int = Field(default=32, ge=1)
    upsampling: Upsampling = "bilinear"
    loss_at: Literal["input", "logits"] = "input"
    things: Literal["apart", "together"] = "apart"

    @model_validator(mode="after")
    def _whole_groups(self) -> SemanticConfig:
        if self.channels % self.norm_groups:
            raise ValueError(f"channels must be a multiple of norm_groups ({self.norm_groups})")
        return self


@dataclass(frozen=True)
class Classes:
    """What the head tells apart: `names`, of which the first stands for `merged` things where these are one class."""

    names: tuple[str, ...]
    merged: int = 1

    @classmethod
    def of(cls, vocabulary: Vocabulary, things: Literal["apart", "together"]) -> Classes:
        """Every label, or one for all things and every stuff."""
        if things == "apart":
            return cls(vocabulary.labels)
        return cls((THINGS, *vocabulary.stuff), merged=len(vocabulary.things))

    def from_labels(self, labels: Int[Tensor, "B H W"]) -> Int[Tensor, "B H W"]:
        """The class of each label; IGNORE stays."""
        return torch.where(labels == IGNORE, IGNORE, (labels - self.merged + 1).clamp(min=0))

    def to_labels(self, classes: Int[Tensor, "H W"]) -> Int[Tensor, "H W"]:
        """The label of each class; IGNORE where it stands for several."""
        labels = classes + self.merged - 1
        return labels if self.merged == 1 else labels.masked_fill(classes == 0, IGNORE)


class SemanticHead(Head[Float[Tensor, "B L h w"], Float[Tensor, "B L h w"]]):
    """Each level is brought to the finest one's stride by convolutions and x2 upsamplings; their sum is classified."""

    def __init__(self, core: Core, config: SemanticConfig) -> None:
        super().__init__()
        if config.levels > len(core.strides):
            raise InputError(f"task 'semantic' merges {config.levels} levels, but the pyramid has {len(core.strides)}")
        self.stride = core.strides[0]
        self.loss_at = config.loss_at
        self.branches = nn.ModuleList(_branch(core.channels, config, steps) for steps in range(config.levels))
        self.classes = Classes.of(core.vocabulary, config.things)
        self.predictor = nn.Conv2d(config.channels, len(self.classes.names), kernel_size=1)
        self.axis_names = rows_by_name({"predictor": AxisNames(self.classes.names)})

    def forward(self, board: Board) -> Float[Tensor, "B L h w"]:
        pyramid: FeaturePyramid = board[FEATURES]
        merged = [branch(level) for branch, level in zip(self.branches, pyramid.maps, strict=False)]
        height, width = merged[0].shape[2:]
        logits: Tensor = self.predictor(sum(level[:, :, :height, :width] for level in merged))
        return logits

    def loss(self, raw: Float[Tensor, "B L h w"], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Cross entropy over labelled pixels."""
        height, width = (side * self.stride for side in raw.shape[2:])
        labels = _padded(self.classes.from_labels(targets[SEMANTIC]), height, width)
        if self.loss_at == "input":
            logits = _upsample(raw.float(), self.stride)
        else:
            logits, half = raw.float(), self.stride // 2
            labels = labels[:, half :: self.stride, half :: self.stride]
        each = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
        return {"pixel": safe_mean(each[labels != IGNORE])}

    def decode(self, raw: Float[Tensor, "B L h w"], board: Board) -> Float[Tensor, "B L h w"]:
        return raw

    def finish(self, value: Float[Tensor, "L h w"], scene: Scene, geometry: Geometry) -> Int[Tensor, "H W"]:
        """Logits at network resolution, padding cut off, resized to the original; the best label per pixel."""
        best = best_labels(value.float(), self.stride, geometry.source, geometry.size)
        return self.classes.to_labels(best).cpu()


def _branch(channels: int, config: SemanticConfig, steps: int) -> nn.Sequential:
    """3x3 convolution, GroupNorm, ReLU, then x2 upsampling: `steps` times (once without upsampling for the finest)."""
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


def _padded(labels: Int[Tensor, "B h w"], height: int, width: int) -> Int[Tensor, "B H W"]:
    """The finest map covers the image with whole cells, so that its last ones may reach beyond it."""
    return F.pad(labels, (0, width - labels.shape[2], 0, height - labels.shape[1]), value=IGNORE)


def _upsample(logits: Float[Tensor, "B L h w"], stride: int) -> Float[Tensor, "B L H W"]:
    return F.interpolate(logits, scale_factor=float(stride), mode="bilinear", align_corners=False)


@hookimpl
def scenekit_tasks() -> Iterator[TaskSpec]:
    """The task `semantic`."""
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
