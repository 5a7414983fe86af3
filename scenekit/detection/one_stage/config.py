"""Options that all one-stage detectors share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from scenekit.config import Config
from scenekit.detection.config import AnchorConfig, DetectorConfig, PoolerConfig, Positive, PresetConfig


class TrainingRegionConfig(Config):
    """Regions on which the heads of other tasks are trained: detections that match ground truth, and its boxes."""

    samples: int = Field(default=64, ge=1)
    """Regions per image."""
    foreground: float = Field(default=0.5, ge=0, le=1)
    """IoU with ground truth from which on a detection is one of them."""

    @property
    def positive_fraction(self) -> float:
        """Share of positives: no head is trained on background."""
        return 1.0


class WholeImageConfig(PresetConfig):
    """Options of a detector that needs no proposals: what becomes a detection, and what other tasks get."""

    score_threshold: float = Field(default=0.05, ge=0, le=1)
    """Scores of detections are above this."""
    across_classes: float | None = Field(default=None, ge=0, le=1)
    """IoU above which a detection of another class is suppressed, too; null keeps both, as the metrics expect."""
    detections: int = Field(default=100, ge=1)
    """Upper limit of the detections per image."""
    regions: TrainingRegionConfig = TrainingRegionConfig()
    """Regions on which other tasks are trained."""
    pooler: PoolerConfig = PoolerConfig()
    """RoIAlign for the heads of other tasks."""
    streams: DetectorConfig | None = None
    """Proposal network and box head of region streams that tasks bring, such as the phrases of captions; built where a
    task brings one. If null, the defaults, with anchors of 8 strides on each level.
    """


class OneStageConfig(WholeImageConfig):
    """Options of a one-stage detector, whose predictions are suppressed by better ones."""

    candidates: int = Field(default=1000, ge=1)
    """Upper limit of the predictions of each level of an image that enter NMS, best first."""
    nms_threshold: float = Field(default=0.5, ge=0, le=1)
    """IoU above which NMS suppresses a detection of the same class."""


class DenseAnchorConfig(Config):
    """Reference boxes at every cell of every level."""

    scale: float = Field(default=4.0, gt=0)
    """Square root of the area of the smallest anchors of a level, in its strides."""
    octave: int = Field(default=3, ge=1)
    """Number n of sizes per level, each 2^(1/n) times the one before."""
    sizes: tuple[tuple[Positive, ...], ...] | None = None
    """Square roots of the anchors' areas, in pixels, per level from fine to coarse; in place of `scale` and `octave`.
    """
    ratios: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Aspect ratios, height / width."""
    rounded: bool = False
    """Whether anchors are rounded to whole pixels, as in torchvision."""
    offset: float = 0.0
    """Center of the anchors of cell (0, 0), in strides."""
    stride: Literal["nominal", "grid"] = "nominal"
    """"nominal" is the stride of the pyramid; "grid" divides the padded image by the cells of the level, rounded down,
    as torchvision.
    """

    def on_levels(self, strides: Sequence[int]) -> AnchorConfig:
        """Return the anchors of a pyramid.

        Args:
            strides: Strides of its levels in pixels.

        Returns:
            The anchors of each level.
        """
        factors = [self.scale * 2 ** (step / self.octave) for step in range(self.octave)]
        sizes = tuple(tuple(factor * stride for factor in factors) for stride in strides)
        return AnchorConfig(
            sizes=sizes if self.sizes is None else self.sizes,
            ratios=self.ratios,
            rounded=self.rounded,
            offset=self.offset,
            stride=self.stride,
        )
