"""Feature pyramid network (Lin et al., Feature Pyramid Networks for Object Detection, 2017).

Letters: B images, C channels of the pyramid, H W input pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from scenekit.backbones.base import Backbone, Level
from scenekit.backbones.norm import group_norm
from scenekit.errors import InputError
from scenekit.structures.features import FeaturePyramid

Extra = Literal["pool", "pool_backbone", "conv", "conv_backbone"]

_NORMS: dict[str | None, Callable[[int], nn.Module] | None] = {None: None, "batch": nn.BatchNorm2d, "group": group_norm}


class OwnMaps(list[Tensor]):
    """Maps that belong to the function that they are passed to: it takes them out, so that each is freed once read."""


def owned(maps: Iterable[Tensor], reader: nn.Module | None = None) -> list[Tensor]:
    """Return maps for a function that they belong to; a plain list where others need them all the same.

    These are gradients, and with a module that reads them its hooks and what replaces its forward pass.

    Args:
        maps: The maps.
        reader: The module that reads them, if it is one.

    Returns:
        A list of them.
    """
    shared = torch.is_grad_enabled() or torch.compiler.is_compiling() or (reader is not None and _is_watched(reader))
    return list(maps) if shared else OwnMaps(maps)


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


class FPN(nn.Module):
    """Feature pyramid network: projects the levels of a backbone to the same channels and merges them top-down.

    Args:
        levels: Levels of the backbone, fine to coarse.
        channels: Channels of the pyramid.
        extra: Additional coarse levels: "pool" a P6 of every second cell of P5 (Faster R-CNN), "pool_backbone" a P6 of
            every second cell of the backbone's C5, projected and merged into P5 like the other levels (Cube R-CNN),
            "conv" a P6 and P7 by strided convolutions on P5 (FCOS), "conv_backbone" by the same on C5 (RetinaNet), or
            None.
        norm: Normalization behind each convolution of P2 to P5.
        slim: Whether the 3x3 output convolutions are depthwise-separable, for small models on a CPU.

    Raises:
        InputError: The maps do not lie on each other: a stride is no multiple of the finer one, or a map begins more
            than a cell inside the image.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        channels: int,
        *,
        extra: Extra | None = "pool",
        norm: Literal["batch", "group"] | None = None,
        slim: bool = False,
    ) -> None:
        super().__init__()
        _check_levels(levels)
        self.pools_backbone = extra == "pool_backbone"
        if self.pools_backbone:
            levels, extra = (*levels, _halved(levels[-1])), None
        self.net = FeaturePyramidNetwork(
            [level.channels for level in levels],
            channels,
            extra_blocks=_coarser(extra, levels[-1].channels, channels),
            norm_layer=_NORMS[norm],
        )
        if slim:
            self.net.layer_blocks = nn.ModuleList(_separable(channels, _NORMS[norm]) for _ in levels)
        own = [Level(channels, level.stride, level.offset) for level in levels]
        added = {None: 0, "pool": 1}.get(extra, 2)
        for _ in range(added):
            own.append(_halved(own[-1]))
        self.levels = tuple(own)

    def forward(self, maps: Iterable[Float[Tensor, "B _ _ _"]]) -> FeaturePyramid:
        """Compute the pyramid.

        Args:
            maps: One map for each of the backbone's levels.

        Returns:
            One map [B C _ _] for each of `levels`.
        """
        unread = maps if isinstance(maps, OwnMaps) else list(maps)
        if self.pools_backbone:
            unread.append(unread[-1][:, :, ::2, ::2])
        coarsest, above = unread[-1], None
        results: list[Tensor] = []
        for project, smooth in zip(reversed(self.net.inner_blocks), reversed(self.net.layer_blocks), strict=True):
            above = _added(project(unread.pop()), above)
            results.insert(0, smooth(above))
        if self.net.extra_blocks is not None:
            results, _ = self.net.extra_blocks(results, [coarsest], [])
        return FeaturePyramid(tuple(results), tuple(level.stride for level in self.levels))


def _added(fine: Float[Tensor, "B C _ _"], coarse: Float[Tensor, "B C _ _"] | None) -> Float[Tensor, "B C _ _"]:
    """Add a coarse map to a fine one, in place: each cell to all cells that lie in it."""
    if coarse is None:
        return fine
    height, width = coarse.shape[2:]
    rows, columns = fine.shape[2] // height, fine.shape[3] // width
    spread = torch.is_grad_enabled() or torch.compiler.is_compiling()
    if spread or tuple(fine.shape[2:]) != (height * rows, width * columns):
        return fine.add_(F.interpolate(coarse, size=fine.shape[2:], mode="nearest"))
    cells = fine.view(*fine.shape[:2], height, rows, width, columns)
    cells.add_(coarse[:, :, :, None, :, None])
    return fine


