"""Mask head: resampled ground truth, the loss and pasted masks against torchvision, formulas and hand-worked cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from scenekit.keys import MASKS, OBJECTS
from scenekit.scene import Objects, Scene
from scenekit.structures import Geometry
from scenekit_plugins.masks import MaskConfig, MaskHead, crop_masks
from tests.plugins.kit import CORE, CUP, PERSON, VOCABULARY, board, finite_gradients, pyramid, regions, targets


def head(**options: Any) -> MaskHead:
    return MaskHead(CORE, MaskConfig(channels=8, convs=2, pooled=7, **options))


def left_half(height: int = 8, width: int = 8) -> torch.Tensor:
    bitmap = torch.zeros(1, height, width, dtype=torch.uint8)
    bitmap[:, :, : width // 2] = 1
    return bitmap


def test_box_as_large_as_its_cells_gives_the_pixels_themselves() -> None:
    bitmaps = (torch.rand(2, 16, 16) > 0.5).to(torch.uint8)
    boxes = torch.tensor([[3.0, 2.0, 7.0, 6.0], [8.0, 9.0, 12.0, 13.0]])
    cropped = crop_masks(bitmaps, torch.tensor([1, 0]), boxes, 4)
    torch.testing.assert_close(cropped[0], bitmaps[1, 2:6, 3:7].float())
    torch.testing.assert_close(cropped[1], bitmaps[0, 9:13, 8:12].float())


def test_cells_hold_the_share_of_their_pixels() -> None:
    whole = crop_masks(left_half(), torch.tensor([0]), torch.tensor([[0.0, 0.0, 8.0, 8.0]]), 4)
    torch.testing.assert_close(whole[0], torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(4, 4))
    # Cells of two pixels: 2..4, 4..6 of the row 1 1 1 1 0 0 0 0, then the same shifted by one pixel.
    inner = crop_masks(left_half(), torch.tensor([0, 0]), torch.tensor([[2.0, 0, 6, 4], [1.0, 0, 5, 4]]), 2)
    torch.testing.assert_close(inner[0], torch.tensor([1.0, 0.0]).expand(2, 2))
    torch.testing.assert_close(inner[1], torch.tensor([1.0, 0.5]).expand(2, 2))


def test_same_as_torchvision_up_to_its_half_pixel() -> None:
    """torchvision takes pixel centres for whole numbers: its boxes lie half a pixel to the upper left of ours."""
    bitmaps = (torch.rand(5, 40, 50) > 0.5).to(torch.uint8)
    corner = torch.rand(12, 2) * 20 + 1
    boxes = torch.cat((corner, corner + 2 + torch.rand(12, 2) * 18), dim=1)
    rows = torch.randint(5, (12,))
    theirs = project_masks_on_boxes(bitmaps, boxes - 0.5, rows, 7)
    torch.testing.assert_close(crop_masks(bitmaps, rows, boxes, 7), theirs, rtol=1e-4, atol=1e-5)


def test_no_boxes_no_masks() -> None:
    assert crop_masks(left_half(), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 7).shape == (0, 7, 7)


@pytest.mark.parametrize("binary", [False, True])
def test_loss_is_binary_cross_entropy_of_the_true_class(binary: bool) -> None:
    objects = regions([[0, 0, 8, 8], [1, 0, 5, 4]], [CUP, PERSON], matched=[0, 0])
    logits = torch.randn(2, 2, 14, 14)
    bitmaps = left_half()
    loss = head(binary_targets=binary).loss(logits, board(pyramid(64, 64), objects), targets({MASKS: bitmaps}, objects))
    truth = crop_masks(bitmaps, torch.tensor([0, 0]), objects.boxes, 14)
    truth = (truth >= 0.5).float() if binary else truth
    p = torch.stack((logits[0, CUP], logits[1, PERSON])).sigmoid()
    torch.testing.assert_close(loss["mask"], -(truth * p.log() + (1 - truth) * (1 - p).log()).mean())


def test_masks_of_other_classes_get_no_gradient() -> None:
    objects = regions([[0, 0, 8, 8]], [CUP])
    logits = torch.randn(1, 2, 14, 14, requires_grad=True)
    head().loss(logits, board(pyramid(64, 64), objects), targets({MASKS: left_half()}, objects))["mask"].backward()
    assert logits.grad is not None and logits.grad[:, CUP].any() and not logits.grad[:, PERSON].any()


def test_shared_mask_is_that_of_every_class() -> None:
    ours, objects = head(agnostic=True), regions([[0, 0, 8, 8], [0, 0, 8, 8]], [CUP, PERSON], matched=[0, 0])
    view = board(pyramid(64, 64), objects)
    raw = ours(view)
    assert raw.shape == (2, 1, 14, 14) and ours.axis_names == {}
    torch.testing.assert_close(ours.decode(raw, view), raw[:, 0].sigmoid())
    logits = torch.zeros(2, 1, 14, 14, requires_grad=True)
    ours.loss(logits, view, targets({MASKS: left_half()}, objects))["mask"].backward()
    assert logits.grad is not None and logits.grad.flatten(1).any(dim=1).all()


def test_network_learns_and_stands_no_regions() -> None:
    ours, objects = head(), regions([[4, 4, 40, 30], [10, 20, 30, 60]], [PERSON, CUP])
    view = board(pyramid(64, 64), objects)
    raw = ours(view)
    assert raw.shape == (2, 2, 14, 14)
    bitmaps = torch.ones(2, 64, 64, dtype=torch.uint8)
    assert finite_gradients(ours.loss(raw, view, targets({MASKS: bitmaps}, objects))["mask"], ours)
    nothing = board(pyramid(64, 64), regions([], []))
    assert ours.decode(ours(nothing), nothing).shape == (0, 14, 14)


def test_planted_mask_comes_out_at_its_pixels() -> None:
    """The upper half of a box, decoded for its own class, in an image twice as large as the network's input."""
    ours, objects = head(), regions([[4, 8, 12, 24]], [CUP])
    logits = torch.full((1, 2, 14, 14), 20.0)
    logits[:, CUP, 7:] = -20.0
    view = board(pyramid(64, 64), objects)
    geometry = Geometry.resize((64, 64), (128, 128))
    scene = Scene((128, 128), VOCABULARY, {OBJECTS: Objects(geometry.boxes(objects.boxes), torch.tensor([CUP]))})
    masks = ours.finish(ours.decode(logits, view), scene, geometry)
    expected = torch.zeros(128, 128, dtype=torch.bool)
    expected[16:32, 8:24] = True
    assert torch.equal(masks.dense[0], expected)
