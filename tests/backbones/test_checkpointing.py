"""Gradient checkpointing: the same numbers to the bit, from activations that are computed twice instead of kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scenekit.backbones import FPN, Backbone, build_backbone
from scenekit.backbones.base import Level
from scenekit.backbones.checkpointing import ChangedInputError, TracedParts, checkpointing, parts
from scenekit.hooks import registry

NETWORKS: dict[str, dict[str, Any]] = {
    "resnet18": {},  # batch norm, blocks that tracing dissolves
    "resnet18 frozen": {"norm": "frozen", "trainable_stages": 3},
    "mobilenet_v3_small": {},  # convolution, norm and activation as one module
    "googlenet": {},  # branches
    "inception_v2": {},
    "timm/test_vit": {"drop_path_rate": 0.5, "proj_drop_rate": 0.5},
    "timm/resnet18": {},
    "transformers/swin": {
        "config": {"embed_dim": 12, "depths": [1, 1, 3, 1], "num_heads": [1, 1, 2, 2], "drop_path_rate": 0.5}
    },
}


def built(name: str) -> Backbone:
    if "/" in name:
        pytest.importorskip(name.partition("/")[0])
    torch.manual_seed(0)
    backbone: Backbone = registry().get("backbone", name.split()[0]).build(**NETWORKS[name])
    return backbone.train()


def loss_of(network: Callable[[Tensor], Any]) -> Tensor:
    torch.manual_seed(1)
    return torch.stack([features.square().mean() for features in network(torch.rand(2, 3, 64, 96))]).sum()


@contextmanager
def counted_bytes() -> Iterator[list[int]]:
    """Yield the bytes of each activation that is kept outside of recomputed parts, which have hooks of their own."""
    kept: dict[int, int] = {}
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter) and storage.data_ptr() not in kept:
            kept[storage.data_ptr()] = storage.nbytes()
            sizes.append(storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_gradients_and_statistics_are_the_same_to_the_bit(name: str) -> None:
    plain = built(name)
    recomputed = copy.deepcopy(plain)
    with counted_bytes() as kept:
        expected = loss_of(plain)
    expected.backward()
    with recomputed.checkpointed(), counted_bytes() as kept_between_parts:
        found = loss_of(recomputed)
        found.backward()
    assert torch.equal(found, expected)
    for (key, own), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        assert (own.grad is None) == (other.grad is None), key
        assert own.grad is None or torch.equal(own.grad, other.grad), key
    for key, value in recomputed.state_dict().items():
        assert torch.equal(value, plain.state_dict()[key]), key
    assert sum(kept_between_parts) < 0.6 * sum(kept)


def test_a_network_is_as_before_behind_the_context() -> None:
    for name in ("resnet18", "inception_v2"):
        backbone = built(name)
        with pytest.raises(KeyError), backbone.checkpointed():
            raise KeyError
        with counted_bytes() as kept:
            loss_of(backbone)
        assert sum(kept) > 2**20 and not [module for module in backbone.modules() if "forward" in vars(module)]


def test_a_traced_network_is_cut_at_its_levels_and_between_blocks() -> None:
    """ResNet-50: the stem with 1 + 3x3 + 1 layers, then 4, 6 and 3 blocks of 3 with a projection in the first."""
    body: Any = build_backbone("resnet50").body
    found = TracedParts.of(body.train_graph, body)
    layers = [sum(isinstance(module, nn.Conv2d) for module in part.modules()) for _, part, _ in found.parts]
    assert layers == [11, 10, 3, 10, 9, 10]
    assert [(len(reads), len(gives)) for reads, _, gives in found.parts] == [(1, 1)] * 6


def test_parts_of_modules_are_stages_or_blocks() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),  # a single layer: nothing to save
        nn.Sequential(*(nn.Conv2d(4, 4, 1) for _ in range(10))),
        nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(2)),
        nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(6))),
    )
    assert list(parts(network)) == [network[1], *network[2], *network[3]]


def test_gradients_may_be_asked_for_twice() -> None:
    """As a balancer does that weighs the gradients of the tasks."""
    backbone = built("resnet18")
    shared = [value for value in backbone.parameters() if value.requires_grad]
    with backbone.checkpointed():
        loss = loss_of(backbone)
        first = torch.autograd.grad(loss, shared, retain_graph=True)
        statistics = [value.clone() for value in backbone.buffers()]
        second = torch.autograd.grad(loss, shared)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, statistics, backbone.buffers()))


def test_the_mixed_precision_of_the_forward_pass_holds_again() -> None:
    plain = built("resnet18")
    recomputed = copy.deepcopy(plain)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(plain)
    loss.backward()
    with recomputed.checkpointed():
        with torch.autocast("cpu", torch.bfloat16):
            again = loss_of(recomputed)
        again.backward()
    assert torch.equal(loss, again)
    for own, other in zip(plain.parameters(), recomputed.parameters(), strict=True):
        assert own.grad is None or torch.equal(own.grad, other.grad)


def test_the_pyramid_keeps_its_inputs_alone() -> None:
    levels = [Level(8 * 2**index, 4 * 2**index, 0.5) for index in range(4)]
    pyramid = FPN(levels, 16)
    maps = [torch.rand(1, level.channels, 64 // level.stride, 64 // level.stride) for level in levels]

    def gradients() -> tuple[Tensor, ...]:
        total = torch.stack([features.square().sum() for features in pyramid(maps).maps]).sum()
        return torch.autograd.grad(total, list(pyramid.parameters()))

    expected = gradients()
    with checkpointing([pyramid]):
        assert all(map(torch.equal, gradients(), expected))


class InPlace(nn.Module):
    """Changes what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(2))

    def forward(self, pixels: Tensor) -> Tensor:
        result: Tensor = self.layers[1](self.layers[0](pixels.mul_(2)))
        return result


def test_a_part_that_changes_its_input_is_refused() -> None:
    module = InPlace()
    with checkpointing([module]), pytest.raises(ChangedInputError, match=r"^InPlace changes its input in place"):
        module(torch.rand(1, 3, 4, 4))


def test_without_gradients_nothing_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*inputs: Any, **named: Any) -> None:
        raise AssertionError("checkpoint is called")

    monkeypatch.setattr("scenekit.backbones.checkpointing.checkpoint", refused)
    for name in ("resnet18", "inception_v2"):
        backbone = built(name)
        with backbone.checkpointed():
            with torch.no_grad():
                backbone(torch.ones(1, 3, 64, 96))
            with pytest.raises(AssertionError, match="checkpoint is called"):
                backbone(torch.ones(1, 3, 64, 96))


def test_a_forward_pass_that_was_replaced_before_is_in_its_place_again() -> None:
    module = nn.Linear(2, 2)
    replaced = module.forward = module.forward
    with checkpointing([module]):
        assert module.forward is not replaced
    assert vars(module)["forward"] is replaced


def test_a_module_that_comes_twice_is_wrapped_once() -> None:
    module = nn.Linear(2, 2)
    with checkpointing([module, module]):
        wrapped = module.forward
        with checkpointing([module]):
            assert module.forward is wrapped
        assert module.forward is wrapped
    assert "forward" not in vars(module)
