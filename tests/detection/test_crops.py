"""Warped crops, linear SVMs and ridge regression by hand; the detectors that stand on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from scenekit.backbones.base import Backbone, Level
from scenekit.config import validated
from scenekit.detection.crops import CropConfig, CropNet, RCNNConfig, warp
from scenekit.detection.crops.fitting import Negatives
from scenekit.detection.crops.linear import fit_ridge, fit_svm
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.keys import OBJECTS
from scenekit.structures import Regions
from scenekit.testing.detectors import set_up
from scenekit.testing.images import VOCABULARY


def boxes(*rows: list[float]) -> Regions:
    return Regions(torch.tensor(rows), torch.zeros(len(rows), dtype=torch.int64))


def ramp(height: int = 8, width: int = 8) -> torch.Tensor:
    """Pixels that hold 10 times their row plus their column, plus one."""
    return (torch.arange(height)[:, None] * 10.0 + torch.arange(width) + 1).expand(1, 3, -1, -1)


def test_a_crop_of_its_own_size_is_the_region_itself() -> None:
    crop = warp(ramp(), boxes([2.0, 1, 6, 5]), 4, 0)
    torch.testing.assert_close(crop[0, 0], ramp()[0, 0, 1:5, 2:6])


def test_context_is_measured_in_pixels_of_the_crop() -> None:
    """A crop of 4 pixels with one of context: the box of 2 x 2 pixels fills the 2 in the middle, one is around it."""
    crop = warp(ramp(), boxes([3.0, 2, 5, 4]), 4, 1)
    torch.testing.assert_close(crop[0, 0], ramp()[0, 0, 1:5, 2:6])


def test_each_axis_is_warped_by_itself() -> None:
    """Of 4 x 2 pixels every pair of columns is averaged, rows stay: (1 + 2) / 2 = 1.5."""
    crop = warp(ramp(), boxes([0.0, 0, 4, 2]), 2, 0)
    torch.testing.assert_close(crop[0, 0], torch.tensor([[1.5, 3.5], [11.5, 13.5]]))


def test_beyond_the_border_is_the_mean_whatever_the_padding() -> None:
    crop = warp(ramp(), boxes([0.0, 0, 2, 2], [6.0, 6, 8, 8]), 4, 1)
    expected = torch.zeros(2, 4, 4)
    expected[0, 1:, 1:] = ramp()[0, 0, :3, :3]
    expected[1, :3, :3] = ramp()[0, 0, 5:, 5:]
    torch.testing.assert_close(crop[:, 0], expected)
    padded = nn.functional.pad(ramp(), (0, 24, 0, 24))
    torch.testing.assert_close(warp(padded, boxes([5.5, 4.5, 8, 8]), 8, 2), warp(ramp(), boxes([5.5, 4.5, 8, 8]), 8, 2))


class Halves(Backbone):
    """One convolution that halves the image."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = (Level(4, 2, 0.5),)
        self.conv = nn.Conv2d(3, 4, 2, 2)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.conv(pixels),)


def test_chunks_change_no_feature_and_bound_what_runs_at_once() -> None:
    net = CropNet(Halves(), CropConfig(size=8, context=1, cells=2, fcs=(5,), chunk=3))
    pixels, corner = torch.randn(2, 3, 16, 16), torch.rand(10, 2) * 8
    regions = Regions(torch.cat((corner, corner + 4), dim=1), torch.arange(10) % 2)
    seen: list[int] = []
    net.trunk.register_forward_pre_hook(lambda _, crops: seen.append(len(crops[0])))
    whole = net(pixels, regions)
    with torch.no_grad():
        parts = net(pixels, regions)
    assert seen == [10, 3, 3, 3, 1] and whole.top.shape == (10, 5) and whole.trunk.shape == (10, 16)
    torch.testing.assert_close(whole.top, parts.top)
    assert net(pixels, regions.subset(torch.arange(0))).top.shape == (0, 5)


def test_an_svm_by_hand() -> None:
    """Between x = 1 and x = 3 the widest margin lies at x = 2: w = (1, 0), b = -2, all margins are 1 or -1."""
    weight, bias = fit_svm(torch.tensor([[3.0, 1], [3, -1]]), torch.tensor([[1.0, 1], [1, -1], [-4, 0]]), c=10.0)
    torch.testing.assert_close(weight, torch.tensor([1.0, 0.0]), atol=0.02, rtol=0)
    assert float(bias) == pytest.approx(-2, abs=0.05)


def test_an_svm_separates_what_can_be_separated_the_same_each_time() -> None:
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(80, 5, generator=generator)
    cloud[:, 2] += torch.arange(80).lt(30) * 12 - 6
    weight, bias = fit_svm(cloud[:30], cloud[30:], c=1.0)
    assert ((cloud @ weight + bias > 0) == torch.arange(80).lt(30)).all()
    again = fit_svm(cloud[:30], cloud[30:], c=1.0)
    assert torch.equal(weight, again[0]) and torch.equal(bias, again[1])


