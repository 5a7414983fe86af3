"""Position of the cells of a network's feature maps in the image, from tracing one image through its operators.

Letters: B images, C channels, H W input pixels, h w cells.

The center of cell i of a map lies at `offset + i * stride`. A convolution or pooling of kernel k, stride s, padding p
and dilation d moves the center of cell 0 by ((k - 1) d / 2 - p) cells of its input. Operators that merge or split
blocks of cells (space to depth, patch merging, upsampling) move it by half of the change of the stride. Where maps are
combined (residuals, attention, gates) the finest decides, and of equally fine ones the mean: an estimate, since the
contribution of each depends on the weights. Where no maps of different positions are combined, the result is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from scenekit.backbones.base import Level

aten = torch.ops.aten

PADS = (aten.constant_pad_nd.default, aten.reflection_pad2d.default, aten.replication_pad2d.default)


def trace_levels(
    network: Callable[[Float[Tensor, "B 3 H W"]], Sequence[Float[Tensor, "B _ _ _"]]], pixels: Float[Tensor, "B 3 H W"]
) -> tuple[Level, ...]:
    """Determine the levels of the feature maps of a network; on the meta device nothing is computed.

    Strides are rounded to whole pixels. Only the horizontal axis is traced: cells are assumed to be square.

    Args:
        network: Function from an image to feature maps.
        pixels: The image.

    Returns:
        The level of each map.
    """
    with torch.no_grad(), _Follower(pixels) as follower:
        maps = network(pixels)
    grids = (follower.grid(features) for features in maps)
    return tuple(
        Level(features.shape[1], round(grid.stride), grid.offset) for features, grid in zip(maps, grids, strict=True)
    )


@dataclass(frozen=True)
class _Grid:
    """Centre of cell i on the image: `offset + i * stride`."""

    stride: float
    offset: float

    def windowed(self, kernel: int, step: int, padding: int, dilation: int = 1) -> _Grid:
        """Return the grid after a convolution or pooling."""
        shift = (kernel - 1) * dilation / 2 - padding
        return _Grid(self.stride * step, self.offset + shift * self.stride)

    def spread(self, kernel: int, step: int, padding: int) -> _Grid:
        """Return the grid after a transposed convolution."""
        stride = self.stride / step
        return _Grid(stride, self.offset - ((kernel - 1) / 2 - padding) * stride)

    def regrouped(self, stride: float) -> _Grid:
        """Return the grid of the same area in cells of another size."""
        return _Grid(stride, self.offset + (stride - self.stride) / 2)


class _Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the grid of every tensor that depends on the image."""

    def __init__(self, pixels: Float[Tensor, "B 3 H W"]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._width = pixels.shape[-1]
        self._grids = WeakIdKeyDictionary()
        self._grids[pixels] = _Grid(1.0, 0.5)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        merged = _merged(self._grids[value] for value in _tensors((args, kwargs)) if value in self._grids)
        result = func(*args, **(kwargs or {}))
        if merged is not None:
            grid = self._moved(func, args, merged)
            for value in _tensors(result):
                self._grids[value] = grid
        return result

    def grid(self, features: Float[Tensor, "B C h w"]) -> _Grid:
        """Return the grid of a map with its columns last."""
        return self._by_shape(features, self._grids[features])

    def _by_shape(self, features: Tensor, grid: _Grid) -> _Grid:
        """Correct the stride by the shape: blocks of cells may have been merged or split by moving values."""
        ratio = self._width / (features.shape[-1] * grid.stride)
        if ratio >= 1.5:
            return grid.regrouped(grid.stride * round(ratio))
        return grid.regrouped(grid.stride / round(1 / ratio)) if ratio <= 1 / 1.5 else grid

    def _moved(self, func: Any, args: Any, grid: _Grid) -> _Grid:
        """Return `grid` after one operator."""
        source = args[0]
        if not isinstance(source, Tensor) or source.ndim != 4 or source not in self._grids:
            return grid
        if func in PADS:
            return self._padded(source, args[1])
        if func is aten.convolution.default:
            here = self.grid(source)
            _, weight, _, step, padding, dilation, transposed = args[:7]
            kernel = weight.shape[-1]
            if transposed:
                return here.spread(kernel, step[-1], padding[-1])
            return here.windowed(kernel, step[-1], padding[-1], dilation[-1])
        if func is aten.max_pool2d_with_indices.default:
            return self.grid(source).windowed(*_pooling(args[1:5]))
        if func is aten.avg_pool2d.default:
            return self.grid(source).windowed(*_pooling(args[1:4]))
        return grid

    def _padded(self, source: Tensor, padding: Sequence[int]) -> _Grid:
        """Return the grid after padding, which counts from the last axis on: columns, or channels and then columns."""
        grid = self._grids[source]
        columns_last = round(self._width / grid.stride) == source.shape[-1]
        left = padding[0] if columns_last else padding[2] if len(padding) > 2 else 0
        return _Grid(grid.stride, grid.offset - left * grid.stride)


def _pooling(arguments: Sequence[Any]) -> tuple[int, int, int, int]:
    """Return kernel, stride (by default the kernel), padding and dilation of a pooling, along the columns."""
    defaults: tuple[Any, ...] = ((), (), 0, 1)
    kernel, step, padding, dilation = (*arguments, *defaults[len(arguments) :])
    return kernel[-1], (step or kernel)[-1], _last(padding), _last(dilation)


def _last(value: Any) -> int:
    return int(value[-1] if isinstance(value, Sequence) else value)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _merged(grids: Iterable[_Grid]) -> _Grid | None:
    """Return the finest grid; of equally fine ones their mean."""
    known = list(grids)
    if not known:
        return None
    stride = min(grid.stride for grid in known)
    return _Grid(stride, fmean(grid.offset for grid in known if grid.stride == stride))
