"""Inception V2: the numbers of the paper's figure 5, and the options that it shares with torchvision's networks."""

from pathlib import Path

import pytest
import torch
from torch import nn

from scenekit.backbones.inception_v2 import Inception, build_inception_v2
from scenekit.errors import InputError
from scenekit.hooks import registry
from scenekit.testing.backbones import check_backbone
from tests.backbones.contract import averaging


def test_channels_of_each_block_are_the_outputs_in_the_figure() -> None:
    blocks = [module.channels for module in build_inception_v2().modules() if isinstance(module, Inception)]
    assert blocks == [256, 320, 576, 576, 576, 576, 576, 1024, 1024, 1024]


def test_sizes_are_those_of_the_figure() -> None:
    with torch.device("meta"):
        maps = build_inception_v2().eval()(torch.zeros(1, 3, 224, 224))
    assert [tuple(features.shape[1:]) for features in maps] == [
        (192, 56, 56),
        (320, 28, 28),
        (576, 14, 14),
        (1024, 7, 7),
    ]


def test_it_keeps_the_contract_of_backbones() -> None:
    report = check_backbone(registry().get("backbone", "inception_v2"))
    assert not report.failed


def test_cells_are_centred_where_the_level_says() -> None:
    backbone = averaging(build_inception_v2()).eval().double()
    pixels = torch.zeros(1, 3, 32, 1024, dtype=torch.float64, requires_grad=True)
    middle = torch.arange(1024) + 0.5
    for features, level in zip(backbone(pixels), backbone.levels, strict=True):
        cell = features.shape[3] // 2
        (seen,) = torch.autograd.grad(features[0, :, 0, cell].sum(), pixels, retain_graph=True)
        weight = seen.sum(dim=(0, 1, 2))
        assert float((weight * middle).sum() / weight.sum()) == pytest.approx(0.5 + cell * level.stride, abs=1e-6)


def test_only_the_coarse_stages_learn_and_frozen_norms_stay() -> None:
    backbone = build_inception_v2(trainable_stages=2, norm="frozen")
    free = {name.split(".")[0] for name, value in backbone.named_parameters() if value.requires_grad}
    assert free == {"stage3", "stage4"}
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


def test_its_own_weights_are_read_from_a_file(tmp_path: Path) -> None:
    stored = build_inception_v2().state_dict()
    torch.save(stored, tmp_path / "trunk.pth")
    loaded = build_inception_v2(weights=tmp_path / "trunk.pth").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in stored.items())


def test_there_are_no_published_weights() -> None:
    with pytest.raises(InputError, match="none are published, name a file"):
        build_inception_v2(weights="IMAGENET1K_V1")