@pytest.mark.parametrize("rows", [6, 60])
def test_ridge_solves_its_normal_equations(rows: int) -> None:
    """(X'X + l) w = X't of centered data, with fewer examples than features and with more."""
    x, t = torch.randn(rows, 10).double(), torch.randn(rows, 4).double()
    weight, bias = fit_ridge(x.float(), t.float(), 3.0)
    centered, targets = x - x.mean(0), t - t.mean(0)
    expected = torch.linalg.solve(centered.T @ centered + 3 * torch.eye(10, dtype=x.dtype), centered.T @ targets)
    torch.testing.assert_close(weight.double(), expected.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bias.double(), t.mean(0) - x.mean(0) @ expected, atol=1e-4, rtol=1e-4)


def test_ridge_recovers_a_linear_map_and_shrinks_with_its_strength() -> None:
    x, true = torch.randn(200, 5), torch.randn(4, 5)
    weight, bias = fit_ridge(x, x @ true.T + 2, 1e-6)
    torch.testing.assert_close(weight, true, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(bias, torch.full((4,), 2.0), atol=1e-3, rtol=1e-3)
    assert fit_ridge(x, x @ true.T, 1e9)[0].abs().max() < 1e-3


def test_hard_negatives_are_kept_once_and_the_hardest_first() -> None:
    pool = Negatives(torch.zeros(0, 1), torch.zeros(0, 2, dtype=torch.bool))
    of_both = torch.ones(3, 2, dtype=torch.bool)
    pool.add(0, torch.tensor([4, 7, 9]), torch.tensor([[1.0], [2.0], [3.0]]), of_both)
    pool.add(0, torch.tensor([7, 8]), torch.tensor([[2.0], [4.0]]), torch.tensor([[True, True], [False, True]]))
    assert pool.keys == [(0, 4), (0, 7), (0, 9), (0, 8)]
    # The last one scores highest for the first class alone, of which it is no negative.
    pool.keep_hardest(2, torch.tensor([[0.0, -1.0], [0.5, 0.0], [-1.0, 0.4], [9.0, -2.0]]))
    assert pool.keys == [(0, 7), (0, 9)] and pool.features[:, 0].tolist() == [2.0, 3.0]


def bench(name: str, **changes: Any) -> Any:
    spec = registry().get("detector", name)
    return set_up(spec, {**spec.example, **changes}, VOCABULARY)


def test_scores_are_sigmoids_of_margins_and_boxes_move_by_the_regression() -> None:
    """Weights are zero, so that a bias alone decides: margin 1 of the first class, -1 of the others."""
    checked = bench("rcnn")
    stage = checked.provider
    stage.fitted.fill_(True)
    stage.svm_bias.fill_(-1.0)
    stage.svm_bias[0] = 1.0
    stage.box_bias[0] = torch.tensor([0.1, 0.0, 0.0, 0.0])  # a tenth of its width to the right
    batch, targets = checked.batch(checked.samples(1))
    external = Regions(targets.streams[OBJECTS].regions.boxes, targets.streams[OBJECTS].regions.image_index)
    with torch.no_grad():
        regions = checked.model(batch, given={OBJECTS: external}).board[OBJECTS]
    assert set(regions.labels.tolist()) == {0}
    torch.testing.assert_close(regions.scores, torch.full_like(regions.scores, 4.0).sigmoid())
    torch.testing.assert_close(regions.class_logits[0], torch.tensor([4.0, *[-4.0] * (stage.classes - 1), 0.0]))
    width = external.boxes[:, 2] - external.boxes[:, 0]
    limit = float(batch.sizes[0][1])
    torch.testing.assert_close(regions.class_boxes[:, 0, 0], (external.boxes[:, 0] + 0.1 * width).clamp(max=limit))


@pytest.mark.parametrize("name", ["rcnn", "sliding_window"])
def test_passes_are_counted_per_image(name: str) -> None:
    checked = bench(name)
    samples = [checked.samples(1)[0]] * 2
    checked.detect(samples)
    height, width = checked.batch(samples)[0].sizes[0]
    windows = sum((1 + int((height - s) / (s / 2))) * (1 + int((width - s) / (s / 2))) for s in (32, 48))
    assert checked.provider.passes == windows


def test_bad_options_are_named() -> None:
    with pytest.raises(InputError, match=r"no proposals of its own; set proposals, such as \{name: selective_search\}"):
        validated(RCNNConfig, {}, "detector 'rcnn'")
    fast = registry().get("detector", "fast_rcnn")
    with pytest.raises(InputError, match="no proposals of its own"):
        validated(fast.config, {"pooler": {"kind": "align"}}, "detector 'fast_rcnn'")
    with pytest.raises(InputError, match="leaves no region in crops of 16 pixels"):
        validated(CropConfig, {"size": 16, "context": 8}, "crops")
