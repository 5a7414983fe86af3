"""Options of the two-stage detector, and presets with the options of other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, model_validator

from scenekit.config import Config, merged
from scenekit.detection.text import TextConfig
from scenekit.errors import InputError, nearest

Positive = Annotated[float, Field(gt=0)]
Width = Annotated[int, Field(ge=1)]


class AnchorConfig(Config):
    """Reference boxes of the region proposal network."""

    sizes: tuple[tuple[Positive, ...], ...] = ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    """Square roots of the anchors' areas, in pixels, per level from fine to coarse."""
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

    @model_validator(mode="after")
    def _same_number_on_each_level(self) -> AnchorConfig:
        if len({len(level) for level in self.sizes}) != 1:
            raise ValueError(f"anchors.sizes: expected as many sizes on each level, got {self.sizes}")
        return self

    @property
    def per_cell(self) -> int:
        """Number of anchors at each cell of each level."""
        return len(self.sizes[0]) * len(self.ratios)


class ProposalConfig(Config):
    """Region proposal network."""

    convs: int = Field(default=1, ge=1, le=1000)
    """Number of 3x3 convolutions that all streams share."""
    channels: int | None = Field(default=None, ge=1)
    """Channels of these convolutions; those of the pyramid if null."""
    pre_nms_train: int = Field(default=2000, ge=1)
    """Candidates per level before NMS, in training."""
    pre_nms_test: int = Field(default=1000, ge=1)
    """Candidates per level before NMS, at inference."""
    post_nms_train: int = Field(default=1000, ge=1)
    """Proposals per image after NMS, in training."""
    post_nms_test: int = Field(default=1000, ge=1)
    """Proposals per image after NMS, at inference."""
    nms_threshold: float = Field(default=0.7, ge=0, le=1)
    """IoU above which NMS suppresses a candidate."""
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    """Smallest objectness of a proposal."""
    min_box_size: float = Field(default=1e-3, ge=0)
    """Smallest width and height of a proposal, in network pixels."""
    padding_train: bool = False
    """Whether anchors centered in the padding of an image are candidates in training, as in torchvision and detectron2.
    """
    foreground: float = Field(default=0.7, ge=0, le=1)
    """IoU from which on an anchor is positive."""
    background: float = Field(default=0.3, ge=0, le=1)
    """IoU below which an anchor is negative."""
    samples: int = Field(default=256, ge=1)
    """Anchors per image that the losses use."""
    positive_fraction: float = Field(default=0.5, ge=0, le=1)
    """Largest share of positives among the sampled anchors."""
    smooth_l1_beta: float = Field(default=0.0, ge=0)
    """Where the loss of the offsets turns from L2 to L1; 0 is L1."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Classes with an objectness of their own, which has negatives only in images that cover all classes of the group;
    all other classes share one more. A proposal has the greatest. A run determines them by what its data sets cover,
    unless the recipe sets them.
    """

    @model_validator(mode="after")
    def _grouped_once(self) -> ProposalConfig:
        names = [name for group in self.groups for name in group]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"groups: {twice!r} is named twice; leave one of them out")
        return self


class PoolerConfig(Config):
    """RoI features over the levels of the pyramid.

    A box is pooled from the map of stride 2^k, k = floor(canonical_level + log2(sqrt(area) / canonical_size)), clamped
    to the available levels (FPN, eq. 1).
    """

    kind: Literal["align", "pool"] = "align"
    """"align" is RoIAlign, which interpolates; "pool" is RoI pooling as in Fast R-CNN: the maximum of the cells in each
    bin, with the box and its bins rounded to whole cells.
    """
    levels: int = Field(default=4, ge=1)
    """Number of levels, from the finest on; all where the pyramid has fewer."""
    aligned: bool = True
    """Whether RoIAlign shifts boxes by half a pixel."""
    sampling_ratio: int = Field(default=2, ge=0)
    """Samples of RoIAlign per bin along each axis; 0 adapts to the size of the box."""
    canonical_size: float = Field(default=224.0, gt=0)
    """Square root of the area, in network pixels, of a box on the canonical level."""
    canonical_level: int = 4
    """The level k of a box of the canonical size."""
    level_epsilon: float = 1e-6
    """Number that is added to the logarithm, against rounding."""
    epsilon_inside_log: bool = False
    """Whether it is added inside the logarithm."""


class SoftNMSConfig(Config):
    """How soft-NMS lowers the scores of boxes that overlap a better one (Bodla et al., Soft-NMS, 2017)."""

    decay: Literal["linear", "gaussian"] = "gaussian"
    """"linear" multiplies a score by 1 - IoU where the IoU is at least `nms_threshold`; "gaussian" multiplies every
    score by exp(-IoU^2 / sigma).
    """
    sigma: float = Field(default=0.5, gt=0)
    """Width of the gaussian."""


