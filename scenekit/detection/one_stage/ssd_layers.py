"""The network of SSD: further, coarser maps behind those of the trunk, and one convolution per map.

Letters: B images, C channels of a map, A default boxes per cell, K columns of class logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from scenekit.backbones.padding import begin_as_in, pad_like_tensorflow
from scenekit.detection.layers import init_normal

PRIOR = 0.01
"""Independent class scores before training, as in RetinaNet."""

_lite_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


@dataclass(frozen=True)
class LayerStyle:
    """How further maps and predictions are computed."""

    lite: bool = False
    """Whether layers are depthwise separable with batch norm and ReLU6, as in SSDLite."""
    norm: Literal["batch"] | None = None
    """Normalization of further maps that are not `lite`."""
    activation: Literal["relu", "relu6"] = "relu"
    """Activation of further maps that are not `lite`."""
    padding: Literal["symmetric", "tensorflow"] = "symmetric"
    """Padding of further maps."""
    prediction_kernel: int = 3
    """Side of the windows of predictions that are not `lite`."""


class FurtherMaps(nn.Module):
    """Maps behind those of the trunk.

    Args:
        channels: Channels of each map of the trunk.
        scale: First length of the features of the finest map after L2 normalization (ParseNet); None leaves them.
        dense: Channels of two convolutions in place of VGG's fully connected layers behind the last map, or None.
        extra: Channels and stride of each coarser map; with stride 1 the map loses its border, unless padding is
            TensorFlow's.
        style: How they are computed.
        trained_cells: Cells along a side of the last map of the trunk on the images of the training, if windows with
            TensorFlow's padding are to begin where they did on these.
    """

    def __init__(
        self,
        channels: Sequence[int],
        scale: float | None,
        dense: int | None,
        extra: Sequence[tuple[int, int]],
        style: LayerStyle,
        trained_cells: int | None = None,
    ) -> None:
        super().__init__()
        self.scale = None if scale is None else nn.Parameter(torch.full((channels[0],), scale))
        self.fc = None if dense is None else _dense(channels[-1], dense)
        widths = (channels[-1] if dense is None else dense, *(width for width, _ in extra))
        self.extra = nn.ModuleList(
            _lite_block(before, after, stride) if style.lite else _block(before, after, stride, style)
            for (before, after), (_, stride) in zip(pairwise(widths), extra, strict=True)
        )
        if style.padding == "tensorflow":
            pad_like_tensorflow(self.extra)
            if trained_cells is not None:
                begin_as_in(self.extra, lambda: self._run_on_meta(widths[0], trained_cells))
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

    def _run_on_meta(self, channels: int, cells: int) -> None:
        """Run the coarser maps without computing anything or changing batch statistics."""
        features = torch.zeros(1, channels, cells, cells, device="meta")
        for block in self.extra:
            meta = {name: value.to("meta") for name, value in block.state_dict().items()}
            features = functional_call(block.eval(), meta, (features,))
            block.train()


def prediction_layers(
    channels: Sequence[int], per_cell: Sequence[int], columns: int, style: LayerStyle
) -> nn.ModuleList:
    """Build the layer of each map that predicts `columns` numbers for each default box.

    Args:
        channels: Channels of the maps.
        per_cell: Default boxes A at each cell of each map.
        columns: Numbers of each default box.
        style: How they are computed.

    Returns:
        The layers.
    """
    build = _lite_prediction if style.lite else partial(_prediction, kernel=style.prediction_kernel)
    return nn.ModuleList(build(width, columns * boxes) for width, boxes in zip(channels, per_cell, strict=True))


def init_prior(layer: nn.Module) -> None:
    """Initialize a layer of independent class scores so that every score is near `PRIOR` before training.

    Classes that have not been trained, beside those taken from another model, then do not flood the detections.

    Args:
        layer: A layer of `prediction_layers`.
    """
    last = [module for module in layer.modules() if isinstance(module, nn.Conv2d)][-1].apply(init_normal)
    assert last.bias is not None
    nn.init.constant_(last.bias, math.log(PRIOR / (1 - PRIOR)))


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


def _prediction(before: int, after: int, kernel: int) -> nn.Module:
    return nn.Conv2d(before, after, kernel_size=kernel, padding=kernel // 2).apply(_init_xavier)


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


def _block(before: int, after: int, stride: int, style: LayerStyle) -> nn.Sequential:
    return nn.Sequential(
        *_layers(before, after // 2, style, kernel_size=1),
        *_layers(after // 2, after, style, kernel_size=3, stride=stride, padding=int(stride > 1)),
    ).apply(_init_xavier)


def _layers(before: int, after: int, style: LayerStyle, **window: Any) -> list[nn.Module]:
    """Return a convolution, its norm and its activation."""
    convolution = nn.Conv2d(before, after, bias=style.norm is None, **window)
    norms = [] if style.norm is None else [_lite_norm(after)]
    return [convolution, *norms, nn.ReLU6() if style.activation == "relu6" else nn.ReLU()]


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
