"""A bound on what a manifest may build: a network far larger than its weights is refused before it takes memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from scenekit.errors import InputError

SPARE_NUMBERS = 2**27
"""Numbers that a network may take beyond its weights while it is built: the largest classifier of torchvision, VGG's,
which a backbone removes, has 124 million.
"""

SPARE_TENSORS = 1_000
"""Tensors that it may create beyond those."""

CREATORS = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
"""Functions that take memory."""


class BuildBound(TorchFunctionMode):
    """Within this context tensors are created as long as they may belong to a network of these weights.

    Args:
        state: The weights.
        reason: Beginning of the error message.
    """

    def __init__(self, state: Mapping[str, Tensor], reason: str) -> None:
        super().__init__()
        self.stored = sum(value.numel() for value in state.values())
        self.numbers_left = 2 * self.stored + SPARE_NUMBERS
        self.tensors_left = 4 * len(state) + SPARE_TENSORS
        self.reason = reason

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in CREATORS:
            self.tensors_left -= 1
            self.numbers_left -= _count(func, args, kwargs or {})
            if min(self.numbers_left, self.tensors_left) < 0:
                raise InputError(
                    f"{self.reason}: the manifest describes a network far larger than the {self.stored:,} numbers of"
                    " the weights; save the model again"
                )
        return func(*args, **(kwargs or {}))


def _count(func: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]) -> int:
    """Return how many numbers a call creates."""
    sizes = options.get("size", args[:1] if func is torch.full else args)
    return prod(side for entry in sizes for side in (entry if isinstance(entry, Sequence) else (entry,)))
