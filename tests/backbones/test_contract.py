"""Every torchvision backbone keeps the contract: channels, strides and alignment are as it declares."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.convnext import CNBlock
from torchvision.ops import SqueezeExcitation

from scenekit.backbones import TorchvisionBackbone, build_backbone
from scenekit.backbones.layouts import LAYOUTS

CHEAP = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny")
EVERY = [pytest.param(name, marks=[] if name in CHEAP else pytest.mark.slow) for name in LAYOUTS]

CHANNELS = {  # of the last block at each stride, as in the papers' tables
    "resnet18": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "mobilenet_v2": (24, 32, 96, 1280),
    "mobilenet_v3_large": (24, 40, 112, 960),
    "efficientnet_b0": (24, 40, 112, 1280),
    "convnext_tiny": (96, 192, 384, 768),
}


NOT_LINEAR = (nn.BatchNorm2d, nn.LayerNorm, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, SqueezeExcitation)


def on_a_torus(backbone: TorchvisionBackbone) -> TorchvisionBackbone:
    """Wrap the padding around: moving the image then moves the features exactly, borders included."""
    for path, module in list(backbone.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
        elif isinstance(module, nn.MaxPool2d):
            pool = nn.MaxPool2d(module.kernel_size, module.stride)
            backbone.set_submodule(path, nn.Sequential(nn.CircularPad2d(module.padding), pool))
    return backbone


def averaging(name: str) -> nn.Module:
    """The network with everything that is not linear taken out and each kernel a box: it only averages pixels."""
    model = get_model(name, weights=None)
    for path, module in list(model.named_modules()):
        if isinstance(module, NOT_LINEAR):
            model.set_submodule(path, nn.Identity())
        elif isinstance(module, nn.MaxPool2d):
            model.set_submodule(path, nn.AvgPool2d(module.kernel_size, module.stride, module.padding))
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias) if module.bias is not None else None
        elif isinstance(module, CNBlock):
            nn.init.ones_(module.layer_scale)
    return model


@pytest.mark.parametrize("name", EVERY)
def test_levels_are_as_declared(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        maps = backbone(torch.rand(2, 3, 64, 96))
    assert [level.stride for level in backbone.levels] == [4, 8, 16, 32]
    assert len(maps) == 4
    for features, level in zip(maps, backbone.levels, strict=True):
        assert features.shape == (2, level.channels, 64 // level.stride, 96 // level.stride)


@pytest.mark.parametrize(("name", "channels"), [item for item in CHANNELS.items() if item[0] in CHEAP])
def test_channels_are_those_of_the_last_block_at_each_stride(name: str, channels: tuple[int, ...]) -> None:
    assert tuple(level.channels for level in build_backbone(name).levels) == channels


@pytest.mark.parametrize("name", EVERY)
def test_image_moved_by_one_stride_moves_the_features_by_one_cell(name: str) -> None:
    backbone = on_a_torus(build_backbone(name)).eval().double()
    pixels = torch.randn(1, 3, 96, 128, dtype=torch.float64)
    with torch.inference_mode():
        still = backbone(pixels)
        for index, level in enumerate(backbone.levels):
            moved = backbone(pixels.roll((level.stride, 2 * level.stride), dims=(2, 3)))[index]
            size = float(still[index].abs().max())
            torch.testing.assert_close(moved, still[index].roll((1, 2), dims=(2, 3)), rtol=0, atol=1e-9 * size)
            assert not torch.allclose(moved, still[index], rtol=0, atol=1e-3 * size)


def test_features_move_with_the_image_away_from_its_border() -> None:
    """The same with the network as it is: ResNet-18 sees at most 435 pixels (Araujo et al., Distill 2019)."""
    backbone = build_backbone("resnet18").eval()
    pixels = torch.randn(1, 3, 32, 1024)
    with torch.inference_mode():
        still = backbone(pixels)
        for index, level in enumerate(backbone.levels):
            moved = backbone(pixels.roll(level.stride, dims=3))[index]
            reach = 256 // level.stride
            torch.testing.assert_close(
                moved[..., reach + 1 : -reach], still[index][..., reach : -reach - 1], rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("name", CHEAP)
def test_cells_are_centred_where_the_level_says(name: str) -> None:
    """A cell of the averaging network weighs pixels symmetrically about its centre: their centroid is that centre."""
    backbone = TorchvisionBackbone(averaging(name), LAYOUTS[name]).eval().double()
    pixels = torch.zeros(1, 3, 32, 3072, dtype=torch.float64, requires_grad=True)
    middle = torch.arange(3072) + 0.5
    for features, level in zip(backbone(pixels), backbone.levels, strict=True):
        cell = features.shape[3] // 2
        (seen,) = torch.autograd.grad(features[0, :, 0, cell].sum(), pixels, retain_graph=True)
        weight = seen.sum(dim=(0, 1, 2))
        centroid = float((weight * middle).sum() / weight.sum())
        assert centroid == pytest.approx(level.offset + cell * level.stride, abs=1e-6)


def test_parameters_keep_torchvisions_names() -> None:
    trunk = {key for key in get_model("resnet18", weights=None).state_dict() if not key.startswith("fc.")}
    assert set(build_backbone("resnet18").state_dict()) == {f"body.{key}" for key in trunk}
