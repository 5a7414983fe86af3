"""Every number of the two-stage detector, and the families of numbers that other libraries use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from scenekit.config import Config, merged
from scenekit.errors import InputError, nearest


class AnchorConfig(Config):
    """Reference boxes of the region proposal network.

    `sizes` per level, fine to coarse: square roots of areas, in pixels; `ratios` are height / width. `rounded` to whole
    pixels as torchvision. The anchors of cell (0, 0) are centred at `offset` strides. `stride` "nominal" is that of the
    pyramid; "grid" divides the padded image by the cells of the level, rounded down, as torchvision.
    """

    sizes: tuple[tuple[float, ...], ...] = ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rounded: bool = False
    offset: float = 0.0
    stride: Literal["nominal", "grid"] = "nominal"

    @model_validator(mode="after")
    def _same_number_on_each_level(self) -> AnchorConfig:
        if len({len(level) for level in self.sizes}) != 1:
            raise ValueError(f"anchors.sizes needs equally many sizes on each level, got {self.sizes}")
        return self

    @property
    def per_cell(self) -> int:
        """Anchors at each cell of each level."""
        return len(self.sizes[0]) * len(self.ratios)


class ProposalConfig(Config):
    """Region proposal network: `convs` shared 3x3 convolutions with `channels` (the pyramid's, if None).

    `pre_nms` candidates per level and `post_nms` proposals per image, with targets (`train`) and without (`test`).
    Anchors are positive from an IoU of `foreground` on and negative below `background`; `samples` of them per image
    give the losses, at most `positive_fraction` positive.
    """

    convs: int = Field(default=1, ge=1)
    channels: int | None = Field(default=None, ge=1)
    pre_nms_train: int = Field(default=2000, ge=1)
    pre_nms_test: int = Field(default=1000, ge=1)
    post_nms_train: int = Field(default=1000, ge=1)
    post_nms_test: int = Field(default=1000, ge=1)
    nms_threshold: float = Field(default=0.7, ge=0, le=1)
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    min_box_size: float = Field(default=1e-3, ge=0)
    foreground: float = Field(default=0.7, ge=0, le=1)
    background: float = Field(default=0.3, ge=0, le=1)
    samples: int = Field(default=256, ge=1)
    positive_fraction: float = Field(default=0.5, ge=0, le=1)
    smooth_l1_beta: float = Field(default=0.0, ge=0)


class PoolerConfig(Config):
    """RoIAlign over the `levels` finest maps; sampling_ratio 0 adapts to the size of the box.

    A box goes to the map of stride 2^k, k = floor(canonical_level + log2(sqrt(area) / canonical_size)) within what
    there is (FPN, eq. 1). `level_epsilon` is added to the logarithm, or inside it with `epsilon_inside_log`.
    """

    levels: int = Field(default=4, ge=1)
    aligned: bool = True
    sampling_ratio: int = Field(default=2, ge=0)
    canonical_size: float = Field(default=224.0, gt=0)
    canonical_level: int = 4
    level_epsilon: float = 1e-6
    epsilon_inside_log: bool = False


class BoxHeadConfig(Config):
    """Second stage: features of `size` x `size`, 3x3 `convs` and fully connected layers `fcs` of these widths.

    `samples` regions per image give the losses, at most `positive_fraction` positive (IoU from `foreground` on;
    background below `background`). Detections score above `score_threshold`, survive NMS within their class at
    `nms_threshold`, and number at most `detections` per image. Boxes that clipping leaves smaller than `min_box_size`
    take no part in that; with 0 they do as in detectron2, and only then are the empty ones dropped.

    `train_on_pred_boxes`: while learning, tasks see the sampled regions of every stream where this stage moves them, as
    they do at inference, and not where proposals and true boxes were. detectron2 has the option under this name.
    """

    size: int = Field(default=7, ge=1)
    convs: tuple[int, ...] = ()
    conv_norm: Literal["batch"] | None = None
    fcs: tuple[int, ...] = Field(default=(1024, 1024), min_length=1)
    foreground: float = Field(default=0.5, ge=0, le=1)
    background: float = Field(default=0.5, ge=0, le=1)
    samples: int = Field(default=512, ge=1)
    positive_fraction: float = Field(default=0.25, ge=0, le=1)
    coder_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    smooth_l1_beta: float = Field(default=0.0, ge=0)
    score_threshold: float = Field(default=0.05, ge=0, le=1)
    nms_threshold: float = Field(default=0.5, ge=0, le=1)
    detections: int = Field(default=100, ge=1)
    min_box_size: float = Field(default=1e-2, ge=0)
    train_on_pred_boxes: bool = False


_TORCHVISION: dict[str, Any] = {
    "anchors": {"rounded": True, "stride": "grid"},
    "rpn": {"post_nms_train": 2000, "smooth_l1_beta": 1 / 9},
    "pooler": {"aligned": False},
    "box_head": {"smooth_l1_beta": 1 / 9},
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "torchvision": _TORCHVISION,
    "torchvision_v2": merged(
        _TORCHVISION,
        {"rpn": {"convs": 2}, "box_head": {"convs": (256,) * 4, "conv_norm": "batch", "fcs": (1024,)}},
    ),
    "detectron2": {
        "rpn": {"min_box_size": 0.0},
        "pooler": {"sampling_ratio": 0, "level_epsilon": 1e-8, "epsilon_inside_log": True},
        "box_head": {"min_box_size": 0.0},
    },
}
"""Only what differs from our default."""


class DetectorConfig(Config):
    """The shared two-stage detector. An option `preset` names what fills all that is not said otherwise.

    `torchvision` is fasterrcnn_resnet50_fpn, `torchvision_v2` fasterrcnn_resnet50_fpn_v2, `detectron2` its
    Base-RCNN-FPN; `default` is ours.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    anchors: AnchorConfig = AnchorConfig()
    rpn: ProposalConfig = ProposalConfig()
    pooler: PoolerConfig = PoolerConfig()
    box_head: BoxHeadConfig = BoxHeadConfig()

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> DetectorConfig:
        """The preset with some numbers changed, such as `preset("torchvision", rpn={"samples": 64})`."""
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
