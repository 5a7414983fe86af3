"""Gradient checkpointing: activations are computed again in the backward pass instead of kept.

Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016. Between the parts of a network its maps are kept; what
a part computes within is not. Losses, gradients and running statistics are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.utils.checkpoint import checkpoint

from scenekit.errors import InputError
from scenekit.structures.tensors import tensors_in

LAYERS = 10
"""Layers with weight matrices or kernels of a part: three bottlenecks of a ResNet, two blocks of a transformer."""


class ChangedInputError(InputError):
    """A module changes its input in place, so that its activations cannot be computed again."""


def parts(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of a network: the outermost modules with at most `LAYERS` layers, but more than one.

    Args:
        network: The network.

    Yields:
        Modules that are not within each other.
    """
    for child in network.children():
        layers = _layers(child)
        if layers > LAYERS or isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from parts(child)
        elif layers > 1:
            yield child


@contextmanager
def checkpointing(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let modules keep no activations for the backward pass, within the context.

    Args:
        modules: Modules, none within another. One that comes twice, or is within such a context, is wrapped once.
    """
    own = {module: vars(module).get("forward") for module in modules}
    own = {module: forward for module, forward in own.items() if not isinstance(forward, _Checkpointed)}
    for module in own:
        module.forward = _Checkpointed(module, module.forward)
    try:
        yield
    finally:
        for module, forward in own.items():
            del module.forward  # the one of its class is in its place again
            if forward is not None:
                module.forward = forward


@dataclass(frozen=True)
class _Checkpointed:
    """The forward pass of a module, whose activations are not kept."""

    module: nn.Module
    function: Callable[..., Any]

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.function(*inputs, **named)
        before = [(tensor, tensor._version) for tensor in tensors_in((inputs, named))]
        outputs = checkpoint(self.function, *inputs, use_reentrant=False, context_fn=self._contexts, **named)
        if any(tensor._version != version for tensor, version in before):
            raise ChangedInputError(
                f"{type(self.module).__name__} changes its input in place, so that its activations cannot be computed "
                "again; keep them, or let it change a copy"
            )
        return outputs

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), _KeptBuffers(self.module)


class _KeptBuffers:
    """Within the context a module changes copies of its buffers, such as the running statistics of batch norm.

    It may be entered again: each backward pass through one graph computes activations anew.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.kept: list[tuple[nn.Module, dict[str, Tensor | None]]] = []

    def __enter__(self) -> None:
        self.kept = [(module, dict(module._buffers)) for module in self.module.modules()]
        for module, buffers in self.kept:
            module._buffers.update({name: value if value is None else value.clone() for name, value in buffers.items()})

    def __exit__(self, *error: object) -> None:
        for module, buffers in self.kept:
            module._buffers.update(buffers)


@dataclass(frozen=True, eq=False)
class TracedParts:
    """A traced network as a chain of parts, each of which reads values of those before."""

    entry: Node
    """The input of the network."""
    parts: Sequence[tuple[Sequence[Node], nn.Module, Sequence[Node]]]
    """Of each part what it reads, the part, and what others or the caller read of it."""
    outputs: dict[str, Node]
    """What the network returns."""

    @classmethod
    def of(cls, graph: Graph, body: nn.Module) -> TracedParts:
        """Cut a network; its modules and parameters are shared, not copied.

        Args:
            graph: What it computes: values by name, from one input.
            body: Its modules.

        Returns:
            Its parts.
        """
        nodes = list(graph.nodes)
        entry = next(node for node in nodes if node.op == "placeholder")
        returned = next(node for node in nodes if node.op == "output")
        pieces = _pieces([node for node in nodes if node.op not in ("placeholder", "get_attr", "output")], body)
        return cls(entry, [_part(piece, body) for piece in pieces], returned.args[0])

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Run the network.

        Args:
            pixels: The input.

        Returns:
            Its outputs by name.
        """
        values: dict[Node, Any] = {self.entry: pixels}
        for reads, part, gives in self.parts:
            values.update(zip(gives, part(*(values[node] for node in reads)), strict=True))
        return {name: values[node] for name, node in self.outputs.items()}


def _pieces(nodes: Sequence[Node], body: nn.Module) -> list[list[Node]]:
    """Cut nodes before layers that read a single value: at each output of the network, and every `LAYERS` layers."""
    pieces: list[list[Node]] = [[]]
    layers = 0
    for place, node in enumerate(nodes):
        own = _layers(body.get_submodule(str(node.target))) if node.op == "call_module" else 0
        full = layers >= LAYERS or any(user.op == "output" for earlier in pieces[-1] for user in earlier.users)
        if own and full and layers > 1 and _crossing(nodes, place) == 1:
            pieces.append([])
            layers = 0
        layers += own
        pieces[-1].append(node)
    return pieces


def _crossing(nodes: Sequence[Node], place: int) -> int:
    """Return how many values of the nodes before a place are read by those after it."""
    later = set(nodes[place:])
    return sum(not later.isdisjoint(node.users) for node in nodes[:place])


def _part(piece: Sequence[Node], body: nn.Module) -> tuple[Sequence[Node], nn.Module, Sequence[Node]]:
    """Return what nodes read of others, a module of these nodes, and what others read of them."""
    own = set(piece)
    others = dict.fromkeys(read for node in piece for read in node.all_input_nodes if read not in own)
    reads = [node for node in others if node.op != "get_attr"]
    gives = [node for node in piece if not own.issuperset(node.users)]
    graph = Graph()
    copied = {node: graph.placeholder(node.name) for node in reads}
    for node in (*(node for node in others if node.op == "get_attr"), *piece):
        copied[node] = graph.node_copy(node, copied.__getitem__)
    graph.output(tuple(copied[node] for node in gives))
    return reads, GraphModule(body, graph), gives


def _layers(module: nn.Module) -> int:
    """Return the number of layers with weight matrices or kernels."""
    own = (any(parameter.dim() > 1 for parameter in each.parameters(recurse=False)) for each in module.modules())
    return sum(own)
