"""What runs a network of a model in place of torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from scenekit.errors import InputError, ScenekitError, one_line, warn_once
from scenekit.model.board import Board
from scenekit.runtimes.boards import RecordedBoard, as_input, recorded
from scenekit.runtimes.networks import Inputs, Sizes, computed, each_argument, values_of
from scenekit.structures.tensors import map_tensors, tensors_in

_log = logging.getLogger(__name__)

Runner = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""From the tensors that go in to those that come out."""


class ReplacedForward:
    """The forward of a module that another runtime computes.

    The module itself computes what the runtime cannot: training, passes that record gradients, tensors without rows,
    and all passes after its weights were changed. Changes through `weight.data` are not noticed: torch does not count
    them. A copy, pickled ones included, opens the network for itself.

    Args:
        name: The module's name in the model.
        module: The module; its results at the first call show how those of the runtime are nested.
        load: Returns what runs it; called at first use.
        sizes: The sizes that it takes.
    """

    elsewhere = True
    """By this `sk.cost` knows that torch counts neither operations nor memory."""

    def __init__(self, name: str, module: nn.Module, load: Callable[[], Runner], sizes: Sizes) -> None:
        self.name, self.sizes = name, sizes
        self._module, self._torch, self._load = module, module.forward, load
        self._changes: list[tuple[int, int]] | None = _changes(_weights(module))
        self._form: Any = None
        self._asked: list[list[Callable[[Board], Any]]] = []

    def __getstate__(self) -> dict[str, Any]:
        # The weights go along: the module of a copy, which is copied at the same time, may not have its own yet.
        weights = _weights(self._module) if self.is_current else None
        state = {**vars(self), "_changes": weights, "_form": None, "_asked": []}
        state.pop("runner", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._changes = None if state["_changes"] is None else _changes(state["_changes"])

    @property
    def is_current(self) -> bool:
        """Whether the module still has the weights with which it was exported."""
        return self._changes == _changes(_weights(self._module))

    def moved_to(self, module: nn.Module) -> ReplacedForward:
        """Return the forward of another module with the same weights.

        Args:
            module: The module.

        Returns:
            Its forward in this runtime.
        """
        return ReplacedForward(self.name, module, self._load, self.sizes)

    @cached_property
    def runner(self) -> Runner:
        """What runs it."""
        return self._load()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the network.

        Args:
            arguments: As those of the module.
            named: Its keyword arguments.

        Returns:
            What the module would return; what it would put on a board is there.

        Raises:
            InputError: The runtime fails, or a tensor is not in float32 on the CPU, or of a size that the network was
                not exported for.
        """
        if self._needs_torch():
            return self._torch(*arguments, **named)
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
            results = iter(self._run(tensors))
            result, puts = map_tensors(lambda _: next(results), self._form)
        for board, values in zip(boards, puts, strict=True):
            for key, value in values.items():
                board.put(key, value)
        return result

    def _needs_torch(self) -> bool:
        """Return whether this pass is one that a runtime with fixed weights and without gradients would get wrong."""
        if self._module.training:
            return True
        if torch.is_grad_enabled():
            warn_once(_log, "torch runs exported networks where gradients are recorded; call the model in no_grad()")
            return True
        if self.is_current:
            return False
        warn_once(_log, "torch runs exported networks whose weights have changed since; export the model again")
        return True

    def _in_torch(self, inputs: Inputs) -> tuple[Any, list[dict[Any, Any]]]:
        """Run the module; note what it reads, and keep what it puts on boards."""
        noted = each_argument(partial(recorded, puts_on=False), inputs)
        output = computed(self._torch, noted)
        self._asked = [value.asked for value in values_of(noted) if isinstance(value, RecordedBoard)]
        return output

    def _run(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return what the runtime computes; only runtimes know which errors they raise."""
        try:
            results = list(self.runner(tensors))
        except ScenekitError:
            raise
        except Exception as error:
            raise InputError(f"{self.name}: its runtime fails ({one_line(error)}); export the model again") from error
        expected = sum(1 for _ in tensors_in(self._form))
        if len(results) != expected:
            raise InputError(f"{self.name}: expected {expected} results, got {len(results)}; export the model again")
        return results

    def _check(self, tensors: Sequence[Tensor]) -> None:
        if len(tensors) != len(self.sizes):
            raise InputError(
                f"{self.name} was exported for {len(self.sizes)} tensors, got {len(tensors)}; export it again"
            )
        for tensor, sizes in zip(tensors, self.sizes, strict=True):
            if tensor.device.type != "cpu":
                raise InputError(
                    f"{self.name} runs on the CPU alone, got a tensor on {tensor.device}; move the model: .to('cpu')"
                )
            if tensor.is_floating_point() and tensor.dtype != torch.float32:
                raise InputError(f"{self.name} runs in float32, got {tensor.dtype}; convert the model: .float()")
            if any(size not in (None, own) for own, size in zip(tensor.shape, sizes, strict=True)):
                expected = " x ".join("any" if size is None else str(size) for size in sizes)
                raise InputError(
                    f"{self.name} was exported for sizes {expected}, got {' x '.join(map(str, tensor.shape))}; export "
                    "the model without --size, or for this one"
                )


@contextmanager
def in_torch(model: nn.Module) -> Iterator[None]:
    """Let torch run all networks of a model within the context.

    Args:
        model: The model, such as one whose networks are exported.

    Yields:
        Nothing.
    """
    modules = [module for module in model.modules() if is_replaced(module)]
    replaced = [vars(module).pop("forward") for module in modules]
    try:
        yield
    finally:
        for module, forward in zip(modules, replaced, strict=True):
            module.forward = forward


def is_replaced(module: nn.Module) -> bool:
    """Return whether another runtime computes a module.

    Args:
        module: The module itself; those within it do not count.

    Returns:
        Whether it does.
    """
    return isinstance(vars(module).get("forward"), ReplacedForward)


def _weights(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _changes(weights: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Return which tensors these are, and how often each was changed in place, not counted in inference mode."""
    return [(id(weight), 0 if weight.is_inference() else weight._version) for weight in weights]
