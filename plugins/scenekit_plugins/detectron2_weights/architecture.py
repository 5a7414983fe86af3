"""What network a checkpoint holds, by the names and shapes in it.

The numbers that a state dict does not show (how pictures are normalized, where the stride is, thresholds) are those of
detectron2's configurations of the same networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scenekit.errors import InputError
from scenekit.recipe import ModelConfig
from scenekit.structures import Skeleton, Vocabulary
from scenekit_plugins import coco

State = Mapping[str, Tensor]

MEAN = (103.530, 116.280, 123.675)
"""PIXEL_MEAN of blue, green and red, of values in 0..255."""

MSRA = {"std": (1.0, 1.0, 1.0), "stride_in_1x1": True}
"""Of networks that start from MSRA's ImageNet weights, in which the deviation of the pixels is part of conv1."""

FB = {"std": (57.375, 57.120, 58.395), "stride_in_1x1": False}
"""Of networks that start from ResNeXt's own weights."""

BACKBONES: Mapping[tuple[int, int, int], tuple[str, Mapping[str, Any]]] = {
    (6, 1, 64): ("resnet50", MSRA),
    (23, 1, 64): ("resnet101", MSRA),
    (23, 32, 8): ("resnext101_32x8d", FB),
}
"""By the blocks in res4, and the groups and the channels of each group in res2: its name with us, and its kind."""

BACKBONE, RPN, ROI = "backbone.bottom_up", "proposal_generator.rpn_head", "roi_heads"

REQUIRED = (
    f"{BACKBONE}.res2.0.conv1.weight",
    f"{BACKBONE}.res2.0.conv2.weight",
    "backbone.fpn_output2.weight",
    f"{RPN}.conv.weight",
    f"{ROI}.box_head.fc1.weight",
    f"{ROI}.box_head.fc2.weight",
    f"{ROI}.box_predictor.cls_score.weight",
    f"{ROI}.box_predictor.bbox_pred.weight",
)
"""What all of the networks have, and no other kind has as a whole."""


def infer(state: State, file: Path) -> tuple[ModelConfig, Vocabulary]:
    """The configuration and the words of the network. Raises InputError for a network that is not converted."""
    missing = [name for name in REQUIRED if name not in state]
    if missing:
        raise InputError(
            f"{file}: a Faster, Mask or Keypoint R-CNN or a Panoptic FPN of detectron2 with a pyramid is expected; "
            f"this network has no {missing[0]}"
        )
    name, kind = _backbone(state, file)
    channels = len(state["backbone.fpn_output2.weight"])
    config = {
        "input": {
            "bgr": True,
            "mean": [value / 255 for value in MEAN],
            "std": [value / 255 for value in kind["std"]],
        },
        "backbone": {
            "name": name,
            "options": {"norm": "frozen", "trainable_stages": 3, "stride_in_1x1": kind["stride_in_1x1"]},
        },
        "pyramid": {"channels": channels},
        "detector_options": {"preset": "detectron2", "box_head": _box_head(state, channels)},
        "tasks": _tasks(state),
    }
    return ModelConfig.model_validate(config), _vocabulary(state, file)


def _backbone(state: State, file: Path) -> tuple[str, Mapping[str, Any]]:
    blocks = _count(state, f"{BACKBONE}.res4.{{}}.conv1.weight", first=0)
    width = len(state[f"{BACKBONE}.res2.0.conv1.weight"])
    per_group = state[f"{BACKBONE}.res2.0.conv2.weight"].shape[1]
    found = (blocks, width // per_group, per_group)
    if found not in BACKBONES:
        raise InputError(
            f"{file}: a backbone R50, R101 or X101 32x8d is expected; this one has {blocks} blocks in res4, and "
            f"{found[1]} groups of {per_group} channels in res2"
        )
    return BACKBONES[found]


def _box_head(state: State, channels: int) -> dict[str, Any]:
    first, second = (state[f"{ROI}.box_head.fc{layer}.weight"] for layer in (1, 2))
    return {"size": math.isqrt(first.shape[1] // channels), "fcs": [len(first), len(second)]}


def _tasks(state: State) -> dict[str, dict[str, Any]]:
    """The heads that the checkpoint has, with the numbers of their detectron2 configuration."""
    tasks: dict[str, dict[str, Any]] = {}
    if f"{ROI}.mask_head.predictor.weight" in state:
        tasks["masks"] = {**_convs(state, f"{ROI}.mask_head.mask_fcn{{}}.weight"), "binary_targets": True}
    if f"{ROI}.keypoint_head.score_lowres.weight" in state:
        tasks["keypoints"] = _convs(state, f"{ROI}.keypoint_head.conv_fcn{{}}.weight")
    if "sem_seg_head.predictor.weight" in state:
        tasks["semantic"] = {"channels": state["sem_seg_head.predictor.weight"].shape[1], "things": "together"}
    if {"masks", "semantic"} <= tasks.keys():
        tasks["panoptic"] = {"score_threshold": 0.5, "overlap": 0.5, "stuff_area": 0, "stuff_pixels": 4096}
    return tasks


def _convs(state: State, template: str) -> dict[str, Any]:
    """How many convolutions a region head has, and of how many channels."""
    return {"convs": _count(state, template, first=1), "channels": len(state[template.format(1)])}


def _vocabulary(state: State, file: Path) -> Vocabulary:
    """COCO's words where the numbers are COCO's, otherwise `class 1` and so on."""
    classes = len(state[f"{ROI}.box_predictor.cls_score.weight"]) - 1  # the last row is background
    if len(state[f"{ROI}.box_predictor.bbox_pred.weight"]) != 4 * classes:
        raise InputError(f"{file}: four offsets for each of {classes} classes are expected; the boxes know no classes")
    stuff = _stuff(state)
    points = state.get(f"{ROI}.keypoint_head.score_lowres.bias")
    if points is None:
        return Vocabulary(coco.THINGS if classes == len(coco.THINGS) else _numbered("class", classes), stuff)
    skeleton = coco.PERSON if len(points) == len(coco.PERSON.points) else Skeleton(_numbered("point", len(points)))
    things = ("person",) if classes == 1 else _numbered("class", classes)
    return Vocabulary(things, stuff, skeletons=dict.fromkeys(things, skeleton))


def _stuff(state: State) -> tuple[str, ...]:
    if "sem_seg_head.predictor.bias" not in state:
        return ()
    count = len(state["sem_seg_head.predictor.bias"]) - 1  # the first row is all things together
    return coco.STUFF if count == len(coco.STUFF) else _numbered("stuff", count)


def _numbered(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word} {number}" for number in range(1, count + 1))


def _count(state: State, template: str, first: int) -> int:
    """How many consecutive numbers from `first` on the template has in the state dict."""
    number = first
    while template.format(number) in state:
        number += 1
    return number - first
