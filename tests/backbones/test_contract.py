"""Every torchvision backbone keeps the contract: channels, strides and alignment are as it declares."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model

from scenekit.backbones import TorchvisionBackbone, build_backbone
from scenekit.backbones.layouts import LAYOUTS
from scenekit.backbones.torchvision import untrained
from tests.backbones.contract import averaging

CHEAP = (
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "convnext_tiny",
    "alexnet",
    "vgg11",
    "googlenet",
)
SLOW = ("vgg16_bn", "inception_v3", "resnet50", "resnext50_32x4d")
"""What else differs in kind, not in depth or width alone."""


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name in CHEAP:
        return []
    return [pytest.mark.slow] if name in SLOW else [pytest.mark.all_backbones]


EVERY = [pytest.param(name, marks=marks(name)) for name in LAYOUTS]
TORUS = [parameter for parameter in EVERY if parameter.values != ("inception_v3",)]
"""Without Inception V3, some of whose poolings are functions that cannot be wrapped around."""

CHANNELS = {  # of the last block at each stride, as in the papers' tables
    "resnet18": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "mobilenet_v2": (24, 32, 96, 1280),
    "mobilenet_v3_large": (24, 40, 112, 960),
    "efficientnet_b0": (24, 40, 112, 1280),
    "convnext_tiny": (96, 192, 384, 768),
    "alexnet": (64, 192, 256, 256),
    "vgg11": (256, 512, 512, 512),
    "googlenet": (192, 480, 832, 1024),
}


def on_a_torus(backbone: TorchvisionBackbone) -> TorchvisionBackbone:
    """Wrap the padding around: moving the image then moves the features exactly, borders included."""
    for path, module in list(backbone.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
            module._reversed_padding_repeated_twice = [side for side in module.padding[::-1] for _ in range(2)]
        elif isinstance(module, nn.MaxPool2d):
            pool = nn.MaxPool2d(module.kernel_size, module.stride, ceil_mode=module.ceil_mode)
            backbone.set_submodule(path, nn.Sequential(nn.CircularPad2d(module.padding), pool))
    return backbone


def averaging_functions(body: nn.Module) -> None:
    """Average where the traced network calls a max pooling or a ReLU as a function."""
    for graph in (body.train_graph, body.eval_graph):
        for node in graph.nodes:
            if node.target is F.max_pool2d:
                node.target = F.avg_pool2d
                node.kwargs = {k: v for k, v in node.kwargs.items() if k in ("kernel_size", "stride", "padding")}
            elif node.target is F.relu:
                node.target, node.args, node.kwargs = torch.Tensor.contiguous, node.args[:1], {}
    body.eval()
    body.recompile()


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


@pytest.mark.parametrize("name", TORUS)
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


PADDED = [*((name, "valid") for name in CHEAP), ("alexnet", "same"), ("googlenet", "same")]
PADDED += [(name, "tensorflow") for name in ("mobilenet_v2", "efficientnet_b0", "convnext_tiny")]
"""Networks with the padding of their windows; the slow ones beside them."""
UNPADDED = [pytest.param("inception_v3", padding, marks=pytest.mark.slow) for padding in ("valid", "same")]


@pytest.mark.parametrize(("name", "padding"), [*PADDED, *UNPADDED])
def test_cells_are_centred_where_the_level_says(name: str, padding: str) -> None:
    """A cell of the averaging network weighs pixels symmetrically about its centre: their centroid is that centre."""
    backbone = TorchvisionBackbone(averaging(untrained(name, LAYOUTS[name])), LAYOUTS[name], padding).eval().double()
    averaging_functions(backbone.body)
    height = 32 if padding != "valid" or not LAYOUTS[name].unpadded else 96
    pixels = torch.zeros(1, 3, height, 3072, dtype=torch.float64, requires_grad=True)
    middle = torch.arange(3072) + 0.5
    for features, level in zip(backbone(pixels), backbone.levels, strict=True):
        cell = features.shape[3] // 2
        (seen,) = torch.autograd.grad(features[0, :, 0, cell].sum(), pixels, retain_graph=True)
        weight = seen.sum(dim=(0, 1, 2))
        centroid = float((weight * middle).sum() / weight.sum())
        assert centroid == pytest.approx(level.offset + cell * level.stride, abs=1e-6)


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "googlenet", "inception_v3"])
def test_maps_are_those_of_torchvisions_own_network(name: str) -> None:
    options = {"padding": "valid"} if LAYOUTS[name].unpadded else {}
    reference, backbone = untrained(name, LAYOUTS[name]).eval(), build_backbone(name, **options).eval()
    expected: list[torch.Tensor] = []
    for stage in LAYOUTS[name].stages:
        reference.get_submodule(stage).register_forward_hook(lambda _, __, features: expected.append(features.clone()))
    backbone.load_state_dict({key: reference.state_dict()[key.removeprefix("body.")] for key in backbone.state_dict()})
    pixels = torch.randn(2, 3, 96, 128)
    if name in ("alexnet", "vgg11_bn"):
        reference.classifier, reference.avgpool = nn.Identity(), nn.Identity()  # the classifier has no memory
    with torch.inference_mode():
        reference(pixels)
        for found, features in zip(backbone(pixels), expected, strict=True):
            torch.testing.assert_close(found, features, rtol=1e-5, atol=1e-5)


def test_parameters_keep_torchvisions_names() -> None:
    trunk = {key for key in get_model("resnet18", weights=None).state_dict() if not key.startswith("fc.")}
    assert set(build_backbone("resnet18").state_dict()) == {f"body.{key}" for key in trunk}
