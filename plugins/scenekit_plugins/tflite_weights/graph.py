"""Reading of TFLite files: the operators of their graph, and its constants as tensors.

The package `tflite` (Apache-2.0) has the classes of TensorFlow's schema; nothing in a file is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from scenekit.errors import InputError, one_line

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a file."""

ACTIVATIONS = {0: "none", 1: "ReLU", 3: "ReLU6"}
PADDINGS = {0: "SAME", 1: "VALID"}


@dataclass(frozen=True)
class Operator:
    """One operator of the graph; tensors are numbered."""

    kind: str
    """Its name in the schema, such as CONV_2D."""
    inputs: tuple[int, ...]
    """The tensors that it reads; -1 for one that is left out."""
    outputs: tuple[int, ...]
    """The tensors that it computes."""
    stride: tuple[int, int] = (1, 1)
    """Steps of the windows along rows and columns."""
    padding: str = ""
    """Padding of the windows."""
    activation: str = "none"
    """What is applied to the result."""


@dataclass(frozen=True)
class Graph:
    """What a network computes."""

    inputs: tuple[int, ...]
    """Tensors that are given."""
    outputs: tuple[int, ...]
    """Tensors that are the result."""
    operators: tuple[Operator, ...]
    """Operators in an order in which they can run, without those that only dequantize constants."""
    constants: Mapping[int, Tensor]
    """Weights in full precision."""
    names: Mapping[int, str]
    """Names of all tensors."""
    shapes: Mapping[int, tuple[int, ...]]
    """Shapes of all tensors."""

    def producer(self, tensor: int) -> Operator | None:
        """Return the operator that computes a tensor, None for constants and inputs."""
        return next((operator for operator in self.operators if tensor in operator.outputs), None)


def read_graph(file: Path) -> Graph:
    """Load the graph of a TFLite file.

    Args:
        file: Path of the file.

    Returns:
        The graph, with float16 constants in float32.

    Raises:
        InputError: If the package `tflite` is not installed, or the file is damaged or of another format.
    """
    try:
        import tflite
    except ImportError as error:
        raise InputError(f'TFLite files need the package tflite ({error}); pip install "scenekit[tflite]"') from error
    content = file.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise InputError(f"{file}: not a TFLite file, which has the letters {IDENTIFIER.decode()} at byte 4")
    try:
        return _read(tflite, content)
    except Exception as error:  # a damaged file raises errors of many types
        raise InputError(f"{file}: cut off, or not a TFLite file ({one_line(error)}); copy it again") from error


def _read(schema: ModuleType, content: bytes) -> Graph:
    model = schema.Model.GetRootAs(content)
    if model.SubgraphsLength() != 1:
        raise ValueError(f"expected 1 graph, got {model.SubgraphsLength()}")
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    constants = dict(_constants(schema, model, tensors))
    operators = []
    for index in range(graph.OperatorsLength()):
        operator = _operator(schema, model, graph.Operators(index))
        if operator.kind == "DEQUANTIZE" and operator.inputs[0] in constants:
            constants[operator.outputs[0]] = constants[operator.inputs[0]]
        else:
            operators.append(operator)
    return Graph(
        inputs=_numbers(graph.InputsAsNumpy()),
        outputs=_numbers(graph.OutputsAsNumpy()),
        operators=tuple(operators),
        constants=constants,
        names={index: (tensor.Name() or b"").decode(errors="replace") for index, tensor in enumerate(tensors)},
        shapes={index: _numbers(tensor.ShapeAsNumpy()) for index, tensor in enumerate(tensors)},
    )


def _constants(schema: ModuleType, model: Any, tensors: list[Any]) -> Iterator[tuple[int, Tensor]]:
    """Yield the constants of floating point in float32."""
    types = {schema.TensorType.FLOAT32: torch.float32, schema.TensorType.FLOAT16: torch.float16}
    for index, tensor in enumerate(tensors):
        buffer = model.Buffers(tensor.Buffer())
        if tensor.Type() in types and buffer.DataLength():
            values = torch.frombuffer(bytearray(buffer.DataAsNumpy().tobytes()), dtype=types[tensor.Type()])
            yield index, values.reshape(_numbers(tensor.ShapeAsNumpy())).float()


def _operator(schema: ModuleType, model: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = schema.BUILTIN_OPCODE2NAME.get(number, f"operator {number}")
    inputs, outputs = _numbers(operator.InputsAsNumpy()), _numbers(operator.OutputsAsNumpy())
    readers = {
        "CONV_2D": schema.Conv2DOptions,
        "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptions,
        "ADD": schema.AddOptions,
    }
    table = operator.BuiltinOptions()
    if kind not in readers or table is None:
        return Operator(kind, inputs, outputs)
    options = readers[kind]()
    options.Init(table.Bytes, table.Pos)
    number = options.FusedActivationFunction()
    activation = ACTIVATIONS.get(number, f"activation {number}")
    if kind == "ADD":
        return Operator(kind, inputs, outputs, activation=activation)
    if (options.DilationHFactor(), options.DilationWFactor()) != (1, 1):
        kind += " with holes"
    stride = (options.StrideH(), options.StrideW())
    return Operator(kind, inputs, outputs, stride, PADDINGS.get(options.Padding(), "another"), activation)


def _numbers(values: Any) -> tuple[int, ...]:
    """Return the numbers of a vector, which is 0 where the file has none."""
    return tuple(map(int, values)) if hasattr(values, "__len__") else ()
