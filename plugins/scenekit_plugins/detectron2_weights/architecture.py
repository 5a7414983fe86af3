"""The network of a checkpoint, determined by the names and shapes of its parameters.

Options that a state dict does not show (how images are normalized, where the stride is, thresholds) are those of
detectron2's configurations of the same networks in its model zoo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scenekit.errors import InputError
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit_plugins import coco
from scenekit_plugins.detectron2_weights.shapes import Shapes

MEAN = (103.530, 116.280, 123.675)
"""PIXEL_MEAN of blue, green and red, of values in 0..255."""

MSRA: Mapping[str, Any] = {"std": (1.0, 1.0, 1.0), "stride_in_1x1": True}
"""Options of networks with MSRA's ImageNet weights, in which the deviation of the pixels is part of conv1."""

FB: Mapping[str, Any] = {"std": (57.375, 57.120, 58.395), "stride_in_1x1": False}
"""Options of networks with ResNeXt's own weights."""

BACKBONES: Mapping[tuple[int, int, int], tuple[str, Mapping[str, Any]]] = {
    (6, 1, 64): ("resnet50", MSRA),
    (23, 1, 64): ("resnet101", MSRA),
    (23, 32, 8): ("resnext101_32x8d", FB),
}
"""Our name of a backbone and its options, by the blocks in res4, and the groups and channels per group in res2."""

EXPECTED = "a Faster, Mask or Keypoint R-CNN or a Panoptic FPN of detectron2 with a pyramid"
"""What is converted, for error messages."""

BACKBONE, FPN, RPN, ROI = "backbone.bottom_up", "backbone.fpn", "proposal_generator.rpn_head", "roi_heads"

KEYPOINTS, SEMANTIC = f"{ROI}.keypoint_head.score_lowres.weight", "sem_seg_head.predictor.weight"
"""Last layers of two heads."""


def infer(state: Mapping[str, Tensor], file: Path) -> tuple[ModelConfig, Vocabulary]:
    """Determine configuration and vocabulary of a checkpoint.

    Args:
        state: detectron2's state dict.
        file: Path of the checkpoint, for error messages.

    Returns:
        Configuration and vocabulary.

    Raises:
        InputError: If the network is of a kind that cannot be converted.
    """
    shapes = Shapes(state, file, EXPECTED)
    return ModelConfig.model_validate(options(shapes)), _vocabulary(shapes)


def options(shapes: Shapes) -> dict[str, Any]:
    """Return the configuration of a detector of detectron2, with the tasks that it has heads for.

    Args:
        shapes: Sizes of the checkpoint's tensors.

    Returns:
        The configuration as plain data.

    Raises:
        InputError: If the network is of a kind that cannot be converted.
    """
    shapes.outputs(f"{RPN}.conv.weight")
    name, kind = _backbone(shapes)
    return {
        "input": {
            "bgr": True,
            "mean": [value / 255 for value in MEAN],
            "std": [value / 255 for value in kind["std"]],
        },
        "backbone": {
            "name": name,
            "options": {"norm": "frozen", "trainable_stages": 3, "stride_in_1x1": kind["stride_in_1x1"]},
        },
        "pyramid": {"channels": shapes.outputs(f"{FPN}_output2.weight")},
        "detector_options": {"preset": "detectron2", "box_head": box_head(shapes)},
        "tasks": _tasks(shapes),
    }


def _backbone(shapes: Shapes) -> tuple[str, Mapping[str, Any]]:
    blocks = shapes.count(f"{BACKBONE}.res4.{{}}.conv1.weight", first=0)
    per_group = shapes.inputs(f"{BACKBONE}.res2.0.conv2.weight")
    groups = shapes.outputs(f"{BACKBONE}.res2.0.conv2.weight") // per_group
    if (blocks, groups, per_group) not in BACKBONES:
        raise InputError(
            f"{shapes.file}: expected a backbone R50, R101 or X101 32x8d; this one has {blocks} blocks in res4, and "
            f"{groups} groups of {per_group} channels in res2"
        )
    return BACKBONES[blocks, groups, per_group]


def box_head(shapes: Shapes) -> dict[str, Any]:
    """Return the options of the box head: two fully connected layers on pooled features.

    Args:
        shapes: Sizes of the checkpoint's tensors.

    Returns:
        The options.
    """
    return {
        "size": pooled_side(shapes, f"{ROI}.box_head.fc1.weight"),
        "fcs": [shapes.outputs(f"{ROI}.box_head.fc{layer}.weight") for layer in (1, 2)],
    }


def pooled_side(shapes: Shapes, first: str) -> int:
    """Return the side of the pooled features that a region head reads.

    Args:
        shapes: Sizes of the checkpoint's tensors.
        first: Name of its first fully connected layer's weights.

    Returns:
        The side.
    """
    return math.isqrt(shapes.inputs(first) // shapes.outputs(f"{FPN}_output2.weight"))


def _tasks(shapes: Shapes) -> dict[str, dict[str, Any]]:
    """Return the tasks of the checkpoint, with the options of their detectron2 configuration."""
    tasks: dict[str, dict[str, Any]] = {}
    if f"{ROI}.mask_head.predictor.weight" in shapes:
        tasks["masks"] = {**shapes.convs(f"{ROI}.mask_head.mask_fcn{{}}.weight"), "binary_targets": True}
    if KEYPOINTS in shapes:
        tasks["keypoints"] = shapes.convs(f"{ROI}.keypoint_head.conv_fcn{{}}.weight")
    if SEMANTIC in shapes:
        tasks["semantic"] = {"channels": shapes.inputs(SEMANTIC), "things": "together"}
    if {"masks", "semantic"} <= tasks.keys():
        tasks["panoptic"] = {"score_threshold": 0.5, "overlap": 0.5, "stuff_area": 0, "stuff_pixels": 4096}
    return tasks


def _vocabulary(shapes: Shapes) -> Vocabulary:
    """Return COCO's class names if the number of classes is COCO's, otherwise `class 1` and so on."""
    points = shapes.inputs(KEYPOINTS) if KEYPOINTS in shapes else None  # a transposed convolution: outputs on axis 1
    count = shapes.outputs(SEMANTIC) - 1 if SEMANTIC in shapes else 0  # the first row is all things together
    stuff = coco.known_or_numbered(coco.STUFF, "stuff", count)
    return coco.vocabulary(coco.THINGS, class_count(shapes), points, stuff)


def class_count(shapes: Shapes) -> int:
    """Return the number of classes of the box head.

    Args:
        shapes: Sizes of the checkpoint's tensors.

    Returns:
        The number.

    Raises:
        InputError: If it has another number of offsets.
    """
    classes = shapes.outputs(f"{ROI}.box_predictor.cls_score.weight") - 1  # the last row is background
    if shapes.outputs(f"{ROI}.box_predictor.bbox_pred.weight") != 4 * classes:
        raise InputError(f"{shapes.file}: expected four offsets for each of {classes} classes, got another number")
    return classes
