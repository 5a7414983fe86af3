"""The networks of a model: its largest modules that turn tensors into tensors, and how a pass calls them.

A stage or head whose pass reads and writes a board is one as well where that is all that it does. What is around the
networks (NMS, pooling, decoding, postprocessing) depends on what the images show and stays in Python.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scenekit.runtimes.boards import KeepingBoard, RecordedBoard, as_input, recorded
from scenekit.structures.images import ImageBatch
from scenekit.structures.tensors import map_tensors, tensors_in

Inputs = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments and keyword arguments of a module."""

Sizes = tuple[tuple[int | None, ...], ...]
"""Sizes of each tensor that goes into a network; None for those that are open."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module."""

    inputs: Inputs
    """Its arguments; boards are replaced by what was read from them."""
    output: Any
    """What it returned, and what it put on boards."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that went in."""
        return tuple(tensors_in(self.inputs))


@dataclass(frozen=True, eq=False)
class Network:
    """A module of a model that turns tensors into tensors."""

    name: str
    """Its name in the model, such as "stages.detection.head"."""
    module: nn.Module
    """The module."""
    calls: Sequence[Call]
    """How it was called."""

    @property
    def example(self) -> Call:
        """The call whose shortest side is longest: torch.export takes sides of 0 and 1 for constants."""
        return max(self.calls, key=lambda call: min((size for t in call.tensors for size in t.shape), default=0))

    @property
    def sizes(self) -> Sizes:
        """Sizes of each tensor that goes in; None for those that are open: rows, and what differs between the calls."""
        shapes = zip(*([tensor.shape for tensor in call.tensors] for call in self.calls), strict=True)
        return tuple(
            tuple(own[0] if axis and len(set(own)) == 1 else None for axis, own in enumerate(zip(*sizes, strict=True)))
            for sizes in shapes
        )


def each_argument(function: Callable[[Any], Any], inputs: Inputs) -> Inputs:
    """Return the result of a function for each argument.

    Args:
        function: The function.
        inputs: Arguments.

    Returns:
        The results in the places of the arguments.
    """
    return tuple(map(function, inputs[0])), {name: function(value) for name, value in inputs[1].items()}


def values_of(inputs: Inputs) -> tuple[Any, ...]:
    """Return the arguments without their names.

    Args:
        inputs: Arguments.

    Returns:
        Positional arguments, then the values of keyword arguments.
    """
    return *inputs[0], *inputs[1].values()


def computed(module: Callable[..., Any], inputs: Inputs) -> tuple[Any, list[dict[Any, Any]]]:
    """Call a module.

    Args:
        module: The module.
        inputs: Its arguments.

    Returns:
        What it returns, and what it puts on boards, as `Call.output`.
    """
    arguments, named = inputs
    return with_puts(module(*arguments, **named), inputs)


def with_puts(result: Any, inputs: Inputs) -> tuple[Any, list[dict[Any, Any]]]:
    """Return the result of a module together with what it put on the boards among its arguments.

    Args:
        result: What it returned.
        inputs: Its arguments.

    Returns:
        The result, and the values by key for each board.
    """
    return result, [value.puts for value in values_of(inputs) if isinstance(value, KeepingBoard)]


def networks_of(
    model: nn.Module, run: Callable[[], object], usable: Callable[[Network], bool] = lambda network: True
) -> list[Network]:
    """Return the networks of a model.

    Args:
        model: The model.
        run: Passes of the model, with sizes that differ wherever they may.
        usable: Whether a module can be a network; else those within it are asked for.

    Returns:
        The networks; a layer alone is none, but for convolutions, nor is a module that no pass calls.
    """
    outlines: dict[nn.Module, set[Any]] = {}
    with _observed(model.modules(), lambda module, call: outlines.setdefault(module, set()).add(_outline_of(call))):
        run()
    networks: list[Network] = []
    left = dict(_within("", model, outlines))
    while left:
        largest = with_calls(left, run)
        refused = [network for network in largest if not usable(network)]
        networks += [network for network in largest if network not in refused]
        left = {name: module for network in refused for name, module in _within(network.name, network.module, outlines)}
    return networks


def with_calls(modules: Mapping[str, nn.Module], run: Callable[[], object]) -> list[Network]:
    """Return modules with their calls in some passes.

    Args:
        modules: The modules by name.
        run: The passes.

    Returns:
        The modules, in their order.
    """
    calls: dict[nn.Module, list[Call]] = {module: [] for module in modules.values()}

    def keep(module: nn.Module, call: Call) -> None:
        calls[module].append(map_tensors(Tensor.clone, call))  # later modules may overwrite what it returns

    with _observed(modules.values(), keep):
        run()
    return [Network(name, module, calls[module]) for name, module in modules.items()]


def _within(name: str, module: nn.Module, outlines: Mapping[nn.Module, set[Any]]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the largest modules within one whose calls have tensors on both sides and differ in these alone."""
    for child, inner in module.named_children():
        place = f"{name}.{child}".lstrip(".")
        alike = len(outlines.get(inner, ())) == 1 and None not in outlines[inner]
        if alike and _is_worthwhile(inner):
            yield place, inner
        else:
            yield from _within(place, inner, outlines)


def _is_worthwhile(module: nn.Module) -> bool:
    """Return whether a module is more than one cheap layer, which a runtime would run no faster."""
    parameters = list(module.parameters())
    layers = any(True for _ in module.children())
    return any(parameter.dim() > 2 for parameter in parameters) or (bool(parameters) and layers)


@contextmanager
def _observed(modules: Iterable[nn.Module], observe: Callable[[nn.Module, Call], object]) -> Iterator[None]:
    """Call a function with each call of some modules."""

    def before(module: nn.Module, arguments: Any, named: Any) -> Any:
        return each_argument(recorded, (arguments, named))

    def after(module: nn.Module, arguments: Any, named: Any, result: Any) -> None:
        inputs = (arguments, named)
        observe(module, Call(each_argument(_replayed, inputs), with_puts(result, inputs)))

    with ExitStack() as stack, torch.no_grad():
        for module in modules:
            stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(after, with_kwargs=True).remove)
        yield


def _replayed(value: Any) -> Any:
    return value.replayed if isinstance(value, RecordedBoard) else as_input(value)


def _outline_of(call: Call) -> Any:
    """Return all about a call but sizes and values of its tensors; None where no tensors go in or come out."""
    if not call.tensors or not any(True for _ in tensors_in(call.output)):
        return None
    return outline((call.inputs, call.output))


def outline(value: Any) -> Any:
    """Return the structure of a nested value, its constants, and types and numbers of dimensions of its tensors.

    Args:
        value: The value.

    Returns:
        Something to compare and hash.
    """
    if isinstance(value, Tensor):
        return str(value.dtype), value.dim()
    if isinstance(value, ImageBatch):
        return ImageBatch  # sizes of images differ as those of tensors do
    if isinstance(value, Mapping):
        return tuple((str(key), outline(entry)) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(outline, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), *(outline(getattr(value, field.name)) for field in dataclasses.fields(value))
    return repr(value)