def _check_levels(levels: Sequence[Level]) -> None:
    """Check that cells of each level can be spread over those of the finer one."""
    strides = [level.stride for level in levels]
    if any(coarse % fine for fine, coarse in pairwise(strides)):
        raise InputError(
            f"a feature pyramid needs strides of which each is a multiple of the one before, got {strides}; choose "
            "other levels, or model.pyramid.kind: single"
        )
    for level in levels:
        if level.offset >= level.stride:
            raise InputError(
                f"a feature pyramid needs maps that cover the image, but that of stride {level.stride} begins "
                f"{level.offset:g} pixels inside it; set model.backbone.options.padding: same"
            )


def _halved(level: Level) -> Level:
    """Return the level of every second cell: the first is cell 0, so that its center stays."""
    return Level(level.channels, level.stride * 2, level.offset)


def _coarser(extra: Extra | None, backbone: int, channels: int) -> ExtraFPNBlock | None:
    """Build the additional coarse levels."""
    if extra is None:
        return None
    if extra == "pool":
        return LastLevelMaxPool()
    blocks = LastLevelP6P7(channels if extra == "conv" else backbone, channels)
    blocks.use_P5 = extra == "conv"
    return blocks


class SingleMap(nn.Module):
    """The last of a backbone's maps, as it is, in place of a pyramid.

    Args:
        levels: Levels of the backbone, fine to coarse.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        super().__init__()
        self.levels = (levels[-1],)

    def forward(self, maps: Iterable[Float[Tensor, "B _ _ _"]]) -> FeaturePyramid:
        """Return the last map.

        Args:
            maps: One map for each of the backbone's levels.

        Returns:
            A pyramid of one level.
        """
        return FeaturePyramid((list(maps)[-1],), (self.levels[0].stride,))


class BackboneWithFPN(nn.Module):
    """A backbone followed by a feature pyramid network.

    Args:
        backbone: The backbone.
        fpn: The feature pyramid network for its levels, or what takes its place; None for a backbone alone.
        chosen: Indices of the backbone's levels that it reads; all if None.
    """

    def __init__(self, backbone: Backbone, fpn: FPN | SingleMap | None, chosen: Sequence[int] | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.fpn = fpn
        self.chosen = tuple(range(len(backbone.levels)) if chosen is None else chosen)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Channels, stride and offset of each map of the pyramid, fine to coarse."""
        return () if self.fpn is None else self.fpn.levels

    @property
    def channels(self) -> int:
        """Number of channels C, the same on every level; 0 without a pyramid."""
        return self.levels[0].channels if self.levels else 0

    @property
    def strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each level."""
        return tuple(level.stride for level in self.levels)

    def forward(self, pixels: Float[Tensor, "B 3 H W"]) -> FeaturePyramid:
        """Compute the feature pyramid.

        Args:
            pixels: Normalized images.

        Returns:
            The pyramid.
        """
        return self.pyramid(owned(self.backbone(pixels)))

    def pyramid(self, maps: Iterable[Float[Tensor, "B _ _ _"]]) -> FeaturePyramid:
        """Compute the feature pyramid from the maps of the backbone.

        Args:
            maps: One map for each of the backbone's levels.

        Returns:
            The pyramid.
        """
        if self.fpn is None:
            return FeaturePyramid((), ())
        chosen = owned((features for index, features in enumerate(maps) if index in self.chosen), self.fpn)
        if isinstance(maps, OwnMaps):
            maps.clear()
        pyramid: FeaturePyramid = self.fpn(chosen)
        return pyramid


def _separable(channels: int, norm: Callable[[int], nn.Module] | None) -> nn.Sequential:
    """Return a depthwise 3x3 and a pointwise convolution, initialized as torchvision does the full convolution."""
    depthwise = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False)
    pointwise = nn.Conv2d(channels, channels, kernel_size=1, bias=norm is None)
    for convolution in (depthwise, pointwise):
        nn.init.kaiming_uniform_(convolution.weight, a=1)
    if pointwise.bias is not None:
        nn.init.zeros_(pointwise.bias)
    return nn.Sequential(depthwise, pointwise, *([norm(channels)] if norm else []))
