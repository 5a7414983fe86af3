"""Cube R-CNN (Brazil et al., Omni3D, 2023): a Faster R-CNN of detectron2 with a head for 3D boxes.

Options that a state dict does not show are those of the released configurations, except for the training of the
detector: batch statistics are frozen, and the objectness of proposals is learned as a class, not as an IoU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit_plugins import coco
from scenekit_plugins.detectron2_weights.architecture import (
    BACKBONE,
    FB,
    FPN,
    MEAN,
    ROI,
    box_head,
    class_count,
    pooled_side,
)
from scenekit_plugins.detectron2_weights.names import MOST_BLOCKS, MOST_CONVS, detector
from scenekit_plugins.detectron2_weights.shapes import Shapes

EXPECTED = "a Cube R-CNN on a ResNet of torchvision with a pyramid"

_NAMES = (
    "pedestrian, car, cyclist, van, truck, traffic cone, barrier, motorcycle, bicycle, bus, trailer, books, bottle, "
    "camera, cereal box, chair, cup, laptop, shoes, towel, blinds, window, lamp, shelves, mirror, sink, cabinet, "
    "bathtub, door, toilet, desk, box, bookcase, picture, table, counter, bed, night stand, pillow, sofa, television, "
    "floor mat, curtain, clothes, stationery, refrigerator, bin, stove, oven, machine"
)

OMNI3D = tuple(_NAMES.split(", "))
"""The 50 classes of Omni3D in the order of its category ids, which Cube R-CNN keeps for any selection of classes."""

OUTDOOR = OMNI3D[:11]
"""Classes of its outdoor data sets."""

INDOOR = tuple(name for name in OMNI3D if name == "bicycle" or name not in (*OUTDOOR, "camera", "cereal box"))
"""Classes of its indoor data sets."""

CLASSES: Mapping[int, tuple[str, ...]] = {len(names): names for names in (OMNI3D, OUTDOOR, INDOOR)}
"""Class names of the released models by their number."""

BACKBONES: Mapping[tuple[int, bool], str] = {
    (2, False): "resnet18",
    (6, False): "resnet34",
    (6, True): "resnet50",
    (23, True): "resnet101",
}
"""Names of backbones by the blocks in layer3, and whether these have three convolutions."""

CUBE = f"{ROI}.cube_head"

SIZES, SCALES = f"{ROI}.priors_dims_per_cat", f"{ROI}.priors_z_scales"
"""Mean and standard deviation of the sizes [1, classes, 2, 3], and scales of the depth bins [classes, bins]."""

PRIORS = frozenset({SIZES, SCALES})
"""Entries of a state dict that are options here."""

POSES = {6: "6d", 4: "quaternion", 3: "euler"}
"""Parametrization of the rotation by its numbers."""

LAYERS: Mapping[str, tuple[str, str]] = {
    "deltas": ("bbox_3D_center_deltas", "XY"),
    "size": ("bbox_3D_dims", "dims"),
    "pose": ("bbox_3D_pose", "pose"),
    "depth": ("bbox_3D_center_depth", "Z"),
    "uncertainty": ("bbox_3D_uncertainty", "conf"),
}
"""Of each kind of numbers Cube R-CNN's layer, and how the name of a tower of its own ends."""


def infer(state: Mapping[str, Tensor], file: Path) -> tuple[ModelConfig, Vocabulary]:
    """Determine configuration and vocabulary of a checkpoint.

    Args:
        state: Cube R-CNN's state dict.
        file: Path of the checkpoint, for error messages.

    Returns:
        Configuration and vocabulary.

    Raises:
        InputError: If the network is of a kind that cannot be converted.
    """
    shapes = Shapes(state, file, EXPECTED)
    backbone = _backbone(shapes)
    count = class_count(shapes)
    classes = coco.known_or_numbered(CLASSES.get(count, ()), "class", count)
    config = {
        "input": {
            "min_size": 512,
            "max_size": 4096,
            "bgr": True,
            "mean": [value / 255 for value in MEAN],
            "std": [value / 255 for value in FB["std"]],
            "divisor": 64,
        },
        "backbone": {"name": backbone, "options": {"norm": "frozen"}},
        "pyramid": {"channels": shapes.outputs(f"{FPN}_output2.weight"), "extra": "pool_backbone"},
        "detector_options": {
            "preset": "detectron2",
            "pooler": {"levels": 5},
            "box_head": {**box_head(shapes), "score_threshold": 0.01},
        },
        "tasks": {"boxes3d": _boxes3d(shapes, classes)},
    }
    return ModelConfig.model_validate(config), Vocabulary(classes, ())


