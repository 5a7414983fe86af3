"""Adapters from networks of other libraries to `Backbone`, configured by one forward pass of an image.

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
from scenekit.backbones.patches import PatchGrid
from scenekit.backbones.tracing import trace_levels
from scenekit.errors import InputError

STRIDES = (4, 8, 16, 32)
PLAIN_STRIDE = 16
"""Stride of the single map from which a `SimplePyramid` is computed."""

PROBE = (1, 3, 128, 192)
"""Shape of the test image: its sides are multiples of the coarsest stride, and no network's native size."""

Maps: TypeAlias = Sequence[Float[Tensor, "B _ _ _"]]
Reader: TypeAlias = Callable[[Any], Maps]


class SimplePyramid(nn.Module):
    """Maps at strides 4, 8, 16 and 32 from the last map of a plain vision transformer, at stride 16.

    Two transposed convolutions, one, none, and a max pooling (Li et al., Exploring Plain Vision Transformer Backbones
    for Object Detection, 2022); the channels halve with every step up. From a map at stride 14 there are three maps, at
    strides 7, 14 and 28: a quarter of it would be no whole number of pixels.

    Args:
        plain: Level of the map.
    """

    def __init__(self, plain: Level) -> None:
        super().__init__()
        channels, half, quarter = plain.channels, plain.channels // 2, plain.channels // 4
        self.finest: nn.Sequential | None = None
        shapes = [(half, plain.stride // 2), (channels, plain.stride), (channels, plain.stride * 2)]
        if plain.stride % 4 == 0:
            shapes = [(quarter, plain.stride // 4), *shapes]
            self.finest = nn.Sequential(
                nn.ConvTranspose2d(channels, half, 2, stride=2),
                nn.GroupNorm(1, half),
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, 2, stride=2),
            )
        self.finer = nn.ConvTranspose2d(channels, half, 2, stride=2)
        self.coarser = nn.MaxPool2d(2, ceil_mode=True)
        # Cells are subdivided or merged around the same center.
        self.levels = tuple(Level(size, stride, plain.offset + (stride - plain.stride) / 2) for size, stride in shapes)

    def forward(self, features: Float[Tensor, "B C _ _"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the pyramid.

        Args:
            features: The map.

        Returns:
            One map for each of `levels`.
        """
        maps = (self.finer(features), features, self.coarser(features))
        return maps if self.finest is None else (self.finest(features), *maps)


class AdaptedBackbone(Backbone):
    """A network of another library as a backbone.

    Parameters keep the names of the library, below `body`. A network with one map gets a `SimplePyramid`. Parameters on
    which no map depends (mask tokens, norms behind the last stage) are frozen.

    Args:
        body: The network.
        read: Function that returns the feature maps from the network's output.
        levels: Level of each map.
        normalization: Normalization of images with which the weights were trained, if known.
        patches: How images are padded for a network of patches; None for one that accepts them as they are.
        frozen: Whether the network stays as it is, in evaluation mode; a `SimplePyramid` on it learns all the same.
    """

    def __init__(
        self,
        body: nn.Module,
        read: Reader,
        levels: Sequence[Level],
        normalization: Normalization | None = None,
        patches: PatchGrid | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.read = read
        self.normalization = normalization
        self.patches = patches
        self.frozen = frozen
        self.pyramid = SimplePyramid(levels[0]) if len(levels) == 1 else None
        self.levels = tuple(levels) if self.pyramid is None else self.pyramid.levels
        idle = [name for name, _ in body.named_parameters()] if frozen else self._idle_parameters()
        for name in idle:
            body.get_parameter(name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> AdaptedBackbone:
        """Set training mode; a frozen network stays in evaluation mode, without dropout.

        Args:
            mode: Whether to train.

        Returns:
            The backbone.
        """
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute the feature maps.

        Args:
            pixels: Normalized images.

        Returns:
            One map for each of `levels`.
        """
        if self.patches is None:
            maps = self.read(self.body(pixels))
        else:
            maps = self.patches.returned(self.read(self.body(self.patches.padded(pixels))), pixels)
        return tuple(maps) if self.pyramid is None else self.pyramid(maps[-1])

    def _idle_parameters(self) -> list[str]:
        if self.patches is None:
            return idle_parameters(self.body, self.read)
        return idle_parameters(self.body, self.read, self.patches.padded(torch.zeros(PROBE, device="meta")))


def probe(network: nn.Module, read: Reader) -> tuple[Level, ...]:
    """Determine the levels of a network on the meta device, without computing weights or pixels.

    Args:
        network: The network.
        read: Function that returns the feature maps from the network's output.

    Returns:
        The level of each map.

    Raises:
        ValueError: If maps do not cover the image evenly; errors of the network are not caught.
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


def idle_parameters(network: nn.Module, read: Reader, pixels: Float[Tensor, "B 3 H W"] | None = None) -> list[str]:
    """Return the names of parameters on which no map depends; distributed training would wait for their gradients.

    Args:
        network: The network.
        read: Function that returns the feature maps from the network's output.
        pixels: Images on the meta device that it accepts; two test images if None.

    Returns:
        Names of parameters.
    """
    values = {name: value.to("meta") for name, value in network.named_buffers()}
    parameters = {name: nn.Parameter(value.to("meta")) for name, value in network.named_parameters()}
    with torch.device("meta"), torch.enable_grad():
        if pixels is None:
            pixels = torch.zeros(2, *PROBE[1:])  # two, for batch statistics of what is pooled to a single cell
        maps = read(functional_call(network, {**values, **parameters}, (pixels,)))
        total = torch.stack([features.sum() for features in maps]).sum()
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, gradients, strict=True) if gradient is None]


def missing_extra(extra: str, error: ImportError) -> InputError:
    """Create the error for a missing optional dependency.

    Args:
        extra: Name of the extra, which is that of the library.
        error: The error of its import.

    Returns:
        An error that names the command to install it.
    """
    return InputError(f'networks of {extra} need its package ({error}); pip install "scenekit[{extra}]"')


def fitting(levels: Sequence[Level], name: str) -> list[int]:
    """Select levels: the last one at each of `STRIDES`, or the last of all where all are at stride 16.

    Args:
        levels: Levels of a network.
        name: Name of the network for error messages.

    Returns:
        Indices of the selected levels.

    Raises:
        InputError: If the network has neither.
    """
    last = {level.stride: index for index, level in enumerate(levels)}
    if set(STRIDES) <= set(last):
        return [last[stride] for stride in STRIDES]
    if set(last) == {PLAIN_STRIDE}:
        return [last[PLAIN_STRIDE]]
    wanted = ", ".join(map(str, STRIDES))
    raise InputError(
        f"{name} cannot be a backbone: expected feature maps at strides {wanted} (or all at {PLAIN_STRIDE}), "
        f"got {', '.join(map(str, sorted(last)))}; choose another network"
    )
