"""Options of the detectors that classify warped crops."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from scenekit.config import Config
from scenekit.detection.config import DetectionConfig, PoolerConfig, Positive, Width
from scenekit.detection.proposals import ProposalsConfig, SlidingWindowConfig
from scenekit.detection.proposals.required import proposals_given
from scenekit.recipe import BackboneConfig


class CropConfig(Config):
    """Warped crops of regions, and the layers above the trunk that they go through."""

    size: int = Field(default=227, ge=8)
    """Side of the crops, in pixels."""
    context: int = Field(default=16, ge=0)
    """Pixels at each side of a crop that show what surrounds the region."""
    cells: int = Field(default=3, ge=1)
    """Side to which the trunk's last map is averaged."""
    fcs: tuple[Width, ...] = Field(default=(1024, 1024), min_length=1)
    """Widths of fully connected layers on it."""
    chunk: int = Field(default=64, ge=1)
    """Crops that go through the network at once at inference, which bounds the memory."""

    @model_validator(mode="after")
    def _shows_the_region(self) -> CropConfig:
        if 2 * self.context >= self.size:
            raise ValueError(f"context {self.context} at both sides leaves no region in crops of {self.size} pixels")
        return self


class CropDetectionConfig(DetectionConfig):
    """How regions are sampled to learn on, and how classified regions become detections."""

    samples: int = Field(default=64, ge=1)
    """Regions per image that the losses use."""
    coder_weights: tuple[Positive, Positive, Positive, Positive] = (1.0, 1.0, 1.0, 1.0)
    """Factors on the offsets x, y, width, height."""
    nms_threshold: float = Field(default=0.3, ge=0, le=1)
    """IoU above which NMS suppresses a detection of the same class."""


class CropDetectorConfig(Config):
    """What the detectors on warped crops share."""

    trunk: BackboneConfig = BackboneConfig()
    """The network that each crop goes through, by itself: not the shared one of `model.backbone`."""
    crops: CropConfig = CropConfig()
    """The crops, and the layers above the trunk."""
    detection: CropDetectionConfig = CropDetectionConfig()
    """Sampling and decoding."""
    pooler: PoolerConfig = PoolerConfig()
    """RoI features of the shared pyramid for the heads of tasks."""


class SlidingWindowDetectorConfig(CropDetectorConfig):
    """A classifier of crops over windows."""

    windows: SlidingWindowConfig = SlidingWindowConfig()
    """Shapes and places of the windows."""
    limit: int | None = Field(default=None, ge=1)
    """Upper limit of the windows per image; all if null."""


class SVMConfig(Config):
    """Linear SVMs, one per class, on the features of the crops."""

    c: float = Field(default=1e-3, gt=0)
    """Weight C of the errors against the size of the weights."""
    positive_weight: float = Field(default=2.0, gt=0)
    """Factor on C of the positives."""
    feature_norm: float = Field(default=20.0, gt=0)
    """Mean norm to which features are scaled for fitting, so that `c` means the same for every trunk."""
    negative: float = Field(default=0.3, ge=0, le=1)
    """IoU with all objects of a class below which a region is a negative of it; positives are the ground-truth boxes.
    """
    start_negatives: int = Field(default=32, ge=1)
    """Random negatives per image that the SVMs are first fitted on."""
    mining_passes: int = Field(default=1, ge=0)
    """How often hard negatives, with margins above -1, are collected from all images and the SVMs fitted again."""
    negatives: int = Field(default=20000, ge=1)
    """Upper limit of the negatives, hardest first."""
    slope: float = Field(default=4.0, gt=0)
    """The score of a margin m is 1 / (1 + exp(-slope m)): 0.5 on the hyperplane, 0.02 and 0.98 on the margins -1 and 1.
    """


class RegressionConfig(Config):
    """Box regression: a ridge regression per class on what the trunk gives for the crops."""

    strength: float = Field(default=1000.0, ge=0)
    """Weight lambda of the regularization."""
    overlap: float = Field(default=0.6, ge=0, le=1)
    """IoU with an object of the class from which on a proposal is an example."""
    feature_norm: float = Field(default=20.0, gt=0)
    """Mean norm to which features are scaled for fitting."""
    samples: int = Field(default=1000, ge=1)
    """Upper limit of the examples of a class, drawn at random."""


class RCNNConfig(CropDetectorConfig):
    """R-CNN: external proposals, a network on warped crops, linear SVMs and box regression."""

    proposals: ProposalsConfig
    """Where the proposals are from."""
    svm: SVMConfig = SVMConfig()
    """The SVMs."""
    regression: RegressionConfig = RegressionConfig()
    """Box regression."""
    fit_images: int | None = Field(default=None, ge=1)
    """Training images that SVMs and box regression are fitted on; all if null."""

    @model_validator(mode="before")
    @classmethod
    def _has_proposals(cls, options: Any) -> Any:
        return proposals_given(options)
