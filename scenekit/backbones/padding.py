"""Padding the windows of a network by half their size: its maps then cover the image, with the same weights."""

from __future__ import annotations

from torch import nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

POOLINGS = (F.max_pool2d, F.avg_pool2d)


def pad_modules(model: nn.Module) -> None:
    """Pad each convolution and pooling of odd size by half of it; poolings no longer round up.

    Windows of even size keep cells of ceil(size / stride) by rounding up.

    Args:
        model: The network, which is changed.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = tuple(_half(kernel) for kernel in module.kernel_size)
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            kernel = module.kernel_size if isinstance(module.kernel_size, int) else module.kernel_size[0]
            module.padding, module.ceil_mode = (_half(kernel), False) if kernel % 2 else (0, True)


def pad_graph(body: nn.Module) -> None:
    """Pad the poolings that a traced network calls as functions.

    Args:
        body: A feature extractor, which has one graph for training and one for evaluation, and is changed.
    """
    graphs = {getattr(body, name) for name in ("train_graph", "eval_graph", "graph") if hasattr(body, name)}
    for node in (node for graph in graphs for node in graph.nodes if node.target in POOLINGS):
        _pad_node(node)
    if isinstance(body, GraphModule):
        body.recompile()


def _pad_node(node: Node) -> None:
    """Set the padding of a pooling, whose size is the second argument or named."""
    kernel = node.kwargs.get("kernel_size", node.args[1] if len(node.args) > 1 else None)
    if isinstance(kernel, int) and kernel % 2:
        node.kwargs = {**node.kwargs, "padding": _half(kernel), "ceil_mode": False}


def _half(kernel: int) -> int:
    return kernel // 2
