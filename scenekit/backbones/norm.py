"""Replacing the batch norm of a network by layers that suit small batches.

Letters: B images, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import Node
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from scenekit.errors import InputError

NORMS = ("batch", "frozen", "group")
"""What a backbone's batch norm can be replaced by; "batch" keeps it."""

GROUPS = 32
"""Groups of a group norm where the channels allow it (Wu and He, Group Normalization, 2018)."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Create a group norm of 32 groups, or of the largest divisor of 32 that also divides the channels.

    Args:
        channels: Number of channels.

    Returns:
        The layer.
    """
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


class FusedFrozenBatchNorm2d(FrozenBatchNorm2d):  # type: ignore[misc]
    """torchvision's frozen batch norm, computed with fewer operations and less memory.

    Attributes:
        overwrites: Whether its input may be overwritten, because nothing else reads it.
    """

    overwrites = False

    def forward(self, x: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B C _ _"]:
        """Apply the fixed affine map of each channel.

        Args:
            x: Features.

        Returns:
            Normalized features.
        """
        learning = x.requires_grad and torch.is_grad_enabled()
        # Scale and shift would be rounded in reduced precision.
        plain = torch.compiler.is_compiling() or {x.dtype, self.weight.dtype} != {torch.float32}
        if learning and plain:
            recorded: Tensor = super().forward(x)
            return recorded
        # On other devices one kernel is faster than several, though these need no new memory.
        if not learning and (plain or not self.overwrites or x.device.type != "cpu"):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        mapped: Tensor = _Affine.apply(x, scale[:, None, None], shift[:, None, None], self.overwrites)
        return mapped


class _Affine(torch.autograd.Function):
    """x * scale + shift, with a gradient for x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, overwrites: bool) -> Tensor:
        ctx.save_for_backward(scale)
        if overwrites:
            ctx.mark_dirty(x)
            return x.mul_(scale).add_(shift)
        return (x * scale).add_(shift)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = ctx.saved_tensors
        return grad * scale, None, None, None


def overwrite_convolutions(body: nn.Module) -> None:
    """Let frozen batch norms overwrite the outputs of convolutions that nothing else reads.

    Args:
        body: A traced network, which has one graph for training and one for evaluation, and is changed.
    """
    graphs = [getattr(body, name) for name in ("train_graph", "eval_graph")]
    alone = [{str(node.target) for node in graph.nodes if _normalizes_alone(node, body)} for graph in graphs]
    for name in set.intersection(*alone):
        norm: Any = body.get_submodule(name)
        norm.overwrites = True
    for module in body.modules():
        if isinstance(module, nn.Sequential):
            for before, after in pairwise(module):
                if isinstance(before, nn.Conv2d) and isinstance(after, FusedFrozenBatchNorm2d):
                    after.overwrites = True


def _normalizes_alone(node: Node, body: nn.Module) -> bool:
    """Return whether a node is a frozen batch norm that alone reads the output of a convolution."""
    if node.op != "call_module" or not isinstance(body.get_submodule(str(node.target)), FusedFrozenBatchNorm2d):
        return False
    read = node.args[0]
    if not isinstance(read, Node) or read.op != "call_module" or len(read.users) != 1:
        return False
    return isinstance(body.get_submodule(str(read.target)), nn.Conv2d)


def frozen_copy(norm: nn.BatchNorm2d) -> nn.Module:
    """Create a frozen batch norm: the affine map of a batch norm in eval mode, with constant statistics and weights.

    Args:
        norm: The batch norm.

    Returns:
        The frozen layer.
    """
    frozen: nn.Module = FusedFrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.load_state_dict(norm.state_dict())
    return frozen


def replace_batch_norm(
    model: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module], within: Iterable[str] = ("",)
) -> None:
    """Replace each batch norm of a network.

    Args:
        model: The network, which is changed.
        make: Function that creates the replacement of a batch norm.
        within: Names of the sub-modules in which to replace; by default everywhere.
    """
    for prefix in within:
        for name, module in list(model.get_submodule(prefix).named_modules(prefix=prefix)):
            if isinstance(module, nn.BatchNorm2d):
                model.set_submodule(name, make(module))


def check_options(norm: str, weights: object, trainable_stages: int | None, parts: int) -> None:
    """Check the options that all networks with batch norm share.

    Args:
        norm: One of `NORMS`.
        weights: The initial weights; None for random ones.
        trainable_stages: How many parts are trained; None: all.
        parts: Number of parts of the network.

    Raises:
        InputError: If an option is invalid.
    """
    if norm not in NORMS:
        raise InputError(f"backbone norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    if norm == "group" and weights is not None:
        raise InputError("backbone norm 'group' cannot carry the batch norm of pretrained weights; use 'frozen'")
    if trainable_stages is not None and not 0 <= trainable_stages <= parts:
        raise InputError(f"backbone trainable_stages: expected 0 to {parts}, got {trainable_stages}")


def apply_norm(model: nn.Module, norm: str) -> None:
    """Replace each batch norm of a network by the one of that name.

    Args:
        model: The network, which is changed.
        norm: One of `NORMS`.
    """
    if norm == "frozen":
        replace_batch_norm(model, frozen_copy)
    elif norm == "group":
        replace_batch_norm(model, lambda batch_norm: group_norm(batch_norm.num_features))


def freeze(model: nn.Module, modules: Sequence[str]) -> None:
    """Freeze modules, their batch norm included, or its statistics would drift with the data.

    Args:
        model: The network, which is changed.
        modules: Names of its sub-modules.
    """
    replace_batch_norm(model, frozen_copy, within=modules)
    for module in modules:
        model.get_submodule(module).requires_grad_(False)
