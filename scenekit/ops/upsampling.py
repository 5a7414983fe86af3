"""Upsampling of feature maps, in the forms that the literature on segmentation compares, and the algebra behind them.

Unpooling puts each value of a coarse map into a cell of a finer one: everywhere (`nearest_unpool`), in a corner
(`bed_of_nails`), or where the maximum was before max pooling (`max_unpool`). A transposed convolution learns what to
put there: it multiplies by the transpose of the `convolution_matrix`, and where its kernels overlap unevenly the result
shows a `checkerboard`.

Letters: h w pixels of the coarse map, H W pixels of the fine one, C channels of the input, D of the output, k kh kw
sides of a kernel, N inputs and M outputs of a convolution, both flattened, l length of an axis, o outputs along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int, Num, Shaped
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError

Overlap = Literal["sum", "mean"]

_CONVOLUTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d}


def nearest_unpool(x: Num[Tensor, "*B h w"], factor: int) -> Num[Tensor, "*B H W"]:
    """Repeat each value over a cell of `factor` x `factor` pixels.

    >>> nearest_unpool(torch.tensor([[1, 2], [3, 4]]), factor=2)
    tensor([[1, 1, 2, 2],
            [1, 1, 2, 2],
            [3, 3, 4, 4],
            [3, 3, 4, 4]])

    Args:
        x: Maps, with any dimensions before height and width.
        factor: Side of a cell in pixels.

    Returns:
        Maps that are `factor` times as high and wide.

    Raises:
        InputError: The factor is less than 1.
    """
    _check_at_least_1("nearest_unpool", factor=factor)
    return x.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def bed_of_nails(x: Num[Tensor, "*B h w"], factor: int) -> Num[Tensor, "*B H W"]:
    """Put each value at the top left of a cell of `factor` x `factor` pixels; all others are zero.

    >>> bed_of_nails(torch.tensor([[1, 2], [3, 4]]), factor=2)
    tensor([[1, 0, 2, 0],
            [0, 0, 0, 0],
            [3, 0, 4, 0],
            [0, 0, 0, 0]])

    Args:
        x: Maps, with any dimensions before height and width.
        factor: Side of a cell in pixels.

    Returns:
        Maps that are `factor` times as high and wide.

    Raises:
        InputError: The factor is less than 1.
    """
    _check_at_least_1("bed_of_nails", factor=factor)
    cells = F.pad(x[..., :, None, :, None], (0, factor - 1, 0, 0, 0, factor - 1))
    return cells.flatten(-4, -3).flatten(-2)


def max_pool_with_positions(
    x: Float[Tensor, "*B H W"], size: int, stride: int | None = None
) -> tuple[Float[Tensor, "*B h w"], Int[Tensor, "*B h w"]]:
    """Compute the maximum of each window, and where it is.

    Rows and columns at the end that fill no window are left out, as in `torch.nn.functional.max_pool2d`.

    >>> x = torch.tensor([[1., 2., 6., 3.], [3., 5., 2., 1.], [1., 2., 2., 1.], [7., 3., 4., 8.]])
    >>> pooled, positions = max_pool_with_positions(x, size=2)
    >>> pooled
    tensor([[5., 6.],
            [7., 8.]])
    >>> max_unpool(pooled, positions, output_size=(4, 4))
    tensor([[0., 0., 6., 0.],
            [0., 5., 0., 0.],
            [0., 0., 0., 0.],
            [7., 0., 0., 8.]])

    Args:
        x: Maps, with any dimensions before height and width.
        size: Side of a window in pixels.
        stride: Pixels between windows; `size`, if None.

    Returns:
        The maxima, and the position of each: row * W + column, counted in its own map.

    Raises:
        InputError: Size or stride is less than 1, or the maps are smaller than a window.
    """
    step = size if stride is None else stride
    _check_at_least_1("max_pool_with_positions", size=size, stride=step)
    if min(x.shape[-2:]) < size:
        raise InputError(f"max_pool_with_positions: maps of {list(x.shape[-2:])} pixels hold no window of side {size}")
    maps = x[(None,) * max(4 - x.dim(), 0)].flatten(0, -4)  # torch pools four dimensions
    pooled, positions = F.max_pool2d(maps, size, step, return_indices=True)
    shape = (*x.shape[:-2], *pooled.shape[-2:])
    return pooled.reshape(shape), positions.reshape(shape)


def max_unpool(
    x: Float[Tensor, "*B h w"], positions: Shaped[Tensor, "..."] | None, output_size: Sequence[int]
) -> Float[Tensor, "*B H W"]:
    """Put each value where the maximum was in the max pooling that this unpooling mirrors; all others are zero.

    A pixel that several overlapping windows chose gets one of their values. Unpooling what was pooled restores all
    maxima in their places.

    Args:
        x: Maps of as many values as `positions` has.
        positions: Positions that `max_pool_with_positions` returned.
        output_size: (height, width) of the maps before max pooling, in pixels.

    Returns:
        Maps of that size.

    Raises:
        InputError: Positions are missing, of another shape than the maps, no integers, or outside the output.
    """
    height, width = output_size
    places = _checked_positions(positions, x, (height, width)).flatten(-2)
    blank = x.new_zeros((*x.shape[:-2], height * width))
    return blank.scatter(-1, places, x.flatten(-2)).reshape(*x.shape[:-2], height, width)


def transposed_convolution(
    x: Float[Tensor, "..."],
    kernel: Float[Tensor, "..."],
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    overlap: Overlap = "sum",
) -> Float[Tensor, "..."]:
    """Put the kernel at every `stride`-th output, multiplied by each input in turn, and add where kernels overlap.

    It is the transpose of a convolution: `convolution_matrix(...).T @ x`. Two inputs (a, b) and a kernel (x, y, z) give
    five outputs with stride 2: a x, a y, a z + b x, b y, b z.

    >>> transposed_convolution(torch.tensor([1., 10.]), torch.tensor([2., 3., 4.]), stride=2)
    tensor([ 2.,  3., 24., 30., 40.])
    >>> transposed_convolution(torch.tensor([1., 10.]), torch.tensor([2., 3., 4.]), stride=2, overlap="mean")
    tensor([ 2.,  3., 12., 30., 40.])

    A 2 x 2 map becomes 4 x 4 by a 3 x 3 kernel with stride 2 and padding 1: of 5 x 5 outputs one is cut off at
    each end, and an output padding of 1 keeps the last row and column.

    >>> x = torch.tensor([[1., 2.], [3., 4.]])
    >>> transposed_convolution(x, torch.ones(3, 3), stride=2, padding=1, output_padding=1)
    tensor([[ 1.,  3.,  2.,  2.],
            [ 4., 10.,  6.,  6.],
            [ 3.,  7.,  4.,  4.],
            [ 3.,  7.,  4.,  4.]])

    Args:
        x: [... l] or [... h w] for a kernel without channels, else [... C l] or [... C h w].
        kernel: [k] or [kh kw], with which each map is convolved on its own, or weights [C D k] or [C D kh kw].
        stride: Outputs between the kernels of neighbouring inputs.
        padding: Outputs that are cut off at each end.
        output_padding: By how many outputs less is cut off at the lower and right ends (zeros where nothing was cut
            off), less than `stride`.
        overlap: Where kernels overlap: their sum, or the mean over the kernels that reach the output, which removes
            the checkerboard.

    Returns:
        [... L] or [... H W], where L = (l - 1) * stride - 2 * padding + k + output_padding; with channels D before.

    Raises:
        InputError: A stride, padding or overlap that cannot be, or a kernel that does not fit the input.
    """
    _check_transposed(x, kernel, stride, padding, output_padding, overlap)
    weight = kernel if kernel.dim() > 2 else kernel[None, None]
    axes = weight.dim() - 2
    batch = x.shape[: x.dim() - axes - (kernel.dim() > 2)]
    convolve = _CONVOLUTIONS[axes]
    maps = x.reshape(-1, weight.shape[0], *x.shape[-axes:])
    placed: Tensor = convolve(maps, weight, stride=stride, padding=padding, output_padding=output_padding)
    if overlap == "mean":
        counts = checkerboard(weight.shape[2:], stride, x.shape[-axes:], padding, output_padding)
        placed = placed / counts.clamp(min=1).to(placed)
    return placed.reshape(*batch, *placed.shape[1 if kernel.dim() > 2 else 2 :])


def convolution_matrix(
    kernel: Float[Tensor, " k"] | Float[Tensor, "kh kw"], size: int | Sequence[int], stride: int = 1, padding: int = 0
) -> Float[Tensor, "M N"]:
    """Return the matrix that a convolution multiplies its flattened input by.

    Row after row holds the kernel, `stride` further on; the transpose belongs to the transposed convolution.

    >>> convolution_matrix(torch.tensor([1., 2., 3.]), 5, stride=2)
    tensor([[1., 2., 3., 0., 0.],
            [0., 0., 1., 2., 3.]])

    Args:
        kernel: The kernel; not flipped, as is usual for networks.
        size: Length of the input of a kernel with one axis, else its (height, width).
        stride: Inputs between neighbouring outputs.
        padding: Zeros that are thought of at each end of the input.

    Returns:
        The matrix.

    Raises:
        InputError: Stride or padding that cannot be, a size with another number of axes, or no output at all.
    """
    sides = _sides(size, "convolution_matrix: size")
    _check_at_least_1("convolution_matrix", stride=stride)
    if len(sides) != kernel.dim() or padding < 0:
        raise InputError(
            f"convolution_matrix: a kernel {list(kernel.shape)} needs a size of {kernel.dim()} numbers and padding of "
            f"at least 0, got {list(sides)} and {padding}"
        )
    taps = [_taps(length, side, stride, padding).to(kernel) for length, side in zip(sides, kernel.shape, strict=True)]
    if kernel.dim() == 1:
        return torch.einsum("k,okl->ol", kernel, taps[0])
    return torch.einsum("ij,oil,pjm->oplm", kernel, *taps).flatten(2).flatten(0, 1)


def checkerboard(
    kernel: int | Sequence[int] | Float[Tensor, "..."],
    stride: int,
    size: int | Sequence[int] = 4,
    padding: int = 0,
    output_padding: int = 0,
) -> Int[Tensor, "..."]:
    """Count how many inputs of a transposed convolution reach each output.

    The counts are even only where the stride divides the kernel: a cure for the pattern, besides `overlap="mean"`.

    >>> checkerboard(3, stride=2, size=3)
    tensor([[1, 1, 2, 1, 2, 1, 1],
            [1, 1, 2, 1, 2, 1, 1],
            [2, 2, 4, 2, 4, 2, 2],
            [1, 1, 2, 1, 2, 1, 1],
            [2, 2, 4, 2, 4, 2, 2],
            [1, 1, 2, 1, 2, 1, 1],
            [1, 1, 2, 1, 2, 1, 1]])
    >>> checkerboard([4], stride=2, size=4, padding=1)
    tensor([1, 2, 2, 2, 2, 2, 2, 1])

    Args:
        kernel: A kernel or weights as for `transposed_convolution`, the sides of one, or the one side of a square one.
        stride: Outputs between the kernels of neighbouring inputs.
        size: Sides of the input; one number for all.
        padding: Outputs that are cut off at each end.
        output_padding: By how many outputs less is cut off at the lower and right ends.

    Returns:
        The counts, [L] or [H W].

    Raises:
        InputError: A stride, padding or size that cannot be.
    """
    sides = _kernel_sides(kernel)
    inputs = [size] * len(sides) if isinstance(size, int) else list(size)
    if len(inputs) != len(sides) or min(*inputs, *sides) < 1:
        raise InputError(f"checkerboard: a kernel of sides {sides} needs as many sides of the input, got {inputs}")
    ones = torch.ones(inputs), torch.ones(sides)
    _check_transposed(*ones, stride, padding, output_padding, "sum")
    counted: Tensor = _CONVOLUTIONS[len(sides)](
        ones[0][None, None], ones[1][None, None], stride=stride, padding=padding, output_padding=output_padding
    )
    return counted[0, 0].round().long()


def _taps(length: int, side: int, stride: int, padding: int) -> Float[Tensor, "o k l"]:
    """Return 1 where entry k of the kernel meets input l for output o."""
    outputs = (length + 2 * padding - side) // stride + 1
    if outputs < 1:
        raise InputError(
            f"convolution_matrix: a kernel of side {side} does not fit {length} inputs with padding {padding}; pad more"
        )
    met = torch.arange(outputs)[:, None] * stride - padding + torch.arange(side)
    return (met[:, :, None] == torch.arange(length)).float()


def _kernel_sides(kernel: int | Sequence[int] | Tensor) -> list[int]:
    if isinstance(kernel, int):
        return [kernel, kernel]
    if not isinstance(kernel, Tensor):
        return list(_sides(kernel, "checkerboard: kernel"))
    return list(kernel.shape if kernel.dim() <= 2 else kernel.shape[2:])


def _sides(size: int | Sequence[int], what: str) -> tuple[int, ...]:
    sides = (size,) if isinstance(size, int) else tuple(size)
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise InputError(f"{what} must be one or two numbers of at least 1, got {list(sides)}")
    return sides


def _checked_positions(positions: Tensor | None, x: Tensor, output_size: tuple[int, int]) -> Int[Tensor, "*B h w"]:
    if positions is None:
        raise InputError(
            "max_unpool needs the positions of the max pooling that it mirrors, got None; keep what "
            "max_pool_with_positions returns"
        )
    if positions.shape != x.shape or positions.is_floating_point():
        raise InputError(
            f"max_unpool: maps of shape {list(x.shape)} need as many integer positions, got {list(positions.shape)} of "
            f"{positions.dtype}; use those of the max pooling that made maps of this shape"
        )
    outputs = math.prod(output_size)
    # On other devices, reading the largest one would wait for all that is queued there.
    if positions.device.type == "cpu" and not torch.compiler.is_compiling() and positions.numel():
        first, last = int(positions.min()), int(positions.max())
        if first < 0 or last >= outputs:
            raise InputError(
                f"max_unpool: positions {first} to {last} do not fit an output of {list(output_size)} pixels; set "
                "output_size to the size before max pooling"
            )
    return positions.long()


def _check_at_least_1(function: str, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{function}: {name} must be at least 1, got {number}")


def _check_transposed(x: Tensor, kernel: Tensor, stride: int, padding: int, output_padding: int, overlap: str) -> None:
    _check_at_least_1("transposed_convolution", stride=stride)
    if overlap not in ("sum", "mean"):
        raise InputError(f'transposed_convolution: overlap must be "sum" or "mean", got {overlap!r}')
    if not 1 <= kernel.dim() <= 4:
        raise InputError(
            "transposed_convolution: expected a kernel [k] or [kh kw], or weights [C D k] or [C D kh kw], got "
            f"{list(kernel.shape)}"
        )
    channels, sides = (kernel.shape[:1], kernel.shape[2:]) if kernel.dim() > 2 else ((), kernel.shape)
    own = len(channels) + len(sides)
    if x.dim() < own or x.shape[x.dim() - own : x.dim() - len(sides)] != torch.Size(channels):
        expected = " ".join(("...", *map(str, channels), *("h", "w")[-len(sides) :]))
        raise InputError(
            f"transposed_convolution: a kernel {list(kernel.shape)} needs an input [{expected}], got {list(x.shape)}"
        )
    if padding < 0 or not 0 <= output_padding < stride:
        raise InputError(
            "transposed_convolution: padding must be at least 0 and output_padding less than the stride of "
            f"{stride}, got {padding} and {output_padding}"
        )
    for length, side in zip(x.shape[-len(sides) :], sides, strict=True):
        if (length - 1) * stride - 2 * padding + side + output_padding < 1:
            raise InputError(f"transposed_convolution: padding {padding} leaves no output of {length} inputs; pad less")
