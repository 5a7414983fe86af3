"""Padding the windows of a network otherwise than its library does, with the same weights.

By half of each window's size, maps cover the image; as in TensorFlow, they are those that its weights were trained on.

Letters: B images, C channels, H W cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from scenekit.errors import InputError

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
    for node in _poolings(body):
        _pad_node(node)
    if isinstance(body, GraphModule):
        body.recompile()


def _poolings(body: nn.Module) -> list[Node]:
    """Return the poolings that a traced network calls as functions."""
    graphs = {getattr(body, name) for name in ("train_graph", "eval_graph", "graph") if hasattr(body, name)}
    return [node for graph in graphs for node in graph.nodes if node.target in POOLINGS]


def _pad_node(node: Node) -> None:
    """Set the padding of a pooling, whose size is the second argument or named."""
    kernel = node.kwargs.get("kernel_size", node.args[1] if len(node.args) > 1 else None)
    if isinstance(kernel, int) and kernel % 2:
        node.kwargs = {**node.kwargs, "padding": _half(kernel), "ceil_mode": False}


def _half(kernel: int) -> int:
    return kernel // 2


class TensorflowConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding "SAME"; its own `padding` is not used.

    Attributes:
        begins: Cells of padding before rows and columns, where they do not depend on the size.
    """

    begins: tuple[int, int] | None = None

    def forward(self, input: Float[Tensor, "B _ _ _"]) -> Float[Tensor, "B _ _ _"]:
        """Pad and convolve.

        Args:
            input: Features.

        Returns:
            Features of ceil(size / stride) cells along each axis.
        """
        ends = tensorflow_padding(input.shape[2:], self.kernel_size, self.stride, self.dilation, self.begins)
        even, rest = _divided(ends)
        padded = F.pad(input, rest) if any(rest) else input
        return F.conv2d(padded, self.weight, self.bias, self.stride, even, self.dilation, self.groups)


class TensorflowMaxPool2d(nn.MaxPool2d):
    """A max pooling with TensorFlow's padding "SAME"; its own `padding` and `ceil_mode` are not used.

    Attributes:
        begins: Cells of padding before rows and columns, where they do not depend on the size.
    """

    begins: tuple[int, int] | None = None

    def forward(self, input: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B C _ _"]:
        """Pad and pool.

        Args:
            input: Features.

        Returns:
            Features of ceil(size / stride) cells along each axis.
        """
        kernel, stride, dilation = (_pair(value) for value in (self.kernel_size, self.stride, self.dilation))
        even, rest = _divided(tensorflow_padding(input.shape[2:], kernel, stride, dilation, self.begins))
        padded = F.pad(input, rest, value=-torch.inf) if any(rest) else input
        pooled: Tensor = F.max_pool2d(padded, kernel, stride, even, dilation)
        return pooled


Ends = tuple[tuple[int, int], tuple[int, int]]
"""Cells of padding before and behind rows, and before and behind columns."""


def tensorflow_padding(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    begins: Sequence[int] | None = None,
) -> Ends:
    """Return how TensorFlow's "SAME" pads windows: (ceil(n / s) - 1) s + (k - 1) d + 1 - n cells in all, if positive.

    Half of them, rounded down, come before the first cell and the others behind the last. Windows of 3 cells and
    stride 2 are so padded at the right and bottom alone where the size is even.

    Args:
        size: Height and width n of the map that the windows see.
        kernel: Height and width k of the windows.
        stride: Steps s between them.
        dilation: Steps d between their cells.
        begins: Cells before rows and columns, in place of the half.

    Returns:
        The padding before and behind, along rows and along columns.
    """
    ends = []
    for axis, (cells, window, step, hole) in enumerate(zip(size, kernel, stride, dilation, strict=True)):
        total = max((-(-cells // step) - 1) * step + (window - 1) * hole + 1 - cells, 0)
        before = total // 2 if begins is None else begins[axis]
        ends.append((before, max(total - before, 0)))
    rows, columns = ends
    return rows, columns


def begin_as_in(model: nn.Module, run: Callable[[], object]) -> None:
    """Let the windows of a network with TensorFlow's padding begin on maps of all sizes where they do in one run.

    Where windows begin depends on whether sizes are even, so that on images of another size than those of its training
    a network would see everything shifted.

    Args:
        model: The network, which is changed.
        run: Function that runs it on an image of the size of its training.
    """

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, TensorflowConv2d | TensorflowMaxPool2d)
        windows = (_pair(value) for value in (module.kernel_size, module.stride, module.dilation))
        (top, _), (left, _) = tensorflow_padding(inputs[0].shape[2:], *windows)
        module.begins = (top, left)

    padded = [module for module in model.modules() if isinstance(module, TensorflowConv2d | TensorflowMaxPool2d)]
    hooks = [module.register_forward_pre_hook(keep) for module in padded]
    run()
    for hook in hooks:
        hook.remove()


def _divided(ends: Ends) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Return the padding of both sides along rows and columns if it is even, else what is to be padded before."""
    (top, bottom), (left, right) = ends
    if (top, left) == (bottom, right):
        return (top, left), (0, 0, 0, 0)
    return (0, 0), (left, right, top, bottom)


def pad_like_tensorflow(model: nn.Module) -> None:
    """Replace convolutions and max poolings by those with TensorFlow's padding; parameters keep their names.

    Args:
        model: The network, which is changed; a traced one after tracing.

    Raises:
        InputError: If it has average poolings of windows, or calls poolings as functions, whose padding differs.
    """
    if _poolings(model) or any(isinstance(module, nn.AvgPool2d) for module in model.modules()):
        raise InputError(
            "backbone padding 'tensorflow': this network has poolings that cannot be padded so; choose one of "
            "convolutions and max poolings, such as mobilenet_v2 or resnet50"
        )
    for name, module in list(model.named_modules()):
        if type(module) is nn.Conv2d:
            model.set_submodule(name, _convolution(module))
        elif type(module) is nn.MaxPool2d:
            model.set_submodule(name, TensorflowMaxPool2d(module.kernel_size, module.stride, dilation=module.dilation))


def _convolution(module: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution with the same parameters."""
    padded = TensorflowConv2d(
        module.in_channels,
        module.out_channels,
        kernel_size=_pair(module.kernel_size),
        stride=_pair(module.stride),
        dilation=_pair(module.dilation),
        groups=module.groups,
        bias=module.bias is not None,
        device="meta",
    )
    padded.weight, padded.bias = module.weight, module.bias
    return padded


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
