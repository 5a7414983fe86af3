"""The networks of `torchvision.models.detection` as our configurations.

All options that are not here are those of the detectors' presets `torchvision` and `torchvision_v2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torchvision.models import WeightsEnum, detection

from scenekit.errors import InputError
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit_plugins import coco
from scenekit_plugins.torchvision_weights.names import RCNN, Names
from scenekit_plugins.torchvision_weights.one_stage_names import (
    ANCHORS,
    FCOS,
    RETINANET,
    SSD300,
    SSD300_BOXES,
    SSDLITE,
    SSDLITE_BOXES,
)

CLASSES = "roi_heads.box_predictor.cls_score.bias"
"""A parameter with one entry per class, background first."""

POINTS = "roi_heads.keypoint_predictor.kps_score_lowres.bias"
"""A parameter with one entry per point of the skeleton."""


@dataclass(frozen=True)
class Network:
    """One builder of torchvision."""

    weights: type[WeightsEnum]
    """The published weights."""
    backbone: str = "resnet50"
    """Name of our backbone."""
    levels: tuple[str, ...] | None = None
    """Modules of the backbone that feed the pyramid; the last ones at strides 4 to 32 if None."""
    pyramid: Mapping[str, Any] | None = field(default_factory=dict)
    """Options of the pyramid; None without one."""
    detector_name: str = "faster_rcnn"
    """Name of our detector."""
    detector: Mapping[str, Any] = field(default_factory=lambda: {"preset": "torchvision"})
    """Options of our detector."""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options of our tasks."""
    min_size: int = 800
    """Shorter side of the input, in pixels."""
    max_size: int = 1333
    """Upper limit of the longer side of the input, in pixels."""
    input: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the input."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of the backbone."""
    names: Names = RCNN
    """Names of its parameters."""
    classes: tuple[str, int] = (CLASSES, 1)
    """A parameter with so many entries per class, background among the classes."""
    eps: float = 1e-5
    """Epsilon that its frozen batch norms add to the variance."""
    published_eps: float = 1e-5
    """Epsilon of the published weights: the first ones were trained with 0, which torchvision sets when it loads them.
    """


_V2: Mapping[str, Any] = {"pyramid": {"norm": "batch"}, "detector": {"preset": "torchvision_v2"}}
_MASKS: Mapping[str, Any] = {"aligned_targets": False, "rounded_pasting": True}
_MOBILENET: Mapping[str, Any] = {"backbone": "mobilenet_v3_large", "levels": ("features.13", "features.16")}
_FROM_8: Mapping[str, Any] = {"levels": [8, 16, 32], "extra": "conv"}
_RETINANET: Mapping[str, Any] = {
    "detector_name": "retinanet",
    "names": RETINANET,
    "classes": ("head.classification_head.cls_logits.bias", ANCHORS),
}


def _mobilenet_detector(**rpn: Any) -> Mapping[str, Any]:
    """Return options for two levels of stride 32 and one of 64, all with anchors of all sizes."""
    return {
        "preset": "torchvision",
        "anchors": {"sizes": [[32, 64, 128, 256, 512]] * 3},
        "rpn": {"score_threshold": 0.05, **rpn},
        "pooler": {"levels": 2},
    }


def _fixed(side: int, **more: Any) -> Mapping[str, Any]:
    """Return options of an input of side x side pixels."""
    return {"fixed_size": [side, side], "min_size": side, "max_size": side, "divisor": 1, **more}


