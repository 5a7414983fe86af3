"""Pasting of masks, held against cases worked by hand and the definition of bilinear sampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from scenekit_plugins.masks.pasting import paste_masks


def sampled(mask: Tensor, box: list[float], x: float, y: float) -> float:
    """The value at a point of the image: cell (i, j) of the mask has its centre at ((j + 0.5), (i + 0.5)) / M of the
    box, values between are bilinear, and all around the mask is 0. As in detectron2's `paste_masks_in_image`."""
    side = mask.shape[0]
    u = (x - box[0]) / (box[2] - box[0]) * side - 0.5
    v = (y - box[1]) / (box[3] - box[1]) * side - 0.5
    total = 0.0
    for i in (math.floor(v), math.floor(v) + 1):
        for j in (math.floor(u), math.floor(u) + 1):
            if 0 <= i < side and 0 <= j < side:
                total += float(mask[i, j]) * (1 - abs(u - j)) * (1 - abs(v - i))
    return total


def reference(mask: Tensor, box: list[float], size: tuple[int, int]) -> Tensor:
    """Every pixel of the image at its centre."""
    height, width = size
    return torch.tensor([[sampled(mask, box, x + 0.5, y + 0.5) for x in range(width)] for y in range(height)])


def test_a_mask_as_large_as_its_box_is_copied() -> None:
    mask = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    pasted = paste_masks(mask[None], torch.tensor([[2.0, 1.0, 5.0, 4.0]]), (6, 7)).dense[0]
    wanted = torch.zeros(6, 7, dtype=torch.bool)
    wanted[1:4, 2:5] = mask.bool()
    assert torch.equal(pasted, wanted)


def test_a_full_mask_fills_the_pixels_whose_centre_is_in_the_box() -> None:
    boxes = torch.tensor([[1.0, 2.0, 4.0, 5.0], [0.4, 0.6, 3.5, 2.4]])
    pasted = paste_masks(torch.ones(2, 28, 28), boxes, (6, 6))
    assert pasted.boxes[0].tolist() == [1.0, 2.0, 4.0, 5.0]
    # Centres from 0.5 up to the edge itself, 3.5, in x; 1.5 alone in y.
    assert pasted.boxes[1].tolist() == [0.0, 1.0, 4.0, 2.0]


@pytest.mark.parametrize("side", [1, 7, 28])
def test_random_masks_and_boxes(side: int) -> None:
    size = (20, 30)
    corner = torch.rand(12, 2) * 20 - 4
    boxes = torch.cat((corner, corner + torch.rand(12, 2) * 15 + 0.3), dim=1)
    masks = torch.rand(12, side, side)
    pasted = paste_masks(masks, boxes, size).dense
    for mask, box, came in zip(masks, boxes.tolist(), pasted, strict=True):
        values = reference(mask, box, size)
        sure = (values - 0.5).abs() > 1e-4
        assert torch.equal(came[sure], (values >= 0.5)[sure])


def test_boxes_partly_and_wholly_outside() -> None:
    boxes = torch.tensor([[-3.0, -3.0, 3.0, 3.0], [8.0, 2.0, 14.0, 6.0], [20.0, 20.0, 30.0, 30.0]])
    pasted = paste_masks(torch.ones(3, 4, 4), boxes, (8, 10))
    assert pasted.boxes.tolist() == [[0.0, 0.0, 3.0, 3.0], [8.0, 2.0, 10.0, 6.0], [0.0, 0.0, 0.0, 0.0]]
    left = torch.zeros(1, 4, 4)
    left[0, :, :2] = 1  # what is inside lies outside of the image
    assert paste_masks(left, boxes[:1], (8, 10)).area.tolist() == [0.0]


def test_degenerate_boxes_hold_next_to_nothing() -> None:
    boxes = torch.tensor([[2.0, 2.0, 2.0, 5.0], [3.0, 3.0, 3.0, 3.0], [5.0, 5.0, 2.0, 2.0]])
    assert paste_masks(torch.ones(3, 4, 4), boxes, (8, 8)).area.tolist() == [0.0, 0.0, 0.0]


def test_no_masks() -> None:
    pasted = paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 6))
    assert len(pasted) == 0 and pasted.dense.shape == (0, 5, 6)


def test_the_threshold_itself_is_inside() -> None:
    box = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    mask = torch.tensor([[[0.25, 0.5], [0.75, 1.0]]])
    assert paste_masks(mask, box, (2, 2)).dense[0].tolist() == [[False, True], [True, True]]
    assert paste_masks(mask, box, (2, 2), threshold=0.75).dense[0].tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("size", [(40, 60), (33, 21)])
def test_rounded_pasting_is_torchvisions(size: tuple[int, int]) -> None:
    masks = torch.rand(40, 28, 28)
    corners = torch.rand(40, 2, 2).sort(dim=1).values * torch.tensor([size[1], size[0]])
    boxes = corners.flatten(1)
    boxes[0] = torch.tensor([0.0, 0.0, size[1], size[0]])
    boxes[1] = torch.tensor([3.2, 4.1, 3.3, 4.2])
    wanted = paste_masks_in_image(masks[:, None], boxes, size)[:, 0] >= 0.5
    assert torch.equal(paste_masks(masks, boxes, size, rounded=True).dense, wanted)
