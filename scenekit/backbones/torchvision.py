"""torchvision's classifiers as backbones, by its own feature extraction.

Letters: B images, H W input pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import Bottleneck

from scenekit.backbones.base import Backbone, Level
from scenekit.backbones.norm import frozen_copy, group_norm, replace_batch_norm
from scenekit.backbones.state import load_state, read_state
from scenekit.errors import InputError, nearest

NORMS = ("batch", "frozen", "group")
PROBE = 64
"""Side in pixels of the test image from which the levels are determined."""


@dataclass(frozen=True)
class Layout:
    """Modules of a network whose outputs are the levels.

    A convolution or pooling of odd size k with padding k // 2 keeps cell 0 centered on pixel 0, at coordinate 0.5,
    whatever its stride. A `patchify` network splits the image into patches of stride x stride pixels without padding
    instead: cell 0 then covers the whole first patch, and its center is stride / 2.
    """

    stem: str
    """Last module of the stem."""
    stages: tuple[str, ...]
    """Last module of each stage, usually at strides 4, 8, 16 and 32."""
    patchify: bool = False
    """Whether the network splits the image into patches."""

    def offset(self, stride: int) -> float:
        """Return the input coordinate of the center of cell 0.

        Args:
            stride: Stride of the level in pixels.

        Returns:
            Coordinate in pixels.
        """
        return stride / 2 if self.patchify else 0.5

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
            if name in (self.stem, *self.stages):
                parts.append([])
        return parts[:-1]  # after the last stage come the pooling and the classifier


def _features(stem: int, *stages: int, patchify: bool = False) -> Layout:
    s4, s8, s16, s32 = (f"features.{stage}" for stage in stages)
    return Layout(f"features.{stem}", (s4, s8, s16, s32), patchify)


_RESNET = Layout("maxpool", ("layer1", "layer2", "layer3", "layer4"))
_EFFICIENTNET = _features(1, 2, 3, 5, 8)
_CONVNEXT = _features(0, 1, 3, 5, 7, patchify=True)

LAYOUTS = {
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


class TorchvisionBackbone(Backbone):
    """A torchvision classifier without its head. Parameters keep torchvision's names, below `body`.

    Args:
        model: The classifier.
        layout: Modules whose outputs are the levels.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.body: nn.Module = create_feature_extractor(model, list(layout.stages))
        self.levels = tuple(
            Level(channels, stride, layout.offset(stride)) for channels, stride in self._channels_and_strides()
        )

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the feature maps.

        Args:
            pixels: Normalized images.

        Returns:
            One map for each of `levels`.
        """
        return tuple(self.body(pixels).values())

    @torch.no_grad()
    def _channels_and_strides(self) -> list[tuple[int, int]]:
        """Return channels and stride of each level, from the forward pass of one small image; batch statistics stay."""
        was_training = self.training
        self.eval()
        maps = self(next(self.parameters()).new_zeros(1, 3, PROBE, PROBE))
        self.train(was_training)
        return [(features.shape[1], PROBE // features.shape[2]) for features in maps]


def build_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    norm: str = "batch",
    norm_eps: float | None = None,
    trainable_stages: int | None = None,
    stride_in_1x1: bool = False,
    levels: Sequence[str] | None = None,
) -> TorchvisionBackbone:
    """Build a torchvision network as a backbone.

    ```python
    backbone = build_backbone("resnet50", weights="IMAGENET1K_V1", norm="frozen", trainable_stages=3)
    ```

    Args:
        name: Name of the network.
        weights: Name of torchvision's weights ("IMAGENET1K_V1", "DEFAULT": downloaded once), path of a state dict of
            the same network, or None for random weights.
        norm: Replacement of batch norm: "batch" keeps it, "frozen" makes its statistics constant, "group" (random
            weights only) needs none. Networks with layer norm (ConvNeXt) stay as they are.
        norm_eps: Epsilon of batch norm, by default the classifier's; torchvision's detectors differ in it from their
            classifiers.
        trainable_stages: How many of the five parts (stem, strides 4, 8, 16, 32) are trained, counted from the coarse
            end; None: all. The others keep their weights and batch statistics.
        stride_in_1x1: Whether residual blocks have their stride in the first convolution, as the networks of He et al.
            (2016) and of detectron2, instead of the 3x3 one.
        levels: Modules whose outputs are the levels, fine to coarse, in place of the last ones at each stride; they end
            the stages.

    Returns:
        The backbone.

    Raises:
        InputError: If an option is invalid or the weights do not fit.
    """
    layout = _layout(name) if levels is None else replace(_layout(name), stages=tuple(levels))
    _check_options(norm, weights, trainable_stages, len(layout.stages) + 1)
    model = _with_weights(name, layout, weights)
    _check_levels(name, model, layout)
    if norm_eps is not None:
        _set_eps(model, norm_eps)
    if stride_in_1x1:
        _stride_in_1x1(name, model)
    parts = layout.modules(model)
    if norm == "frozen":
        replace_batch_norm(model, frozen_copy)
    elif norm == "group":
        replace_batch_norm(model, lambda batch_norm: group_norm(batch_norm.num_features))
    if trainable_stages is not None:
        _freeze(model, [module for part in parts[: len(parts) - trainable_stages] for module in part])
    return TorchvisionBackbone(model, layout)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        raise InputError(f"unknown torchvision backbone {name!r}{nearest(name, list(LAYOUTS))}")
    return LAYOUTS[name]


def _check_options(norm: str, weights: object, trainable_stages: int | None, parts: int) -> None:
    if norm not in NORMS:
        raise InputError(f"backbone norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    if norm == "group" and weights is not None:
        raise InputError("backbone norm 'group' cannot carry the batch norm of pretrained weights; use 'frozen'")
    if trainable_stages is not None and not 0 <= trainable_stages <= parts:
        raise InputError(f"backbone trainable_stages: expected 0 to {parts}, got {trainable_stages}")


def _check_levels(name: str, model: nn.Module, layout: Layout) -> None:
    known = {module for module, _ in model.named_modules()}
    for level in layout.stages:
        if level not in known:
            raise InputError(f"backbone levels: {name} has no module {level!r}{nearest(level, known)}")


def _set_eps(model: nn.Module, eps: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps


def _with_weights(name: str, layout: Layout, weights: str | Path | None) -> nn.Module:
    """Create the classifier with its weights."""
    published = get_model_weights(name)
    if isinstance(weights, str) and (known := weights.removeprefix(f"{published.__name__}.")) in published.__members__:
        return _download(lambda: get_model(name, weights=known), weights)
    model: nn.Module = get_model(name, weights=None)
    if weights is not None:
        path = Path(weights)
        if not path.suffix and not path.exists():
            raise InputError(
                f"backbone weights: no {weights!r} for {name}{nearest(str(weights), list(published.__members__))}"
            )
        within = [module for part in layout.modules(model) for module in part]
        load_state(model, read_state(path, model.state_dict()), within, fit=f"weights file {path} does not fit {name}")
    return model


def _download(build: Callable[[], nn.Module], weights: str) -> nn.Module:
    """Run torchvision's own download, which fails with an OSError offline and a RuntimeError on a wrong checksum."""
    try:
        return build()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"torchvision weights {weights!r} could not be loaded ({error}); pass a file instead"
        ) from error


def _stride_in_1x1(name: str, model: nn.Module) -> None:
    """Exchange the strides of the first two convolutions of each block; the weights have the same shape."""
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    if not blocks:
        raise InputError(f"backbone stride_in_1x1: {name} has no blocks of 1x1, 3x3 and 1x1 convolutions; leave it out")
    for block in blocks:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def _freeze(model: nn.Module, modules: Sequence[str]) -> None:
    """Freeze modules, their batch norm included, or its statistics would drift with the data."""
    replace_batch_norm(model, frozen_copy, within=modules)
    for module in modules:
        model.get_submodule(module).requires_grad_(False)
