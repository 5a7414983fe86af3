"""The network of SSD: further, coarser maps behind those of the trunk, and one convolution per map.

Letters: B images, C channels of a map, A default boxes per cell, K columns of class logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

_lite_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


class FurtherMaps(nn.Module):
    """Maps behind those of the trunk.

    Args:
        channels: Channels of each map of the trunk.
        scale: First length of the features of the finest map after L2 normalization (ParseNet); None leaves them.
        dense: Channels of two convolutions in place of VGG's fully connected layers behind the last map, or None.
        extra: Channels and stride of each coarser map; with stride 1 the map loses its border.
        lite: Whether layers are depthwise separable with batch norm, as in SSDLite.
    """

    def __init__(
        self,
        channels: Sequence[int],
        scale: float | None,
        dense: int | None,
        extra: Sequence[tuple[int, int]],
        lite: bool,
    ) -> None:
        super().__init__()
        self.scale = None if scale is None else nn.Parameter(torch.full((channels[0],), scale))
        self.fc = None if dense is None else _dense(channels[-1], dense)
        widths = (channels[-1] if dense is None else dense, *(width for width, _ in extra))
        build = _lite_block if lite else _block
        self.extra = nn.ModuleList(
            build(before, after, stride) for (before, after), (_, stride) in zip(pairwise(widths), extra, strict=True)
        )
        self.channels = (*channels[:-1], *widths)

    def forward(self, maps: Sequence[Float[Tensor, "B _ _ _"]]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Compute all maps.

        Args:
            maps: Maps of the trunk, fine to coarse.

        Returns:
            These, and the coarser ones.
        """
        every = list(maps)
        if self.scale is not None:
            every[0] = self.scale.view(1, -1, 1, 1) * F.normalize(every[0])
        if self.fc is not None:
            every[-1] = self.fc(every[-1])
        for block in self.extra:
            every.append(block(every[-1]))
        return tuple(every)


def prediction_layers(channels: Sequence[int], per_cell: Sequence[int], columns: int, lite: bool) -> nn.ModuleList:
    """Build the layer of each map that predicts `columns` numbers for each default box.

    Args:
        channels: Channels of the maps.
        per_cell: Default boxes A at each cell of each map.
        columns: Numbers of each default box.
        lite: Whether a layer is depthwise separable.

    Returns:
        The layers.
    """
    build: Callable[[int, int], nn.Module] = _lite_prediction if lite else _prediction
    return nn.ModuleList(build(width, columns * boxes) for width, boxes in zip(channels, per_cell, strict=True))


def _init_xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _init_lite(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.03)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _prediction(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_size=3, padding=1).apply(_init_xavier)


def _lite_prediction(before: int, after: int) -> nn.Module:
    depthwise = _lite_conv(before, before, kernel_size=3, groups=before)
    return nn.Sequential(depthwise, nn.Conv2d(before, after, kernel_size=1)).apply(_init_lite)


def _dense(before: int, width: int) -> nn.Sequential:
    """Return pool5 and the convolutions fc6 and fc7, subsampled with holes (section 3)."""
    return nn.Sequential(
        nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
        nn.Conv2d(before, width, kernel_size=3, padding=6, dilation=6),
        nn.ReLU(),
        nn.Conv2d(width, width, kernel_size=1),
        nn.ReLU(),
    ).apply(_init_xavier)


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after // 2, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(after // 2, after, kernel_size=3, stride=stride, padding=int(stride > 1)),
        nn.ReLU(),
    ).apply(_init_xavier)


def _lite_block(before: int, after: int, stride: int) -> nn.Sequential:
    middle = after // 2
    return nn.Sequential(
        _lite_conv(before, middle, kernel_size=1),
        _lite_conv(middle, middle, kernel_size=3, stride=stride, groups=middle),
        _lite_conv(middle, after, kernel_size=1),
    ).apply(_init_lite)


def _lite_conv(before: int, after: int, **options: int) -> nn.Module:
    layer: nn.Module = Conv2dNormActivation(
        before, after, norm_layer=_lite_norm, activation_layer=nn.ReLU6, inplace=False, **options
    )
    return layer
