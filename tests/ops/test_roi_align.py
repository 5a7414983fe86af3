"""RoIAlign held against torchvision's, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from scenekit.ops.roi_align import roi_align


def regions() -> Tensor:
    """Boxes of all sizes in two images of 96 x 80 pixels: beyond every side, empty, and one far outside."""
    corners = torch.rand(60, 2, 2) * torch.tensor([110.0, 95.0]) - 8
    boxes = torch.cat((corners.amin(1), corners.amax(1)), dim=1)
    odd = [[-9.0, -9, 0, 0], [3, 3, 3, 3], [90, 70, 99, 88], [0, 0, 96, 80], [500, 500, 600, 600], [40, 30, 20, 10]]
    boxes = torch.cat((boxes, torch.tensor(odd)))
    return torch.cat((torch.arange(len(boxes))[:, None] % 2, boxes), dim=1)


def pooled_by_torchvision(
    maps: Sequence[Tensor], strides: Sequence[int], rois: Tensor, levels: Tensor, *options: Any
) -> Tensor:
    """Each region pooled from both levels, and the one that it belongs to taken."""
    size, ratio, aligned = options
    both = [
        torchvision.ops.roi_align(features, rois, size, 1 / stride, ratio, aligned)
        for features, stride in zip(maps, strides, strict=True)
    ]
    return torch.stack(both)[levels, torch.arange(len(rois))]


def pyramid(layout: torch.memory_format = torch.contiguous_format) -> list[Tensor]:
    return [torch.randn(2, 5, *size).contiguous(memory_format=layout) for size in ((20, 24), (10, 12))]


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_features_and_gradients_are_those_of_torchvision(
    layout: torch.memory_format, ratio: int, aligned: bool
) -> None:
    maps, rois = pyramid(layout), regions()
    levels, grad = torch.arange(len(rois)) % 3 // 2, torch.randn(len(rois), 5, 7, 7)
    results = []
    for pool in (roi_align, pooled_by_torchvision):
        own = [features.clone().requires_grad_() for features in maps]
        pooled = pool(own, (4, 8), rois, levels, 7, ratio, aligned)
        pooled.backward(grad)
        results.append([pooled, *(features.grad for features in own)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=5e-6)


def test_no_regions_have_a_gradient_too() -> None:
    maps = [features.requires_grad_() for features in pyramid()]
    pooled = roi_align(maps, (4, 8), torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), 7, 2, True)
    pooled.sum().backward()
    assert pooled.shape == (0, 5, 7, 7)
    assert all(features.grad is not None and not features.grad.any() for features in maps)


def test_a_box_that_is_nan_spoils_no_other_one() -> None:
    maps, rois = pyramid(), regions()
    spoilt = rois.clone()
    spoilt[3, 1:] = torch.nan
    levels = torch.arange(len(rois)) % 2
    pooled, wanted = (roi_align(maps, (4, 8), boxes, levels, 7, 2, True) for boxes in (spoilt, rois))
    others = torch.arange(len(rois)) != 3
    assert pooled[3].isnan().all() and torch.equal(pooled[others], wanted[others])
