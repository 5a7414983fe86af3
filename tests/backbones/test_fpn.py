"""The feature pyramid: a case worked by hand, its extra levels, its variants, and joined to a backbone."""

import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scenekit.backbones import FPN, BackboneWithFPN, Level, build_backbone
from scenekit.backbones.fpn import SingleMap, _added, owned
from scenekit.errors import InputError

LEVELS = (Level(8, 4, 0.5), Level(16, 8, 0.5), Level(32, 16, 0.5), Level(64, 32, 0.5))


def maps(height: int = 64, width: int = 96) -> list[torch.Tensor]:
    return [torch.randn(2, level.channels, height // level.stride, width // level.stride) for level in LEVELS]


def test_top_down_pathway_by_hand() -> None:
    """With kernels that only copy the middle pixel, P5 = C5 and P4 = C4 + P5 upsampled to the nearest cell."""
    fpn = FPN([Level(1, 16, 0.5), Level(1, 32, 0.5)], channels=1, extra=None)
    for module in fpn.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
    fine, coarse = torch.arange(8.0).reshape(1, 1, 2, 4), torch.tensor([[[[100.0, 200.0]]]])
    pyramid = fpn([fine, coarse])
    assert pyramid.maps[0].tolist() == [[[[100, 101, 202, 203], [104, 105, 206, 207]]]]
    assert pyramid.maps[1].tolist() == coarse.tolist()
    assert pyramid.strides == (16, 32)


@pytest.mark.parametrize(
    ("extra", "strides"),
    [
        (None, (4, 8, 16, 32)),
        ("pool", (4, 8, 16, 32, 64)),
        ("pool_backbone", (4, 8, 16, 32, 64)),
        ("conv", (4, 8, 16, 32, 64, 128)),
        ("conv_backbone", (4, 8, 16, 32, 64, 128)),
    ],
)
@pytest.mark.parametrize("slim", [False, True])
@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_each_level_has_the_declared_stride_and_channels(
    extra: str | None, strides: tuple[int, ...], slim: bool, norm: str | None
) -> None:
    fpn = FPN(LEVELS, 12, extra=extra, slim=slim, norm=norm)
    pyramid = fpn(maps(128, 256))
    assert pyramid.strides == strides == tuple(level.stride for level in fpn.levels)
    assert pyramid.channels == 12
    assert [tuple(features.shape[2:]) for features in pyramid.maps] == [(128 // s, 256 // s) for s in strides]
    convolutions = [module for module in fpn.modules() if isinstance(module, nn.Conv2d)]
    assert any(convolution.groups == 12 for convolution in convolutions) == slim


def test_p6_takes_every_second_cell_of_p5() -> None:
    pyramid = FPN(LEVELS, 8)(maps(128, 192))
    assert torch.equal(pyramid.maps[4], pyramid.maps[3][:, :, ::2, ::2])


def test_p6_of_the_backbone_is_merged_by_hand() -> None:
    """With kernels that only copy the middle pixel, P6 is every second cell of C5, and P5 = C5 + P6 upsampled."""
    fpn = FPN([Level(1, 32, 0.5)], channels=1, extra="pool_backbone")
    for module in fpn.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
    pyramid = fpn([torch.tensor([[[[1.0, 2, 3, 4], [5, 6, 7, 8]]]])])
    assert pyramid.maps[0].tolist() == [[[[2, 3, 6, 7], [6, 7, 10, 11]]]]
    assert pyramid.maps[1].tolist() == [[[[1, 3]]]]
    assert [(level.stride, level.offset) for level in fpn.levels] == [(32, 0.5), (64, 0.5)]


@pytest.mark.parametrize(("extra", "source"), [("conv", "pyramid"), ("conv_backbone", "backbone")])
def test_where_the_convolution_of_p6_reads(extra: str, source: str) -> None:
    fpn, given = FPN(LEVELS, LEVELS[-1].channels, extra=extra), maps(128, 192)
    pyramid = fpn(given)
    read = {"pyramid": pyramid.maps[3], "backbone": given[3]}[source]
    assert torch.equal(pyramid.maps[4], fpn.net.extra_blocks.p6(read))


def test_a_single_map_is_the_last_chosen_one_as_it_is() -> None:
    backbone = build_backbone("mobilenet_v3_small").eval()
    pixels, chosen = torch.rand(1, 3, 64, 96), [1, 2]
    with torch.inference_mode():
        pyramid = BackboneWithFPN(backbone, SingleMap([backbone.levels[index] for index in chosen]), chosen)(pixels)
        expected = backbone(pixels)[2]
    assert pyramid.strides == (16,) and torch.equal(pyramid.maps[0], expected)


def test_extra_levels_keep_the_alignment_of_the_coarsest() -> None:
    patches = [Level(4, stride, stride / 2) for stride in (4, 8, 16, 32)]
    assert [level.offset for level in FPN(patches, 8, extra="conv").levels] == [2, 4, 8, 16, 16, 16]


def test_sizes_that_no_stride_divides_are_accepted() -> None:
    network = BackboneWithFPN(build_backbone("mobilenet_v3_small"), FPN(build_backbone("mobilenet_v3_small").levels, 8))
    with torch.inference_mode():
        pyramid = network.eval()(torch.rand(1, 3, 75, 101))
    assert [tuple(features.shape[2:]) for features in pyramid.maps] == [(19, 26), (10, 13), (5, 7), (3, 4), (2, 2)]


def test_backbone_with_fpn_describes_its_pyramid_and_learns() -> None:
    backbone = build_backbone("resnet18")
    network = BackboneWithFPN(backbone, FPN(backbone.levels, 16, slim=True))
    pyramid = network(torch.rand(2, 3, 64, 64))
    assert (network.channels, network.strides) == (pyramid.channels, pyramid.strides)
    sum(features.square().mean() for features in pyramid.maps).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("fine", [(8, 12), (9, 12), (7, 11)])  # whole multiples of the coarse map, and none
def test_without_gradients_maps_are_added_as_interpolate_spreads_them(fine: tuple[int, int]) -> None:
    finer, coarse = torch.randn(2, 3, *fine), torch.randn(2, 3, 4, 6)
    expected = finer + F.interpolate(coarse, size=fine, mode="nearest")
    with torch.no_grad():
        assert torch.equal(_added(finer.clone(), coarse), expected)
    assert torch.equal(_added(finer.clone(), coarse), expected)


def test_maps_that_belong_to_the_pyramid_are_freed_once_read() -> None:
    fpn, given = FPN(LEVELS, 8), maps()
    own = [weakref.ref(features) for features in given]
    alive: list[int] = []
    fpn.net.inner_blocks[0].register_forward_pre_hook(
        lambda *inputs: alive.extend(index for index, features in enumerate(own) if features() is not None)
    )
    with torch.no_grad():
        own_maps = owned(given, fpn)
        given.clear()
        fpn(own_maps)
    assert alive == [0, 3]  # the coarsest is for extra levels


def test_hooks_see_the_maps_that_a_pyramid_was_given() -> None:
    backbone = build_backbone("mobilenet_v3_small").eval()
    network, seen = BackboneWithFPN(backbone, FPN(backbone.levels, 8)), []

    def hook(module: nn.Module, inputs: Any, result: Any) -> None:
        seen.extend(features.shape[1] for features in inputs[0])

    network.fpn.register_forward_hook(hook)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert seen == [level.channels for level in backbone.levels]


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ([Level(4, 8, 0.5), Level(4, 4, 0.5)], r"multiple of the one before, got \[8, 4\]"),
        ([Level(4, 4, 0.5), Level(4, 6, 0.5)], r"got \[4, 6\]; choose other levels, or model.pyramid.kind: single"),
        ([Level(4, 4, 5.5), Level(4, 8, 7.5)], "stride 4 begins 5.5 pixels inside it; set .*padding: same"),
    ],
)
def test_levels_that_do_not_lie_on_each_other(levels: list[Level], told: str) -> None:
    with pytest.raises(InputError, match=told):
        FPN(levels, 8)
