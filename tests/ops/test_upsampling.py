"""Upsampling: worked cases, torch's own operators, and multiplication with the transpose of the convolution matrix."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scenekit.errors import InputError
from scenekit.ops import upsampling
from scenekit.ops.upsampling import (
    bed_of_nails,
    checkerboard,
    convolution_matrix,
    max_pool_with_positions,
    max_unpool,
    nearest_unpool,
    transposed_convolution,
)

GEOMETRIES = [(1, 0, 0), (2, 0, 0), (2, 1, 0), (2, 1, 1), (3, 2, 1), (4, 0, 3)]
"""Stride, padding, output padding."""


def pooled_once(x: Tensor) -> Tensor:
    values, positions = max_pool_with_positions(x, 2)
    return max_unpool(values, positions, x.shape[-2:])


def test_the_worked_cases_of_the_docstrings() -> None:
    result = doctest.testmod(upsampling)
    assert result.attempted >= 12 and result.failed == 0


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_nearest_is_that_of_torch(factor: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(nearest_unpool(x, factor), F.interpolate(x, scale_factor=factor, mode="nearest"))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_bed_of_nails_holds_the_values_at_the_corners_and_nothing_else(factor: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    fine = bed_of_nails(x, factor)
    assert fine.shape == (2, 3, 4 * factor, 5 * factor)
    assert torch.equal(fine[..., ::factor, ::factor], x)
    assert fine.count_nonzero() == x.numel()


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (2, 2)])
def test_max_pooling_and_unpooling_are_those_of_torch(height: int, width: int) -> None:
    x = torch.randn(2, 3, height, width)
    values, positions = max_pool_with_positions(x, 2)
    expected, places = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected) and torch.equal(positions, places)
    restored = max_unpool(values, positions, (height, width))
    assert torch.equal(restored, F.max_unpool2d(expected, places, 2, output_size=(height, width)))


def test_unpooling_restores_every_maximum_in_its_place() -> None:
    x = torch.rand(3, 7, 9) + 0.1
    restored = pooled_once(x)
    kept = restored > 0
    assert torch.equal(restored[kept], x[kept])
    values, _ = max_pool_with_positions(restored, 2)
    assert torch.equal(values, max_pool_with_positions(x, 2)[0])


def test_a_pixel_that_several_windows_chose_gets_one_of_their_values() -> None:
    x = torch.zeros(1, 3, 3)
    x[0, 1, 1] = 5.0
    values, positions = max_pool_with_positions(x, size=2, stride=1)
    assert torch.equal(max_unpool(values, positions, (3, 3)), x)
    other = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    restored = max_unpool(other, positions, (3, 3))
    assert restored[0, 1, 1] in other and restored.count_nonzero() == 1


@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize(
    "function",
    [lambda x: nearest_unpool(x, 2), lambda x: bed_of_nails(x, 2), pooled_once],
    ids=["near", "nails", "max"],
)
def test_any_dimensions_before_the_map(batch: tuple[int, ...], function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(*batch, 4, 6)
    found = function(x)
    single = torch.stack([function(one) for one in x.reshape(-1, 4, 6)])
    assert torch.equal(found, single.reshape(*batch, *single.shape[1:]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: nearest_unpool(x, 2),
        lambda x: bed_of_nails(x, 3),
        pooled_once,
        lambda x: transposed_convolution(x, torch.ones(3, 3, dtype=x.dtype), 2, 1, 1, "mean"),
    ],
    ids=["nearest", "nails", "max", "transposed"],
)
def test_gradients(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))


@pytest.mark.parametrize(("stride", "padding", "extra"), GEOMETRIES)
def test_transposed_convolutions_are_those_of_torch(stride: int, padding: int, extra: int) -> None:
    options = {"stride": stride, "padding": padding, "output_padding": extra}
    x, weight = torch.randn(2, 3, 6), torch.randn(3, 4, 5)
    torch.testing.assert_close(transposed_convolution(x, weight, **options), F.conv_transpose1d(x, weight, **options))
    x, weight = torch.randn(2, 3, 6, 4), torch.randn(3, 4, 5, 3)
    torch.testing.assert_close(transposed_convolution(x, weight, **options), F.conv_transpose2d(x, weight, **options))
    each = transposed_convolution(x, weight[0, 0], **options)
    expected = F.conv_transpose2d(x, weight[:1, :1].repeat(3, 1, 1, 1), groups=3, **options)
    torch.testing.assert_close(each, expected)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("size", [(9,), (7, 10)], ids=["1d", "2d"])
def test_a_convolution_is_its_matrix_and_a_transposed_one_its_transpose(
    size: tuple[int, ...], stride: int, padding: int
) -> None:
    kernel = torch.randn((5, 3)[: len(size)])
    x = torch.randn(size)
    matrix = convolution_matrix(kernel, size, stride, padding)
    convolve: Any = F.conv1d if len(size) == 1 else F.conv2d
    y = convolve(x[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
    torch.testing.assert_close(matrix @ x.flatten(), y.flatten())
    # Outputs that no kernel reaches, since the stride stopped before, are the output padding.
    extra = [(side + 2 * padding - k) % stride for side, k in zip(size, kernel.shape, strict=True)]
    transposed: Any = F.conv_transpose1d if len(size) == 1 else F.conv_transpose2d
    expected = transposed(y[None, None], kernel[None, None], stride=stride, padding=padding, output_padding=extra)
    torch.testing.assert_close(matrix.T @ y.flatten(), expected.flatten())
    if len(set(extra)) == 1:
        ours = transposed_convolution(y, kernel, stride, padding, extra[0])
        torch.testing.assert_close(matrix.T @ y.flatten(), ours.flatten())


def test_two_inputs_to_five_outputs_by_hand() -> None:
    """The outputs are a x, a y, a z + b x, b y, b z; as a product, a 5 x 2 matrix with the kernel in its columns."""
    (a, b), (x, y, z) = (2.0, 3.0), (5.0, 7.0, 11.0)
    kernel, inputs = torch.tensor([x, y, z]), torch.tensor([a, b])
    expected = torch.tensor([a * x, a * y, a * z + b * x, b * y, b * z])
    assert torch.equal(transposed_convolution(inputs, kernel, stride=2), expected)
    columns = torch.tensor([[x, 0], [y, 0], [z, x], [0, y], [0, z]])
    assert torch.equal(convolution_matrix(kernel, 5, stride=2).T, columns)


def test_the_mean_of_overlapping_kernels_shows_no_checkerboard() -> None:
    flat, kernel = torch.ones(4, 4), torch.ones(3, 3)
    assert transposed_convolution(flat, kernel, 2, 1, 1).unique().tolist() == [1.0, 2.0, 4.0]
    assert transposed_convolution(flat, kernel, 2, 1, 1, "mean").unique().tolist() == [1.0]


def test_outputs_that_nothing_reaches_are_zero() -> None:
    x = torch.ones(2, 2)
    assert transposed_convolution(x, torch.ones(1, 1), 2, 0, 1, "mean").tolist() == bed_of_nails(x, 2).tolist()
    assert checkerboard(1, stride=2, size=2, output_padding=1).tolist() == bed_of_nails(x, 2).tolist()


@pytest.mark.parametrize("kernel", [3, (3, 3), torch.randn(3, 3), torch.randn(2, 5, 3, 3)])
def test_the_checkerboard_of_a_kernel_however_it_is_named(kernel: Any) -> None:
    counts = checkerboard(kernel, 2)
    assert counts.shape == (9, 9)
    assert torch.equal(counts, checkerboard(3, 2, size=(4, 4)))
    one = checkerboard([3], 2)
    assert torch.equal(counts, one[:, None] * one)


def test_a_kernel_that_the_stride_divides_covers_evenly() -> None:
    assert checkerboard(4, stride=2)[2:-2, 2:-2].unique().tolist() == [4]


MAPS, PLACES = torch.zeros(2, 3, 3), torch.zeros(2, 3, 3, dtype=torch.int64)

BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: nearest_unpool(MAPS, 0), "nearest_unpool: factor must be at least 1, got 0"),
    (lambda: bed_of_nails(MAPS, -1), "bed_of_nails: factor must be at least 1"),
    (lambda: max_pool_with_positions(MAPS, 0), "size must be at least 1"),
    (lambda: max_pool_with_positions(MAPS, 2, 0), "stride must be at least 1"),
    (lambda: max_pool_with_positions(MAPS, 4), r"maps of \[3, 3\] pixels hold no window of side 4"),
    (lambda: max_unpool(MAPS, None, (6, 6)), "needs the positions of the max pooling .* got None; keep what"),
    (lambda: max_unpool(MAPS, PLACES[:1], (6, 6)), r"shape \[2, 3, 3\] need as many .* got \[1, 3, 3\]"),
    (lambda: max_unpool(MAPS, PLACES.float(), (6, 6)), "integer positions, got .* of torch.float32"),
    (lambda: max_unpool(MAPS, PLACES + 36, (6, 6)), r"positions 36 to 36 do not fit an output of \[6, 6\] pixels"),
    (lambda: max_unpool(MAPS, PLACES - 1, (6, 6)), "positions -1 to -1 do not fit"),
    (lambda: transposed_convolution(MAPS, torch.ones(3, 3), stride=0), "stride must be at least 1"),
    (lambda: transposed_convolution(MAPS, torch.tensor(1.0)), r"expected a kernel \[k\] or .* got \[\]"),
    (lambda: transposed_convolution(MAPS, torch.ones(4, 2, 3, 3)), r"needs an input \[\.\.\. 4 h w\], got \[2, 3, 3\]"),
    (lambda: transposed_convolution(MAPS[0, 0], torch.ones(3, 3)), r"needs an input \[\.\.\. h w\], got \[3\]"),
    (lambda: transposed_convolution(MAPS, torch.ones(3, 3), 2, -1), "padding must be at least 0"),
    (lambda: transposed_convolution(MAPS, torch.ones(3, 3), 2, 0, 2), "output_padding less than the stride of 2"),
    (lambda: transposed_convolution(MAPS, torch.ones(3, 3), 1, 3), "padding 3 leaves no output of 3 inputs; pad less"),
    (lambda: convolution_matrix(torch.ones(3), (4, 4)), "needs a size of 1 numbers"),
    (lambda: convolution_matrix(torch.ones(3), 0), "size must be one or two numbers of at least 1"),
    (lambda: convolution_matrix(torch.ones(3), 5, 0), "stride must be at least 1"),
    (lambda: convolution_matrix(torch.ones(3), 2), "a kernel of side 3 does not fit 2 inputs"),
    (lambda: checkerboard((3, 3), 2, size=(4,)), "needs as many sides of the input"),
    (lambda: checkerboard(0, 2), "as many sides of the input"),
    (lambda: checkerboard((3, 3, 3), 2), "kernel must be one or two numbers"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_an_unknown_overlap_is_named_where_types_are_not_checked() -> None:
    unchecked = inspect.unwrap(transposed_convolution)
    with pytest.raises(InputError, match='must be "sum" or "mean", got \'max\''):
        unchecked(MAPS, torch.ones(3, 3), overlap="max")
