"""Where cells lie: what is traced through the operators against what gradients tell of networks that only average."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.backbones import Level, build_backbone
from scenekit.backbones.layouts import LAYOUTS
from scenekit.backbones.tracing import trace_levels

WIDTH = 384


class Same(nn.Module):
    """TensorFlow's padding of a 3x3 convolution of stride 2: on the right and at the bottom only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Merge(nn.Module):
    """Swin's patch merging: four cells become one, with channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, 0))
        x = torch.cat([x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)], dim=-1)
        return self.linear(x).permute(0, 3, 1, 2)


class Gated(nn.Module):
    """Squeeze and excitation around a convolution of stride 2; its branch sees the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))).detach()


class Sum(nn.Module):
    """Two ways that meet."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x)


def stem() -> nn.Module:
    return nn.Conv2d(3, 2, 3, stride=2, padding=1)


NETWORKS = {  # the network, then the stride and the offset of its map
    "3x3 stride 2": (stem, 2, 0.5),
    "patches": (lambda: nn.Conv2d(3, 2, 4, stride=4), 4, 2.0),
    "PoolFormer's stem": (lambda: nn.Conv2d(3, 2, 7, stride=4, padding=2), 4, 1.5),
    "dilated": (lambda: nn.Conv2d(3, 2, 3, stride=2, padding=1, dilation=2), 2, 1.5),
    "TensorFlow's padding": (lambda: nn.Sequential(stem(), Same()), 4, 2.5),
    "pooling": (lambda: nn.Sequential(stem(), nn.AvgPool2d(2)), 4, 1.5),
    "overlapping pooling": (lambda: nn.Sequential(stem(), nn.AvgPool2d(3, 2, 1)), 4, 0.5),
    "patch merging": (lambda: nn.Sequential(stem(), Merge()), 4, 1.5),
    "space to depth": (lambda: nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, 2, 3, padding=1)), 4, 2.0),
    "up again": (lambda: nn.Sequential(nn.Conv2d(3, 2, 8, stride=8), nn.ConvTranspose2d(2, 2, 2, stride=2)), 4, 2.0),
    "upsampling": (
        lambda: nn.Sequential(nn.Conv2d(3, 2, 3, stride=4, padding=1), nn.Upsample(scale_factor=2)),
        2,
        -0.5,
    ),
    "shortcut": (lambda: nn.Sequential(stem(), Sum(stem_like(), nn.AvgPool2d(2))), 4, 1.0),
    "finer and coarser": (lambda: Sum(stem(), nn.Sequential(stem(), stem_like(), nn.Upsample(scale_factor=2))), 2, 0.5),
    "gate": (lambda: nn.Sequential(stem(), Gated()), 4, 0.5),
}

SPREAD = ("upsampling", "up again")


def stem_like() -> nn.Module:
    return nn.Conv2d(2, 2, 3, stride=2, padding=1)


def averaging(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            nn.init.zeros_(module.bias)
    return network.double()


def seen_centre(network: nn.Module, cell: int) -> float:
    """Centroid of what one cell of an averaging network sees, in pixels."""
    pixels = torch.ones(1, 3, 32, WIDTH, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(network(pixels)[0, :, 1, cell].sum(), pixels)
    weight = seen.sum(dim=(0, 1, 2))
    return float((weight * (torch.arange(WIDTH) + 0.5)).sum() / weight.sum())


@pytest.mark.parametrize("name", NETWORKS)
def test_traced_place_is_known(name: str) -> None:
    make, stride, offset = NETWORKS[name]
    network = make()
    (level,) = trace_levels(lambda pixels: [network(pixels)], torch.zeros(1, 3, 32, WIDTH))
    assert level == Level(2, stride, offset)


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"finer and coarser", *SPREAD}))
def test_gradients_say_the_same(name: str) -> None:
    make, stride, offset = NETWORKS[name]
    cell = WIDTH // stride // 2
    assert seen_centre(averaging(make()), cell) == pytest.approx(offset + cell * stride)


@pytest.mark.parametrize("name", SPREAD)
def test_spread_cells_lie_about_the_centre_of_what_they_see(name: str) -> None:
    """Each half a fine cell to either side of the coarse cell that both see."""
    make, stride, offset = NETWORKS[name]
    network = averaging(make())
    mean = (seen_centre(network, 40) + seen_centre(network, 41)) / 2
    assert mean == pytest.approx(offset + 40.5 * stride)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"])
def test_torchvisions_layouts_are_traced(name: str) -> None:
    assert name in LAYOUTS
    with torch.device("meta"):
        backbone = build_backbone(name).eval()
        assert trace_levels(backbone, torch.zeros(1, 3, 64, 128)) == backbone.levels
