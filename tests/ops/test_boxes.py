"""Boxes against torchvision's own code and cases worked by hand."""

import math

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

from scenekit.ops.boxes import BoxCoder, clip_to_images, intersection_over_area, large_enough

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def boxes(count: int, low: float = 0, high: float = 100) -> torch.Tensor:
    corner, size = torch.empty(count, 2).uniform_(low, high), torch.empty(count, 2).uniform_(1, 60)
    return torch.cat((corner, corner + size), dim=1)


def test_encode_by_hand() -> None:
    """From a 10x20 box centred at (5, 10) to a 20x20 one centred at (10, 20)."""
    found = BoxCoder().encode(torch.tensor([[0.0, 10, 20, 30]]), torch.tensor([[0.0, 0, 10, 20]]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, math.log(2), 0.0]]))


def test_encode_and_decode_equal_torchvision() -> None:
    wanted, references = boxes(50), boxes(50)
    theirs, ours = TorchvisionCoder(WEIGHTS), BoxCoder(WEIGHTS)
    torch.testing.assert_close(ours.encode(wanted, references), theirs.encode_single(wanted, references))
    deltas = torch.randn(50, 3, 4) * 8
    expected = theirs.decode_single(deltas.flatten(1), references).view(50, 3, 4)
    torch.testing.assert_close(ours.decode(deltas, references[:, None]), expected)


def test_decode_undoes_encode() -> None:
    wanted, references = boxes(50).double(), boxes(50).double()
    coder = BoxCoder(WEIGHTS)
    torch.testing.assert_close(coder.decode(coder.encode(wanted, references), references), wanted)


def test_a_wild_prediction_stays_finite() -> None:
    decoded = BoxCoder().decode(torch.full((1, 4), 1000.0), torch.tensor([[0.0, 0, 16, 16]]))
    assert (decoded[:, 2:] - decoded[:, :2]).tolist() == [[pytest.approx(1000, rel=1e-4)] * 2]


def test_clip_equals_torchvision_for_each_image() -> None:
    found, sizes = boxes(40, -50, 150), [(60, 90), (120, 40)]
    index = torch.arange(40) % 2
    clipped = clip_to_images(found, index, sizes)
    for image, size in enumerate(sizes):
        torch.testing.assert_close(clipped[index == image], clip_boxes_to_image(found[index == image], size))
    several = clip_to_images(found[:, None].expand(-1, 3, -1), index, sizes)
    assert torch.equal(several, clipped[:, None].expand(-1, 3, -1))


def test_large_enough_equals_torchvision_and_drops_empty_boxes() -> None:
    found = torch.tensor([[0.0, 0, 5, 5], [0, 0, 5, 4.9], [0, 0, 5, 0], [3, 3, 1, 9]])
    assert large_enough(found, 5.0).nonzero()[:, 0].tolist() == remove_small_boxes(found, 5).tolist() == [0]
    assert large_enough(found, 0.0).tolist() == [True, True, False, False]


def test_intersection_over_area_by_hand() -> None:
    found = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [5, 5, 5, 9]])
    crowds = torch.tensor([[5.0, 0, 100, 10], [0, 0, 100, 100]])
    expected = torch.tensor([[0.5, 1.0], [0.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(intersection_over_area(found, crowds), expected)
