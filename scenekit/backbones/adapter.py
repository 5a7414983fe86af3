"""Networks of other libraries brought to the contract of backbones, by sending an image through them once.

Letters: B images, C channels, H W input pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from scenekit.backbones.base import Backbone, Level, Normalization
from scenekit.backbones.tracing import trace_levels
from scenekit.errors import InputError

STRIDES = (4, 8, 16, 32)
PLAIN_STRIDE = 16
"""Stride of the single map from which a `SimplePyramid` is made."""

PROBE = (1, 3, 128, 192)
"""An image whose sides the coarsest stride divides, unlike any size that a network may be made for."""

Maps: TypeAlias = Sequence[Float[Tensor, "B _ _ _"]]
Reader: TypeAlias = Callable[[Any], Maps]


class SimplePyramid(nn.Module):
    """Maps at strides 4, 8, 16 and 32 out of the last one of a plain vision transformer, at stride 16.

    Two transposed convolutions, one, none, and a max pooling (Li et al., Exploring Plain Vision Transformer Backbones
    for Object Detection, 2022); the width halves with every step up.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.finest = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            nn.GroupNorm(1, half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.finer = nn.ConvTranspose2d(channels, half, 2, stride=2)
        self.coarser = nn.MaxPool2d(2)

    @staticmethod
    def levels(plain: Level) -> tuple[Level, ...]:
        """The levels made of `plain`: each cell is a part of its cells or several of them, around the same centre."""
        channels = (plain.channels // 4, plain.channels // 2, plain.channels, plain.channels)
        return tuple(
            Level(own, stride, plain.offset + (stride - plain.stride) / 2)
            for own, stride in zip(channels, STRIDES, strict=True)
        )

    def forward(self, features: Float[Tensor, "B C _ _"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """One map for each of `STRIDES`."""
        return self.finest(features), self.finer(features), features, self.coarser(features)


class AdaptedBackbone(Backbone):
    """Another library's network `body`, from whose output `read` takes the maps that are its levels.

    Parameters keep the library's names, under `body`. A network with one map at stride 16 gets a `pyramid`.
    Parameters on which no map depends (mask tokens, norms behind the last stage) do not learn.
    """

    def __init__(
        self, body: nn.Module, read: Reader, levels: Sequence[Level], normalization: Normalization | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.read = read
        self.normalization = normalization
        self.pyramid = SimplePyramid(levels[0].channels) if len(levels) == 1 else None
        for name in idle_parameters(body, read):
            body.get_parameter(name).requires_grad_(False)
        self.levels = tuple(levels) if self.pyramid is None else self.pyramid.levels(levels[0])

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """One feature map for each of `levels`."""
        maps = self.read(self.body(pixels))
        return tuple(maps) if self.pyramid is None else self.pyramid(maps[-1])


def probe(network: nn.Module, read: Reader) -> tuple[Level, ...]:
    """Every level of a network on the meta device, where neither weights nor pixels are computed.

    Raises ValueError for a network whose maps do not cover the image evenly, and whatever the network raises when it
    does not take the image.
    """
    network.eval()
    with torch.device("meta"), torch.no_grad():
        pixels = torch.zeros(PROBE)
        levels = trace_levels(lambda pixels: read(network(pixels)), pixels)
        maps = read(network(pixels))
    for features, level in zip(maps, levels, strict=True):
        height, width = features.shape[2:]
        if (height, width) != tuple(math.ceil(side / level.stride) for side in PROBE[2:]):
            size = f"{PROBE[2]}x{PROBE[3]}"
            raise ValueError(f"a map of {height}x{width} cells does not cover an image of {size} evenly")
    return levels


def idle_parameters(network: nn.Module, read: Reader) -> list[str]:
    """Names of the parameters on which no map depends; processes that train together would wait for their gradients."""
    values = {name: value.to("meta") for name, value in network.named_buffers()}
    parameters = {name: nn.Parameter(value.to("meta")) for name, value in network.named_parameters()}
    with torch.device("meta"), torch.enable_grad():
        pixels = torch.zeros(2, *PROBE[1:])  # two, for batch statistics of what is pooled to a single cell
        maps = read(functional_call(network, {**values, **parameters}, (pixels,)))
        total = torch.stack([features.sum() for features in maps]).sum()
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]


def missing_extra(extra: str, error: ImportError) -> InputError:
    """What to do where the library of an extra is not installed."""
    return InputError(f'networks of {extra} need its package ({error}); pip install "scenekit[{extra}]"')


def fitting(levels: Sequence[Level], name: str) -> list[int]:
    """Indices of the levels to take: the last one of each of `STRIDES`, or the last of all where all are at stride 16.

    Raises InputError for a network that has neither.
    """
    last = {level.stride: index for index, level in enumerate(levels)}
    if set(STRIDES) <= set(last):
        return [last[stride] for stride in STRIDES]
    if set(last) == {PLAIN_STRIDE}:
        return [last[PLAIN_STRIDE]]
    wanted = ", ".join(map(str, STRIDES))
    raise InputError(
        f"{name} cannot be a backbone: feature maps at strides {wanted} (or all at {PLAIN_STRIDE}) are expected, "
        f"it has {', '.join(map(str, sorted(last)))}; choose another network"
    )
