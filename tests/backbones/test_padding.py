"""TensorFlow's padding "SAME" by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scenekit.backbones.padding import TensorflowConv2d, TensorflowMaxPool2d, begin_as_in, pad_like_tensorflow


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def padded(module: nn.Module) -> nn.Module:
    network = nn.Sequential(module)
    pad_like_tensorflow(network)
    return network


def sums(kernel: int, stride: int, dilation: int = 1) -> nn.Module:
    """The sums of windows."""
    convolution = nn.Conv2d(1, 1, (1, kernel), stride=(1, stride), dilation=(1, dilation), padding=(0, 1), bias=False)
    nn.init.ones_(convolution.weight)
    return padded(convolution)


@pytest.mark.parametrize(
    ("module", "given", "expected"),
    [
        (sums(3, 2), (1, 2, 3, 4), (6, 7)),  # one cell, at the right: 1 2 3, 3 4 0
        (sums(3, 2), (1, 2, 3, 4, 5), (3, 9, 9)),  # one at each side: 0 1 2, 2 3 4, 4 5 0
        (sums(3, 1), (1, 2, 3, 4), (3, 6, 9, 7)),
        (sums(2, 1), (1, 2, 3), (3, 5, 3)),  # an even window reaches to the right
        (sums(2, 2), (1, 2, 3), (3, 3)),
        (sums(2, 2), (1, 2, 3, 4), (3, 7)),  # and needs none where it fits
        (sums(1, 2), (1, 2, 3, 4), (1, 3)),
        (sums(3, 1, dilation=2), (1, 2, 3, 4), (4, 6, 4, 6)),  # two at each side: 0 1 3, 0 2 4, 1 3 0, 2 4 0
        (padded(nn.MaxPool2d((1, 3), (1, 2), (0, 1))), (-4, -3, -2, -1), (-2, -1)),  # no zeros
        (padded(nn.MaxPool2d((1, 2), (1, 2), ceil_mode=True)), (-4, -3, -2), (-3, -2)),
    ],
)
def test_windows_by_hand(module: nn.Module, given: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert module(row(*given)).flatten().tolist() == list(expected)


def test_what_is_replaced() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1, groups=1), nn.MaxPool2d(3, 2, 1), nn.ReLU())
    weight = network[0].weight
    pad_like_tensorflow(network)
    assert [type(module) for module in network] == [TensorflowConv2d, TensorflowMaxPool2d, nn.ReLU]
    assert network[0].weight is weight and network[0].bias is not None


@pytest.mark.parametrize(
    ("trained", "expected"),
    [(4, {4: (6, 7), 5: (6, 12, 5)}), (5, {4: (3, 9), 5: (3, 9, 9)})],  # of 1 2 3 4 (5)
)
def test_windows_that_begin_as_in_training(trained: int, expected: dict[int, tuple[float, ...]]) -> None:
    module = sums(3, 2)
    begin_as_in(module, lambda: module(row(*range(1, trained + 1))))
    for size, values in expected.items():
        assert module(row(*range(1, size + 1))).flatten().tolist() == list(values)
