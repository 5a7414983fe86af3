"""Frozen batch norms that overwrite what they read, and sums in place: the numbers of torchvision's own networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import FrozenBatchNorm2d

from scenekit.backbones import build_backbone
from scenekit.backbones.norm import FusedFrozenBatchNorm2d, overwrite_convolutions
from scenekit.backbones.torchvision import _add_in_place

RESNET_LEVELS = ("layer1", "layer2", "layer3", "layer4")


def randomized(norm: FrozenBatchNorm2d) -> Any:
    for value, least in ((norm.weight, 0.5), (norm.bias, -1), (norm.running_mean, -1), (norm.running_var, 0.5)):
        nn.init.uniform_(value, least, 2)
    return norm


def overwriting() -> Any:
    norm = randomized(FusedFrozenBatchNorm2d(4))
    norm.overwrites = True
    return norm


class Small(nn.Module):
    """A convolution and its norm; a function of both is the output."""

    def __init__(self, result: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), randomized(FusedFrozenBatchNorm2d(4))
        self.result = result

    def forward(self, pixels: Tensor) -> Tensor:
        convolved = self.conv(pixels)
        return self.result(convolved, self.norm(convolved))


@pytest.mark.parametrize(
    ("result", "overwrites"), [(lambda conv, norm: norm.relu(), True), (lambda conv, norm: (norm * conv).relu(), False)]
)
def test_a_convolution_that_others_read_is_not_overwritten(
    result: Callable[[Tensor, Tensor], Tensor], overwrites: bool
) -> None:
    torch.manual_seed(0)
    network, pixels = Small(result).eval(), torch.rand(1, 3, 4, 4)
    expected = network(pixels)
    body: Any = create_feature_extractor(network, {"relu": "out"})
    overwrite_convolutions(body)
    assert body.norm.overwrites == overwrites
    with torch.no_grad():
        torch.testing.assert_close(body(pixels)["out"], expected)


def test_a_convolution_that_is_a_level_is_not_overwritten() -> None:
    body: Any = create_feature_extractor(Small(lambda conv, norm: norm.relu()), ["conv", "relu"])
    overwrite_convolutions(body)
    assert not body.norm.overwrites


def test_gradients_are_those_of_torchvision() -> None:
    torch.manual_seed(0)
    plain = get_model("resnet18", weights=None, norm_layer=FrozenBatchNorm2d)
    for module in plain.modules():
        if isinstance(module, FrozenBatchNorm2d):
            randomized(module).weight.div_(4)  # maps neither vanish nor explode
    backbone = build_backbone("resnet18", norm="frozen")
    backbone.body.load_state_dict({k: v for k, v in plain.state_dict().items() if not k.startswith("fc.")})
    assert sum(getattr(module, "overwrites", False) for module in backbone.modules()) == 20
    extractor = create_feature_extractor(plain, list(RESNET_LEVELS))

    def learned(network: nn.Module, maps: Callable[[Tensor], list[Tensor]]) -> tuple[Tensor, ...]:
        torch.manual_seed(1)
        pixels = torch.rand(2, 3, 64, 64, requires_grad=True)
        total = torch.stack([features.square().mean() for features in maps(pixels)]).sum()
        learning = [value for name, value in network.named_parameters() if "fc." not in name]
        return torch.autograd.grad(total, [pixels, *learning])

    found = learned(backbone, lambda pixels: list(backbone(pixels)))
    expected = learned(extractor, lambda pixels: list(extractor(pixels).values()))
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_rounds_once_as_batch_norm(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm, features = overwriting().to(dtype), torch.randn(2, 4, 8, 8).to(dtype)
    double = [getattr(norm, name).double() for name in ("running_mean", "running_var", "weight", "bias")]
    exact = F.batch_norm(features.double(), *double, eps=norm.eps)
    assert torch.equal(norm(features), exact.to(dtype))


class Counted(TorchDispatchMode):
    """Notes the operations of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_elsewhere_than_on_a_cpu_it_is_one_operation() -> None:
    norm, features = overwriting().to("meta"), torch.zeros(1, 4, 2, 2, device="meta")
    with Counted() as counted:
        norm(features)
    assert len([name for name in counted.names if name != "empty"]) == 1


class Gated(nn.Module):
    """Adds a map to the norm of its mean: the sum has another shape than the norm."""

    def __init__(self, pooled: int) -> None:
        super().__init__()
        self.pool, self.conv, self.norm = nn.AdaptiveAvgPool2d(pooled), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, features: Tensor) -> Tensor:
        return (self.norm(self.conv(self.pool(features))) + features).relu()


@pytest.mark.parametrize("pooled", [1, 8])
def test_sums_are_in_place_where_their_shape_allows_it(pooled: int) -> None:
    torch.manual_seed(0)
    network, features = Gated(pooled).eval(), torch.rand(2, 3, 8, 8)
    body: Any = create_feature_extractor(network, {"relu": "out"})
    _add_in_place(body)
    results = {}
    body.norm.register_forward_hook(lambda module, inputs, result: results.update(normed=result))
    with torch.no_grad():
        expected, found = network(features), body(features)["out"]
    assert torch.equal(found, expected)
    assert torch.equal(results["normed"].relu(), expected) == (pooled == 8)
