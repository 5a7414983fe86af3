"""Norms, frozen stages and refused options of `build_backbone`."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.ops import FrozenBatchNorm2d

from scenekit.backbones import build_backbone
from scenekit.backbones.norm import FusedFrozenBatchNorm2d
from scenekit.errors import InputError


def norms(model: nn.Module) -> set[type]:
    kinds = (nn.BatchNorm2d, nn.GroupNorm, FrozenBatchNorm2d)
    return {type(module) for module in model.modules() if isinstance(module, kinds)}


def randomize_statistics(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_frozen_norm_is_batch_norm_in_eval_mode(name: str) -> None:
    batch, frozen = build_backbone(name).eval(), build_backbone(name, norm="frozen").train()
    randomize_statistics(batch)
    frozen.load_state_dict(batch.state_dict())
    assert norms(frozen) == {FusedFrozenBatchNorm2d}
    pixels = torch.randn(2, 3, 64, 64)
    for found, expected in zip(frozen(pixels), batch(pixels), strict=True):
        torch.testing.assert_close(found, expected)


def test_group_norm_replaces_every_batch_norm() -> None:
    backbone = build_backbone("mobilenet_v2", norm="group")
    assert norms(backbone) == {nn.GroupNorm}
    assert all(features.isfinite().all() for features in backbone(torch.randn(1, 3, 64, 64)))


@pytest.mark.parametrize(
    ("name", "trainable", "learning"),
    [
        ("resnet18", 0, set()),
        ("resnet18", 1, {"layer4"}),
        ("resnet18", 3, {"layer2", "layer3", "layer4"}),
        ("resnet18", 4, {"layer1", "layer2", "layer3", "layer4"}),
        ("resnet18", 5, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        ("mobilenet_v2", 1, {f"features.{index}" for index in range(14, 19)}),
        ("convnext_tiny", 2, {f"features.{index}" for index in range(4, 8)}),
    ],
)
def test_only_the_coarse_stages_learn(name: str, trainable: int, learning: set[str]) -> None:
    depth = 2 if name == "resnet18" else 3
    backbone = build_backbone(name, trainable_stages=trainable)
    free = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert {".".join(key.split(".")[1:depth]) for key in free} == learning


def test_frozen_stages_keep_their_batch_statistics_in_training() -> None:
    backbone = build_backbone("resnet18", trainable_stages=2).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    changed = {key.split(".")[1] for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"layer3", "layer4"}


def test_stride_in_1x1_moves_the_stride_of_each_block() -> None:
    """Strides of (first, second) convolution in the first block of a stage, from the reference implementations."""
    for option, expected in ((False, (1, 2)), (True, (2, 1))):
        body = build_backbone("resnet50", stride_in_1x1=option).body
        found = [
            (body.get_submodule(f"{stage}.conv1").stride[0], body.get_submodule(f"{stage}.conv2").stride[0])
            for stage in ("layer1.0", "layer2.0", "layer3.0", "layer4.0", "layer4.1")
        ]
        assert found == [(1, 1), expected, expected, expected, (1, 1)]


def test_building_leaves_batch_statistics_and_mode_alone() -> None:
    backbone = build_backbone("resnet18")
    assert backbone.training
    assert all(not value.any() for key, value in backbone.state_dict().items() if key.endswith("running_mean"))


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("resnet81", {}, "did you mean 'resnet18'"),
        ("resnet18", {"norm": "layer"}, "batch, frozen, group"),
        ("resnet18", {"norm": "group", "weights": "DEFAULT"}, "frozen"),
        ("resnet18", {"trainable_stages": 6}, "0 to 5"),
        ("resnet18", {"trainable_stages": -1}, "0 to 5"),
        ("resnet18", {"stride_in_1x1": True}, "resnet18 has no blocks"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_backbone(name, **options)


def test_levels_may_lie_elsewhere_than_at_each_stride() -> None:
    backbone = build_backbone("mobilenet_v3_large", levels=["features.13", "features.16"], trainable_stages=1)
    assert [(level.channels, level.stride) for level in backbone.levels] == [(160, 32), (960, 32)]
    assert [tuple(features.shape[1:]) for features in backbone(torch.randn(1, 3, 96, 64))] == [(160, 3, 2), (960, 3, 2)]
    free = {key.split(".")[2] for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert free == {"14", "15", "16"}


def test_levels_that_there_are_not() -> None:
    with pytest.raises(InputError, match=r"mobilenet_v2 has no module 'features\.19'; did you mean 'features"):
        build_backbone("mobilenet_v2", levels=["features.19"])


@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_what_is_added_to_the_variance_can_be_told(norm: str) -> None:
    kinds = (nn.BatchNorm2d, FrozenBatchNorm2d)
    backbone = build_backbone("mobilenet_v3_small", norm=norm, norm_eps=1e-5)
    assert {module.eps for module in backbone.modules() if isinstance(module, kinds)} == {1e-5}


@pytest.mark.parametrize(
    ("name", "trainable", "learning"),
    [
        ("vgg16", 4, {10, 12, 14, 17, 19, 21, 24, 26, 28}),  # conv1_x and conv2_x frozen, as Fast R-CNN has them
        ("vgg16", 2, {24, 26, 28}),
        ("alexnet", 2, {6, 8, 10}),
    ],
)
def test_stages_of_plain_networks(name: str, trainable: int, learning: set[int]) -> None:
    backbone = build_backbone(name, trainable_stages=trainable)
    free = {int(key.split(".")[2]) for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert free == learning


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "inception_v3"])
def test_padded_windows_cover_the_image(name: str) -> None:
    same, valid = build_backbone(name), build_backbone(name, padding="valid")
    pixels = torch.rand(1, 3, 90, 128)
    with torch.inference_mode():
        for features, level in zip(same.eval()(pixels), same.levels, strict=True):
            assert tuple(features.shape[2:]) == (-(-90 // level.stride), -(-128 // level.stride))
    assert valid.levels[-1].offset > same.levels[-1].offset
    assert same.state_dict().keys() == valid.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "padding", "told"),
    [
        ("resnet18", "same", "resnet18 are padded as they are; leave it out, or set 'tensorflow'"),
        ("alexnet", "full", "expected one of same, valid, tensorflow"),
        ("inception_v3", "tensorflow", "has poolings that cannot be padded so"),
    ],
)
def test_padding_that_cannot_be(name: str, padding: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_backbone(name, padding=padding)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "vgg11", "alexnet"])
def test_tensorflows_padding_covers_the_image_and_changes_no_parameter(name: str) -> None:
    plain, padded = build_backbone(name).eval(), build_backbone(name, padding="tensorflow").eval()
    assert [(key, value.shape) for key, value in padded.state_dict().items()] == [
        (key, value.shape) for key, value in plain.state_dict().items()
    ]
    with torch.inference_mode():
        for features, level in zip(padded(torch.rand(1, 3, 75, 101)), padded.levels, strict=True):
            assert tuple(features.shape[2:]) == (-(-75 // level.stride), -(-101 // level.stride))


def test_features_keep_their_place_on_images_of_other_sizes() -> None:
    """Sides of 300 and 364 pixels have the same parities all the way down; on 320 only the option keeps them."""
    torch.manual_seed(0)
    plain = build_backbone("mobilenet_v2", padding="tensorflow").eval()
    fixed = build_backbone("mobilenet_v2", padding="tensorflow", trained_side=300).eval()
    fixed.load_state_dict(plain.state_dict())
    pixels = torch.rand(1, 3, 364, 364)
    with torch.inference_mode():
        for own, kept in zip(plain(pixels), fixed(pixels), strict=True):
            assert torch.equal(own, kept)
        beginning = plain(pixels)[1][..., :20, :20]  # of cells of 8 pixels whose windows are within 320
        assert torch.allclose(fixed(pixels[..., :320, :320])[1][..., :20, :20], beginning, atol=1e-5)
        assert not torch.allclose(plain(pixels[..., :320, :320])[1][..., :20, :20], beginning, atol=1e-5)
    with pytest.raises(InputError, match="trained_side: expected pixels, with padding: tensorflow, got 300 with None"):
        build_backbone("mobilenet_v2", trained_side=300)


def test_a_copy_with_tensorflows_padding_computes_the_same() -> None:
    backbone = build_backbone("mobilenet_v2", padding="tensorflow").eval()
    pixels = torch.rand(1, 3, 60, 70)
    with torch.inference_mode():
        for own, copied in zip(backbone(pixels), deepcopy(backbone)(pixels), strict=True):
            assert torch.equal(own, copied)


def test_levels_within_a_block_end_the_stage_of_that_block() -> None:
    levels = ["features.3", "features.6", "features.14.conv.0", "features.18"]
    backbone = build_backbone("mobilenet_v2", levels=levels, trainable_stages=1)
    assert [(level.channels, level.stride) for level in backbone.levels] == [(24, 4), (32, 8), (576, 16), (1280, 32)]
    free = {key.split(".")[2] for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert free == {"15", "16", "17", "18"}


def test_auxiliary_classifiers_in_a_file_are_left_out(tmp_path: Path) -> None:
    stored = get_model("googlenet", weights=None, aux_logits=True, init_weights=False).state_dict()
    torch.save(stored, tmp_path / "googlenet.pth")
    loaded = build_backbone("googlenet", weights=tmp_path / "googlenet.pth").state_dict()
    assert torch.equal(loaded["body.conv1.conv.weight"], stored["conv1.conv.weight"])
    assert not any("aux" in key for key in loaded)


def test_poolings_that_round_up() -> None:
    body = build_backbone("vgg11", ceil_pooling=["features.5"]).body
    pools = {name: module.ceil_mode for name, module in body.named_modules() if isinstance(module, nn.MaxPool2d)}
    assert {name for name, rounds in pools.items() if rounds} == {"features.5"}
    with pytest.raises(InputError, match=r"ceil_pooling: vgg11 has no max pooling 'features\.6'"):
        build_backbone("vgg11", ceil_pooling=["features.6"])


def test_the_reduced_tail_of_mobilenet() -> None:
    full, reduced = (build_backbone("mobilenet_v3_large", reduced_tail=tail).levels[-1] for tail in (False, True))
    assert (full.channels, reduced.channels) == (960, 480)
    with pytest.raises(InputError, match="reduced_tail: only MobileNetV3 has one, not resnet18"):
        build_backbone("resnet18", reduced_tail=True)
    with pytest.raises(InputError, match="reduced_tail: weights 'DEFAULT' are of the full network"):
        build_backbone("mobilenet_v3_large", weights="DEFAULT", reduced_tail=True)