class DetectionConfig(Config):
    """How a stage samples regions to learn on, and how it turns classified regions into detections."""

    foreground: float = Field(default=0.5, ge=0, le=1)
    """IoU from which on a proposal is positive."""
    background: float = Field(default=0.5, ge=0, le=1)
    """IoU below which a proposal is background."""
    samples: int = Field(default=512, ge=1)
    """Regions per image that the losses use."""
    positive_fraction: float = Field(default=0.25, ge=0, le=1)
    """Largest share of positives among the sampled regions."""
    coder_weights: tuple[Positive, Positive, Positive, Positive] = (10.0, 10.0, 5.0, 5.0)
    """Factors on the offsets x, y, width, height, as in Fast R-CNN."""
    score_threshold: float = Field(default=0.05, ge=0, le=1)
    """Scores of detections are above this."""
    nms_threshold: float = Field(default=0.5, ge=0, le=1)
    """IoU above which NMS suppresses a detection of the same class."""
    suppression: Literal["nms", "soft_nms"] = "nms"
    """"nms" drops a detection that overlaps a better one of its class; "soft_nms" lowers its score, and drops it where
    that is then not above `score_threshold`.
    """
    soft_nms: SoftNMSConfig = SoftNMSConfig()
    """How soft-NMS lowers scores."""
    across_classes: float | None = Field(default=None, ge=0, le=1)
    """IoU above which a detection of another class is suppressed, too, so that nothing is detected as two classes; null
    keeps both, as the metrics expect.
    """
    detections: int = Field(default=100, ge=1)
    """Upper limit of the detections per image."""
    min_box_size: float = Field(default=1e-2, ge=0)
    """Smallest width and height, in network pixels, that a box needs after clipping to enter NMS; with 0 all boxes do,
    as in detectron2, and empty ones are dropped afterwards.
    """


class BoxHeadConfig(DetectionConfig):
    """Second stage: classification and box regression of regions."""

    size: int = Field(default=7, ge=1)
    """Side of the pooled features."""
    convs: tuple[Width, ...] = ()
    """Widths of 3x3 convolutions."""
    conv_norm: Literal["batch"] | None = None
    """Normalization after each convolution."""
    fcs: tuple[Width, ...] = Field(default=(1024, 1024), min_length=1)
    """Widths of fully connected layers."""
    text: TextConfig | None = None
    """Class weights from embeddings of class names; null for learned ones, one for each class."""
    smooth_l1_beta: float = Field(default=0.0, ge=0)
    """Where the loss of the offsets turns from L2 to L1; 0 is L1."""
    train_on_pred_boxes: bool = False
    """Whether, in training, tasks get the sampled regions of every stream with the boxes that this stage predicts, as
    at inference, instead of the proposals and ground-truth boxes. The name is detectron2's.
    """


_SINGLE_MAP: dict[str, Any] = {
    "anchors": {"sizes": ((128.0, 256.0, 512.0),)},
    "rpn": {
        "channels": 512,
        "pre_nms_train": 12000,
        "post_nms_train": 2000,
        "pre_nms_test": 6000,
        "post_nms_test": 300,
        "smooth_l1_beta": 1 / 9,
    },
    "pooler": {"kind": "pool", "levels": 1},
    "box_head": {"samples": 128, "smooth_l1_beta": 1.0, "nms_threshold": 0.3},
}
"""Ren et al., Faster R-CNN, 2015, and its published code: K = 9 anchors per cell of one map, the 300 best proposals at
test time."""

_TORCHVISION: dict[str, Any] = {
    "anchors": {"rounded": True, "stride": "grid"},
    "rpn": {"post_nms_train": 2000, "smooth_l1_beta": 1 / 9, "padding_train": True},
    "pooler": {"aligned": False},
    "box_head": {"smooth_l1_beta": 1 / 9},
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "single_map": _SINGLE_MAP,
    "torchvision": _TORCHVISION,
    "torchvision_v2": merged(
        _TORCHVISION,
        {"rpn": {"convs": 2}, "box_head": {"convs": (256,) * 4, "conv_norm": "batch", "fcs": (1024,)}},
    ),
    "detectron2": {
        "rpn": {"min_box_size": 0.0, "padding_train": True},
        "pooler": {"sampling_ratio": 0, "level_epsilon": 1e-8, "epsilon_inside_log": True},
        "box_head": {"min_box_size": 0.0},
    },
}
"""Options that differ from our defaults, by name of the preset."""


P = TypeVar("P", bound="PresetConfig")


class PresetConfig(Config):
    """Options with an option `preset`, which names the values of all options that are not set."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}}
    """Options that differ from our defaults, by name of the preset."""

    @classmethod
    def preset(cls: type[P], name: str, **overrides: Any) -> P:
        """Return a preset with some options changed.

        ```python
        DetectorConfig.preset("torchvision", rpn={"samples": 64})
        ```

        Args:
            name: Name of the preset.
            overrides: Sections with the changed options.

        Returns:
            The options.

        Raises:
            InputError: If there is no such preset.
        """
        return cls.model_validate({**overrides, "preset": name})

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, options: Any) -> Any:
        if not isinstance(options, Mapping):
            return options
        options = dict(options)
        name = options.pop("preset", "default")
        if name not in cls.presets:
            raise InputError(f"unknown detector preset {name!r}{nearest(str(name), list(cls.presets))}")
        return merged(cls.presets[name], options)


class RegionConfig(Config):
    """What a detector has that classifies pooled regions, wherever these are from."""

    pooler: PoolerConfig = PoolerConfig()
    """RoI features."""
    box_head: BoxHeadConfig = BoxHeadConfig()
    """Second stage."""


class DetectorConfig(RegionConfig, PresetConfig):
    """The shared two-stage detector.

    The option `preset` names the values of all options that are not set: `torchvision` is fasterrcnn_resnet50_fpn,
    `torchvision_v2` fasterrcnn_resnet50_fpn_v2, `detectron2` its Base-RCNN-FPN; `single_map` is Faster R-CNN as first
    published, on one map of the backbone (`model.pyramid: {kind: single, levels: [16]}`); `default` is ours.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    """Options that differ from our defaults, by name of the preset."""

    anchors: AnchorConfig = AnchorConfig()
    """Reference boxes."""
    rpn: ProposalConfig = ProposalConfig()
    """Region proposal network."""
