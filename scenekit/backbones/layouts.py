"""Where the levels of torchvision's networks are: the modules whose outputs they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Layout:
    """Modules of a network whose outputs are the levels."""

    stem: str
    """Last module of the stem."""
    stages: tuple[str, ...]
    """Last module of each stage, usually at strides 4, 8, 16 and 32."""
    unpadded: bool = False
    """Whether some windows have no padding, so that the maps are smaller than the image divided by the stride."""
    large_classifier: bool = False
    """Whether the trunk is in `features`, below a classifier of hundreds of megabytes."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of torchvision's constructor."""
    untrained_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of torchvision's constructor where no weights are given."""

    def modules(self, model: nn.Module) -> list[list[str]]:
        """Return the names of the modules of the stem and of each stage.

        Args:
            model: The network.

        Returns:
            One list per part, in the order of the forward pass.
        """
        parent = self.stem.rpartition(".")[0]
        parts: list[list[str]] = [[]]
        for child, _ in model.get_submodule(parent).named_children():
            name = f"{parent}.{child}" if parent else child
            parts[-1].append(name)
            if any(f"{end}.".startswith(f"{name}.") for end in (self.stem, *self.stages)):  # a level may lie within
                parts.append([])
        return parts[:-1]  # after the last stage come the pooling and the classifier


def _features(stem: int, *stages: int) -> Layout:
    return Layout(f"features.{stem}", tuple(f"features.{stage}" for stage in stages))


def _vgg(convolutions: Sequence[int], norm: bool) -> Layout:
    """Return the layout of a VGG: relu3_x, relu4_x, relu5_x, and the pooling behind the last.

    Args:
        convolutions: Convolutions before each of the five poolings.
        norm: Whether each convolution has a batch norm.
    """
    layers = 3 if norm else 2
    pools = list(accumulate(count * layers + 1 for count in convolutions))
    _, stem, *rest = (f"features.{end - 1}" for end in pools)
    stages = (*(f"features.{end - 2}" for end in pools[2:]), rest[-1])
    return Layout(stem, stages, large_classifier=True)


_RESNET = Layout("maxpool", ("layer1", "layer2", "layer3", "layer4"))
_EFFICIENTNET = _features(1, 2, 3, 5, 8)
_CONVNEXT = _features(0, 1, 3, 5, 7)
_ALEXNET = Layout(
    "features.0",
    ("features.1", "features.4", "features.11", "features.12"),
    unpadded=True,
    large_classifier=True,
)
_INCEPTION: dict[str, Any] = {
    "unpadded": True,
    "options": {"aux_logits": False},
    # The input is rescaled from ImageNet's mean and deviation to -1..1 as the published weights need.
    "untrained_options": {"aux_logits": False, "init_weights": False, "transform_input": True},
}
_GOOGLENET = Layout("maxpool1", ("conv3", "inception3b", "inception4e", "inception5b"), **_INCEPTION)
_INCEPTION_V3 = Layout("maxpool1", ("Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"), **_INCEPTION)
_VGGS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

LAYOUTS = {
    "alexnet": _ALEXNET,
    **{name: _vgg(convolutions, norm=False) for name, convolutions in _VGGS.items()},
    **{f"{name}_bn": _vgg(convolutions, norm=True) for name, convolutions in _VGGS.items()},
    "googlenet": _GOOGLENET,
    "inception_v3": _INCEPTION_V3,
    "resnet18": _RESNET,
    "resnet34": _RESNET,
    "resnet50": _RESNET,
    "resnet101": _RESNET,
    "resnext50_32x4d": _RESNET,
    "resnext101_32x8d": _RESNET,
    "mobilenet_v2": _features(1, 3, 6, 13, 18),
    "mobilenet_v3_small": _features(0, 1, 3, 8, 12),
    "mobilenet_v3_large": _features(1, 3, 6, 12, 16),
    "efficientnet_b0": _EFFICIENTNET,
    "efficientnet_b1": _EFFICIENTNET,
    "efficientnet_b2": _EFFICIENTNET,
    "efficientnet_b3": _EFFICIENTNET,
    "convnext_tiny": _CONVNEXT,
    "convnext_small": _CONVNEXT,
}
"""Layout of each network by torchvision's name."""
