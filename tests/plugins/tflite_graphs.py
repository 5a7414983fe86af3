"""Graphs as the TFLite converter writes them, with random weights, and an interpreter that runs them step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from scenekit_plugins.tflite_weights.graph import Graph, Operator
from scenekit_plugins.tflite_weights.ssd_mobilenet_v2 import PREDICTING, layers

CHANNELS = (16, 24, 24, *(32,) * 3, *(64,) * 4, *(96,) * 3, *(160,) * 3, 320)
"""Outputs of each block of MobileNetV2."""

FURTHER = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Outputs of the convolutions of each further map."""


@dataclass
class Writer:
    """Collects operators."""

    operators: list[Operator] = field(default_factory=list)
    constants: dict[int, Tensor] = field(default_factory=dict)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    count: int = 1

    def tensor(self, shape: tuple[int, ...] = ()) -> int:
        self.count += 1
        self.shapes[self.count] = shape
        return self.count

    def constant(self, value: Tensor) -> int:
        number = self.tensor(tuple(value.shape))
        self.constants[number] = value
        return number

    def convolution(
        self, source: int, before: int, after: int, kernel: int, stride: int, activation: str, depthwise: bool = False
    ) -> int:
        shape = (1, kernel, kernel, after) if depthwise else (after, kernel, kernel, before)
        deviation = math.sqrt(2 / (kernel**2 * (1 if depthwise else before)))
        inputs = (source, self.constant(torch.randn(shape) * deviation), self.constant(torch.randn(after) * 0.1))
        output = self.tensor()
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self.operators.append(Operator(kind, inputs, (output,), (stride, stride), "SAME", activation))
        return output

    def shaped(self, kind: str, inputs: tuple[int, ...], shape: tuple[int, ...] = ()) -> int:
        output = self.tensor(shape)
        self.operators.append(Operator(kind, inputs, (output,)))
        return output


def ssd_mobilenet_v2(columns: int) -> Graph:
    """The network with `columns` class logits of each box, background first."""
    writer, maps = Writer(), []
    current, block, channels = 0, 0, 3
    widths, further = iter(CHANNELS), iter(width for pair in FURTHER for width in pair)
    for layer in layers():
        depthwise = layer.kind != "CONV_2D"
        if depthwise:
            after = channels
        elif layer.activation == "none":
            after = next(widths)
        elif layer.norm is None:
            after = next(further)
        else:
            after = {3: 32, 320: 1280}.get(channels, 6 * channels)
        kernel = 3 if depthwise or layer.stride == 2 else 1
        current = writer.convolution(current, channels, after, kernel, layer.stride, layer.activation, depthwise)
        channels = after
        if layer.name in PREDICTING:
            maps.append((current, channels))
        if layer.added:
            current = writer.shaped("ADD", (block, current))
        if layer.activation == "none":
            block = current
    ends: dict[int, list[int]] = {4: [], columns: []}
    for level, (source, width) in enumerate(maps):
        for size, parts in ends.items():
            rows = (3 if level == 0 else 6) * size
            parts.append(
                writer.shaped("RESHAPE", (writer.convolution(source, width, rows, 1, 1, "none"),), (1, -1, size))
            )
    outputs = tuple(writer.shaped("CONCATENATION", tuple(parts), (1, -1, size)) for size, parts in ends.items())
    names = dict.fromkeys(range(writer.count + 1), "") | {number: f"tensor {number}" for number in writer.shapes}
    return Graph((0,), outputs, tuple(writer.operators), writer.constants, names, {0: (), 1: (), **writer.shapes})


def run(graph: Graph, pixels: Tensor) -> list[Tensor]:
    """The outputs for pixels [1 H W 3], as TensorFlow defines each operator."""
    values: dict[int, Tensor] = {graph.inputs[0]: pixels}
    for operator in graph.operators:
        values[operator.outputs[0]] = _result(operator, values | dict(graph.constants), graph.shapes)
    return [values[output] for output in graph.outputs]


def _result(operator: Operator, values: Mapping[int, Tensor], shapes: Mapping[int, tuple[int, ...]]) -> Tensor:
    inputs = [values[number] for number in operator.inputs]
    if operator.kind == "ADD":
        return inputs[0] + inputs[1]
    if operator.kind == "CONCATENATION":
        return torch.cat(inputs, dim=1)
    if operator.kind == "RESHAPE":
        return inputs[0].reshape(shapes[operator.outputs[0]])
    features, weight, bias = inputs
    groups = 1
    if operator.kind == "DEPTHWISE_CONV_2D":
        weight, groups = weight.permute(3, 1, 2, 0), features.shape[3]  # [out h w 1]
    padding: list[int] = []
    for size, kernel, stride in zip(features.shape[2:0:-1], weight.shape[2:0:-1], operator.stride, strict=True):
        total = max(kernel - (stride if size % stride == 0 else size % stride), 0)  # TensorFlow's own notation
        padding += [total // 2, total - total // 2]
    padded = F.pad(features.permute(0, 3, 1, 2), padding)
    result = F.conv2d(padded, weight.permute(0, 3, 1, 2), bias, operator.stride, groups=groups).permute(0, 2, 3, 1)
    return result.clamp(0, 6) if operator.activation == "ReLU6" else result
