"""Depth inside of objects: which samples count, and what training spoils."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from scenekit.structures import Camera, ImageBatch
from scenekit_plugins.depth_samples import SIDE, Samples, samples_of, spoilt
from tests.plugins.kit import regions

SIZE = (48, 64)
CAMERA = Camera(torch.tensor([[100.0, 0.0, 30.0], [0.0, 200.0, 20.0], [0.0, 0.0, 1.0]]))
REGION = [10.0, 8.0, 50.0, 40.0]
IMAGES = ImageBatch(torch.zeros(1, 3, *SIZE), (SIZE,), (SIZE,), (CAMERA,))


def flat(metres: float) -> Tensor:
    return torch.full((1, 1, *SIZE), metres)


def sampled(depth: Tensor, mask: Tensor | None) -> Samples:
    return samples_of(regions([REGION], [0]), IMAGES, depth, mask)


def test_samples_are_at_the_pixels_of_their_rays() -> None:
    """Depth that says the column of its pixel, and rays that project to it."""
    columns = torch.arange(64.0).expand(1, 1, *SIZE) + 1
    found = sampled(columns, None)
    pixels = CAMERA.project(found.rays[0])
    assert torch.equal(found.depth[0], pixels[:, 0].floor() + 1)
    assert found.counted.sum() == (SIDE // 2) ** 2 and torch.equal(found.counted, found.inside)


def test_a_mask_that_is_all_border_counts_whole() -> None:
    mask = torch.zeros(1, 28, 28)
    mask[:, 14] = 0.9
    found = sampled(flat(3.0), mask)
    assert bool(found.usable[0]) and 0 < int(found.inside.sum()) < 4 * SIDE


def test_samples_without_depth_are_inside_and_do_not_count() -> None:
    depth = flat(3.0)
    depth[..., :30] = torch.nan
    found = sampled(depth, torch.ones(1, 28, 28))
    assert found.inside.sum() == (SIDE - 2) ** 2
    assert int(found.counted.sum()) == pytest.approx((SIDE - 2) ** 2 / 2, rel=0.05)
    assert torch.equal(found[torch.tensor([0, 0])].rays[1], found.rays[0])


def test_depth_is_spoilt_in_training_alone_and_by_the_seeds_of_images() -> None:
    depth = flat(3.0).repeat(2, 1, 1, 1)
    assert spoilt(depth, None) is depth
    one, other = (spoilt(depth, seeds).nan_to_num(0.0) for seeds in ((1, 2), (2, 1)))
    assert not torch.equal(one[0], one[1]) and torch.equal(one, other.flip(0))


def test_how_depth_is_spoilt() -> None:
    """Over 400 images: an error of scale of 3 %, half of the images whole, the others down to 1 % of the pixels."""
    seeds = tuple(range(400))
    images = spoilt(flat(2.0).expand(400, -1, -1, -1), seeds)
    share = images.isfinite().flatten(1).float().mean(dim=1)
    assert float((share == 1).float().mean()) == pytest.approx(0.5, abs=0.08)
    rest = share[share < 1].clamp(min=1e-3).log10()
    assert -2.2 < float(rest.min()) < -1.8 and float(rest.mean()) == pytest.approx(-1.0, abs=0.12)
    scale = images.flatten(1).nanmedian(dim=1).values / 2 - 1
    assert float(scale.std()) == pytest.approx(0.03, rel=0.15)
    within = (images[share == 1] / 2).flatten(1).std(dim=1)
    assert float(within.max()) < 0.056 and float(within.median()) == pytest.approx(0.05 * math.pow(0.5, 3), rel=0.5)
