"""torchvision's classifiers as a backbone and the task `classification`.

The classes of their ImageNet weights have torchvision's names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torchvision.models import WeightsEnum, get_model_weights
from torchvision.transforms import InterpolationMode

from scenekit.backbones.torchvision import AUXILIARY
from scenekit.errors import InputError
from scenekit.recipe import ModelConfig
from scenekit.structures import Vocabulary
from scenekit.structures.image_classes import IMAGE_CLASSES

BACKBONE = "stages.backbone.net.backbone.body."
HEAD = "heads.classification."

LARGEST_SIDE = 8192
"""Upper limit of the longer side after resizing, in pixels; torchvision has none."""


@dataclass(frozen=True)
class Classifier:
    """A family of torchvision's classifiers."""

    head: Mapping[str, Any] = field(default_factory=dict)
    """Options of the task."""
    backbone: Mapping[str, Any] = field(default_factory=dict)
    """Options of the backbone."""


_PLAIN = Classifier()
_UNPADDED: Mapping[str, Any] = {"padding": "valid"}
_VGG = Classifier({"pooled": 7, "hidden": [4096, 4096], "dropout": 0.5})
_INCEPTION = Classifier({"pooled_dropout": 0.5}, _UNPADDED)


def _dropout(share: float) -> Classifier:
    return Classifier({"pooled_dropout": share})


def _mobilenet_v3(units: int) -> Classifier:
    return Classifier({"hidden": [units], "activation": "hardswish", "dropout": 0.2})


CLASSIFIERS: Mapping[str, Classifier] = {
    "alexnet": Classifier(
        {"pooled": 6, "hidden": [4096, 4096], "dropout": 0.5, "pooled_dropout": 0.5}, backbone=_UNPADDED
    ),
    **{f"vgg{layers}{norm}": _VGG for layers in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet": Classifier({"pooled_dropout": 0.2}, _UNPADDED),
    "inception_v3": _INCEPTION,
    **{f"resnet{layers}": _PLAIN for layers in (18, 34, 50, 101)},
    "resnext50_32x4d": _PLAIN,
    "resnext101_32x8d": _PLAIN,
    "mobilenet_v2": _dropout(0.2),
    "mobilenet_v3_small": _mobilenet_v3(1024),
    "mobilenet_v3_large": _mobilenet_v3(1280),
    "efficientnet_b0": _dropout(0.2),
    "efficientnet_b1": _dropout(0.2),
    "efficientnet_b2": _dropout(0.3),
    "efficientnet_b3": _dropout(0.3),
    "convnext_tiny": Classifier({"layer_norm": True}),
    "convnext_small": Classifier({"layer_norm": True}),
}
"""The classifiers by the name of their builder, which is also that of our backbone."""


def published(name: str) -> type[WeightsEnum]:
    """Return the published weights of a classifier.

    Args:
        name: Name of its builder.

    Returns:
        torchvision's record.
    """
    weights: type[WeightsEnum] = get_model_weights(name)
    return weights


def weights_of(name: str, digest: str) -> WeightsEnum:
    """Return the published weights that a file is, or the best ones where it is none of them.

    Args:
        name: Name of the builder.
        digest: SHA-256 of the file, hexadecimal.

    Returns:
        torchvision's record, whose preprocessing the model gets.
    """
    known = list(published(name).__members__.values())
    endings = {weights: re.search(r"-([0-9a-f]+)\.pth$", weights.url) for weights in known}
    own = (weights for weights, ending in endings.items() if ending is not None and digest.startswith(ending[1]))
    return next(own, published(name).DEFAULT)


def configured(name: str, weights: WeightsEnum, state: Mapping[str, Tensor]) -> ModelConfig:
    """Return the configuration of a classifier.

    Args:
        name: Name of the builder.
        weights: Weights whose preprocessing the model gets.
        state: torchvision's state dict, which has the widths of hidden layers.

    Returns:
        The configuration.
    """
    classifier, prepare = CLASSIFIERS[name], weights.transforms()
    hidden = [len(weight) for weight in _linear(state)[:-1]]
    return ModelConfig.model_validate(
        {
            "input": {
                "min_size": prepare.resize_size[0],
                "max_size": LARGEST_SIDE,
                "crop": prepare.crop_size[0],
                "divisor": 1,
                "mean": prepare.mean,
                "std": prepare.std,
                "resampling": "bicubic" if prepare.interpolation == InterpolationMode.BICUBIC else "antialiased",
            },
            "backbone": {"name": name, "options": dict(classifier.backbone)},
            "pyramid": None,
            "detector": None,
            "tasks": {"classification": {**classifier.head, "hidden": hidden}},
        }
    )


def vocabulary(weights: WeightsEnum, state: Mapping[str, Tensor], reason: str) -> Vocabulary:
    """Return ImageNet's classes if the number of classes is theirs, otherwise `class 1` and so on.

    Args:
        weights: The published weights.
        state: torchvision's state dict.
        reason: What the error message begins with.

    Returns:
        The vocabulary.

    Raises:
        InputError: If the weights have no classifier.
    """
    linear = _linear(state)
    if not linear:
        raise InputError(f"{reason}: they have no classifier, expected fc.weight or classifier.N.weight")
    names, count = weights.meta["categories"], len(linear[-1])
    if names is None:
        raise InputError(
            f"{reason}: {weights} are for other tasks, and their classifier is not trained; name the file as "
            "model.backbone.weights of a recipe instead"
        )
    classes = tuple(names) if count == len(names) else tuple(f"class {label + 1}" for label in range(count))
    return Vocabulary(things=(), lists={IMAGE_CLASSES: classes})


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict: layers of the classifier are numbered, all others are the backbone's.

    Args:
        state: torchvision's state dict.

    Returns:
        Our state dict.
    """
    layers = _layers(state)
    places: dict[str, str] = {layer: f"{HEAD}trunk.layers.{place}." for place, layer in enumerate(layers[:-1])}
    places |= {layer: f"{HEAD}predictor." for layer in layers[-1:]}
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        layer, _, parameter = name.rpartition(".")
        if name.startswith(AUXILIARY):
            continue
        if layer in places:
            found[places[layer] + parameter] = value
        elif name.startswith("classifier."):
            found[f"{HEAD}trunk.norm.{parameter}"] = value
        else:
            found[BACKBONE + name] = value
    return found


def _layers(state: Mapping[str, Tensor]) -> list[str]:
    """Return the linear layers of the classifier, in order."""
    named = {
        match[1]: int(match[2] or 0)
        for name, value in state.items()
        if (match := re.fullmatch(r"(fc|classifier\.(\d+))\.weight", name)) and value.ndim == 2
    }
    return sorted(named, key=lambda layer: named[layer])


def _linear(state: Mapping[str, Tensor]) -> list[Tensor]:
    return [state[f"{layer}.weight"] for layer in _layers(state)]