NETWORKS: Mapping[str, Network] = {
    "fasterrcnn_resnet50_fpn": Network(detection.FasterRCNN_ResNet50_FPN_Weights, published_eps=0.0),
    "fasterrcnn_resnet50_fpn_v2": Network(detection.FasterRCNN_ResNet50_FPN_V2_Weights, **_V2),
    "fasterrcnn_mobilenet_v3_large_fpn": Network(
        detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights, detector=_mobilenet_detector(), **_MOBILENET
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": Network(
        detection.FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
        detector=_mobilenet_detector(pre_nms_test=150, post_nms_test=150),
        min_size=320,
        max_size=640,
        **_MOBILENET,
    ),
    "maskrcnn_resnet50_fpn": Network(
        detection.MaskRCNN_ResNet50_FPN_Weights, tasks={"masks": _MASKS}, published_eps=0.0
    ),
    "maskrcnn_resnet50_fpn_v2": Network(
        detection.MaskRCNN_ResNet50_FPN_V2_Weights, tasks={"masks": {**_MASKS, "conv_norm": "batch"}}, **_V2
    ),
    "keypointrcnn_resnet50_fpn": Network(
        detection.KeypointRCNN_ResNet50_FPN_Weights, tasks={"keypoints": {"score": "logit"}}, published_eps=0.0
    ),
    "retinanet_resnet50_fpn": Network(
        detection.RetinaNet_ResNet50_FPN_Weights, pyramid=_FROM_8, published_eps=0.0, **_RETINANET
    ),
    "retinanet_resnet50_fpn_v2": Network(
        detection.RetinaNet_ResNet50_FPN_V2_Weights,
        pyramid={**_FROM_8, "extra": "conv_backbone"},
        **{**_RETINANET, "detector": {"preset": "torchvision_v2"}},
    ),
    "fcos_resnet50_fpn": Network(
        detection.FCOS_ResNet50_FPN_Weights,
        pyramid=_FROM_8,
        detector_name="fcos",
        names=FCOS,
        classes=("head.classification_head.cls_logits.bias", 1),
    ),
    "ssd300_vgg16": Network(
        detection.SSD300_VGG16_Weights,
        backbone="vgg16",
        levels=("features.22", "features.29"),
        options={"ceil_pooling": ["features.16"]},
        pyramid=None,
        detector_name="ssd",
        input=_fixed(300, mean=[0.48235, 0.45882, 0.40784], std=[1 / 255] * 3),
        names=SSD300,
        classes=("head.classification_head.module_list.0.bias", SSD300_BOXES[0]),
    ),
    "ssdlite320_mobilenet_v3_large": Network(
        detection.SSDLite320_MobileNet_V3_Large_Weights,
        backbone="mobilenet_v3_large",
        levels=("features.13.block.0", "features.16"),
        options={"reduced_tail": True},
        pyramid=None,
        detector_name="ssd",
        detector={"preset": "torchvision_lite"},
        input=_fixed(320, mean=[0.5] * 3, std=[0.5] * 3),
        eps=1e-3,
        published_eps=1e-3,
        names=SSDLITE,
        classes=("head.classification_head.module_list.0.1.bias", SSDLITE_BOXES[0]),
    ),
}
"""The networks by the name of their builder."""


def configured(network: Network, eps: float) -> ModelConfig:
    """Return the configuration of a network.

    Args:
        network: The network.
        eps: Epsilon of the batch norms of its backbone.

    Returns:
        The configuration.
    """
    options: dict[str, Any] = {"norm": "frozen", "norm_eps": eps, **network.options}
    if network.levels is not None:
        options["levels"] = list(network.levels)
    sizes = {"min_size": network.min_size, "max_size": network.max_size, "resampling": "plain"}
    return ModelConfig.model_validate(
        {
            "input": {**sizes, **network.input},
            "backbone": {"name": network.backbone, "options": options},
            "pyramid": network.pyramid,
            "detector": network.detector_name,
            "detector_options": network.detector,
            "tasks": network.tasks,
        }
    )


def vocabulary(network: Network, state: Mapping[str, Tensor], reason: str) -> Vocabulary:
    """Return COCO's class names if the number of classes is COCO's, otherwise `class 1` and so on.

    torchvision keeps COCO's 90 category ids as they are, also those that are never used: label i is id i + 1.

    Args:
        network: The network.
        state: torchvision's state dict.
        reason: What the error message begins with.

    Returns:
        The vocabulary.

    Raises:
        InputError: If the weights lack the layers that show the numbers.
    """
    parameter, each = network.classes
    classes = _count(state, parameter, reason) // each - 1
    points = _count(state, POINTS, reason) if "keypoints" in network.tasks else None
    return coco.vocabulary(coco.THINGS_BY_ID, classes, points)


def _count(state: Mapping[str, Tensor], name: str, reason: str) -> int:
    if name not in state:
        raise InputError(f"{reason}: {name} is missing")
    return len(state[name])
