"""What runs a network of a model in place of torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scenekit.errors import InputError
from scenekit.model.board import Board
from scenekit.runtimes.boards import RecordedBoard, as_input
from scenekit.runtimes.networks import Inputs, Sizes, computed, each_argument, values_of
from scenekit.structures.tensors import map_tensors, tensors_in

Runner = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""From the tensors that go in to those that come out."""


class RunNetwork:
    """The forward of a module that another runtime computes.

    Args:
        name: The module's name in the model.
        module: The module; it computes what has no rows, and at the first call tells the form of the results.
        load: Returns what runs it; called at first use.
        sizes: The sizes that it takes.
    """

    def __init__(self, name: str, module: nn.Module, load: Callable[[], Runner], sizes: Sizes) -> None:
        self.name, self.sizes = name, sizes
        self._torch, self._load = module.forward, load
        self._form: Any = None
        self._asked: list[list[Callable[[Board], Any]]] = []

    @cached_property
    def runner(self) -> Runner:
        """What runs it."""
        return self._load()

    @torch.no_grad()
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the network.

        Args:
            arguments: As those of the module.
            named: Its keyword arguments.

        Returns:
            What the module would return; what it would put on a board is there.

        Raises:
            InputError: A tensor is on another device than the CPU, or of a size that the network was not exported for.
        """
        inputs = (arguments, named)
        if self._form is None:
            self._form = map_tensors(lambda tensor: tensor.to("meta"), self._in_torch(inputs))
        boards = [value for value in values_of(inputs) if isinstance(value, Board)]
        pairs = zip(boards, self._asked, strict=True)
        answers = iter([[as_input(read(board)) for read in asked] for board, asked in pairs])
        known = [next(answers) if isinstance(value, Board) else as_input(value) for value in values_of(inputs)]
        tensors = [tensor.contiguous() for tensor in tensors_in(known)]
        self._check(tensors)
        if any(tensor.numel() == 0 for tensor in tensors):
            result, puts = self._in_torch(inputs)
        else:
            results = iter(self.runner(tensors))
            result, puts = map_tensors(lambda _: next(results), self._form)
        for board, values in zip(boards, puts, strict=True):
            for key, value in values.items():
                board.put(key, value)
        return result

    def _in_torch(self, inputs: Inputs) -> tuple[Any, list[dict[Any, Any]]]:
        """Run the module; note what it reads, and keep what it puts on boards."""
        seen = each_argument(_recorded, inputs)
        output = computed(self._torch, seen)
        self._asked = [value.asked for value in values_of(seen) if isinstance(value, RecordedBoard)]
        return output

    def _check(self, tensors: Sequence[Tensor]) -> None:
        if len(tensors) != len(self.sizes):
            raise InputError(
                f"{self.name} was exported for {len(self.sizes)} tensors, got {len(tensors)}; export it again"
            )
        for tensor, sizes in zip(tensors, self.sizes, strict=True):
            if tensor.device.type != "cpu":
                raise InputError(
                    f"{self.name} runs on the CPU alone, got a tensor on {tensor.device}; load it on 'cpu'"
                )
            if any(size not in (None, own) for own, size in zip(tensor.shape, sizes, strict=True)):
                expected = " x ".join("any" if size is None else str(size) for size in sizes)
                raise InputError(
                    f"{self.name} was exported for sizes {expected}, got {' x '.join(map(str, tensor.shape))}; export "
                    "the model without --size, or for this one"
                )


def _recorded(value: Any) -> Any:
    return RecordedBoard(value, puts_on=False) if isinstance(value, Board) else value