def _backbone(shapes: Shapes) -> str:
    if f"{BACKBONE}.base_layer.0.weight" in shapes:
        raise shapes.refusal("the trunk of this one is a DLA, which is not converted; use cubercnn_Res34_FPN")
    if f"{BACKBONE}.layer3.0.conv1.weight" not in shapes:
        raise shapes.refusal("the trunk of this one is not a ResNet of torchvision")
    blocks = shapes.count(f"{BACKBONE}.layer3.{{}}.conv1.weight", first=0)
    kind = blocks, f"{BACKBONE}.layer3.0.conv3.weight" in shapes
    if kind not in BACKBONES:
        raise shapes.refusal(
            f"the trunk of this one has {blocks} blocks in layer3, as none of {', '.join(BACKBONES.values())}"
        )
    return BACKBONES[kind]


def _boxes3d(shapes: Shapes, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of the task `boxes3d`."""
    if (bins := shapes.inputs(SCALES)) > 1:
        raise shapes.refusal(
            f"this one has {bins} bins of depth by the size of a box in pixels, which here is relative to the image"
        )
    shared = f"{CUBE}.feature_generator.fc1.weight" in shapes
    tower = f"{CUBE}.feature_generator{'' if shared else '_XY'}.fc{{}}.weight"
    numbers = shapes.outputs(f"{CUBE}.bbox_3D_pose.weight") // len(classes)
    if numbers not in POSES:
        raise shapes.refusal(
            f"the rotations of this one have {numbers} numbers, not one of {', '.join(map(str, POSES))}"
        )
    return {
        "pooled": pooled_side(shapes, tower.format(1)),
        "fcs": shapes.fcs(tower),
        "towers": "shared" if shared else "separate",
        "code": {"pose": POSES[numbers]},
        "loss": {"corners": "nearest"},
        "uncertainty": f"{CUBE}.bbox_3D_uncertainty.weight" in shapes,
        "first_uncertainty": 5.0,
        "priors": {"sizes": _sizes(shapes, classes)},
    }


def _sizes(shapes: Shapes, classes: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Return the priors of sizes by class; they are parameters of Cube R-CNN, which its training changes."""
    priors = shapes.state.get(SIZES)
    if priors is None or priors.shape != (1, len(classes), 2, 3):
        raise shapes.refusal(f"this network has no {SIZES} of {len(classes)} classes")
    if not bool((priors > 0).all() & priors.isfinite().all()):
        raise shapes.refusal(f"{SIZES} has sizes that are not positive")
    rows = priors[0].tolist()
    return {name: {"mean": mean, "std": std} for name, (mean, std) in zip(classes, rows, strict=True)}


def _modules() -> Iterator[tuple[str, str]]:
    """Yield pairs of Cube R-CNN's name and ours."""
    yield from _resnet(BACKBONE, "stages.backbone.net.backbone.body")
    yield from detector(levels=5)
    for kind, (layer, tower) in LAYERS.items():
        yield f"{CUBE}.{layer}", f"heads.boxes3d.network.predictors.{kind}"
        yield from _tower(f"{CUBE}.feature_generator_{tower}", kind)
    yield from _tower(f"{CUBE}.feature_generator", "shared")


def _tower(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    for index in range(MOST_CONVS):
        yield f"{theirs}.fc{index + 1}", f"heads.boxes3d.network.towers.{ours}.{2 * index}"


def _resnet(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    """Yield names of torchvision's modules, which are the same in both."""
    blocks = [f"layer{layer}.{block}" for layer in range(1, 5) for block in range(MOST_BLOCKS)]
    leaves = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample.0", "downsample.1")
    for name in ("conv1", "bn1", *(f"{block}.{leaf}" for block in blocks for leaf in leaves)):
        yield f"{theirs}.{name}", f"{ours}.{name}"


MODULES: Mapping[str, str] = dict(_modules())
"""Cube R-CNN's names of modules and ours."""
