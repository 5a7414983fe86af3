"""SSD-MobileNetV2 of TensorFlow's object detection API: from the graph of a TFLite file to our parameters.

TensorFlow's converter merges names of equal constants, so that layers are identified by their order: the convolutions
between input and outputs are those of our network one by one, each reads what the one before computed, and the
predictors of a map read that map.

Letters: A default boxes per cell, K columns of class logits, background first in the file and last here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.weights.checkpoint import fill
from scenekit_plugins import coco
from scenekit_plugins.tflite_weights.graph import Graph, Operator

NAME = "SSD-MobileNetV2 of TensorFlow's object detection API"

CONFIG: Mapping[str, Any] = {
    "input": {
        "fixed_size": [300, 300],
        "min_size": 300,
        "max_size": 300,
        "divisor": 1,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "resampling": "plain",
    },
    "backbone": {
        "name": "mobilenet_v2",
        "options": {
            "norm": "frozen",
            "padding": "tensorflow",
            "trained_side": 300,
            # Strides 4 to 32. Those of 16 and 32 predict; the others are there for a pyramid.
            "levels": ["features.3", "features.6", "features.14.conv.0", "features.18"],
        },
    },
    "pyramid": None,
    "detector": "ssd",
    "detector_options": {
        "preset": "tensorflow",
        "norm": None,  # the file has batch norm folded into convolutions
        "trained_side": 300,
    },
}

EPS = 1e-5
"""What the frozen batch norms of the trunk add to the variance."""

BLOCKS = ((1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1))
"""Expansion, number and first stride of the blocks (Sandler et al., MobileNetV2, 2018, table 2)."""

TRUNK, MAPS = "stages.backbone.net.backbone.body.features.", "stages.ssd.maps.extra."

PREDICTING = (f"{TRUNK}14.conv.0.0", f"{TRUNK}18.0", *(f"{MAPS}{number}.2" for number in range(4)))
"""The layers whose results are the maps that predict."""

ORDER: Mapping[int, tuple[int, ...]] = {3: (0, 1, 2), 6: (0, 5, 1, 2, 3, 4)}
"""Place in the file of each of our default boxes, by their number A: there the second square is the last one."""


@dataclass(frozen=True)
class Layer:
    """A convolution of our network."""

    name: str
    """Name of its parameters."""
    norm: str | None = None
    """Name of those of the batch norm behind it; None for a convolution with a bias."""
    stride: int = 1
    """Steps of its windows."""
    kind: str = "CONV_2D"
    """Its operator."""
    activation: str = "ReLU6"
    """What is applied to the result."""
    added: bool = False
    """Whether the input of its block is added to the result."""


def layers() -> Iterator[Layer]:
    """Yield the convolutions of the trunk and of further maps, in the order in which they run.

    Yields:
        The convolutions.
    """
    yield Layer(f"{TRUNK}0.0", f"{TRUNK}0.1", stride=2)
    number = 0
    for expansion, count, stride in BLOCKS:
        for repeat in range(count):
            number += 1
            block, depthwise = f"{TRUNK}{number}.conv.", int(expansion > 1)
            if expansion > 1:
                yield Layer(f"{block}0.0", f"{block}0.1")
            step = stride if repeat == 0 else 1
            yield Layer(f"{block}{depthwise}.0", f"{block}{depthwise}.1", step, kind="DEPTHWISE_CONV_2D")
            projection = f"{block}{depthwise + 1}", f"{block}{depthwise + 2}"
            yield Layer(*projection, activation="none", added=repeat > 0)
    yield Layer(f"{TRUNK}18.0", f"{TRUNK}18.1")
    for number in range(4):
        yield Layer(f"{MAPS}{number}.0")
        yield Layer(f"{MAPS}{number}.2", stride=2)


def model_of(graph: Graph, file: Path) -> SceneModel:
    """Build the model of a graph.

    Args:
        graph: The graph.
        file: Its file, for error messages.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the graph is of another network.
    """
    reader = _Reader(graph, file)
    boxes, classes = reader.predictors()
    maps, state = reader.trunk({operator.outputs for operator in (*boxes, *classes)})
    columns = reader.columns(classes)
    state |= reader.predictions("offsets", boxes, maps, lambda rows: rows[:, [1, 0, 3, 2]])  # y x h w there
    state |= reader.predictions("classification", classes, maps, lambda rows: rows.roll(-1, dims=1))
    model = build(ModelConfig.model_validate(CONFIG), coco.vocabulary(coco.THINGS_BY_ID, columns - 1, None))
    fill(model, state, f"{file}: differs from {NAME}")
    return model.eval()


@dataclass(frozen=True)
class _Reader:
    """Reads a graph in the order of our layers."""

    graph: Graph
    file: Path

    def refuse(self, reason: str) -> NoReturn:
        raise InputError(f"{self.file}: not {NAME}: {reason}")

    def predictors(self) -> tuple[list[Operator], list[Operator]]:
        """Return the convolutions of each map that predict boxes, and those that predict classes."""
        outputs = self.graph.outputs
        if len(outputs) != 2 or self.graph.shapes[outputs[0]][-1:] != (4,):
            shapes = ", ".join(str(list(self.graph.shapes[output])) for output in outputs)
            self.refuse(f"expected box encodings [1, N, 4] and class logits [1, N, K] as outputs, got {shapes}")
        boxes, classes = ([self._before(tensor, "CONV_2D") for tensor in self._joined(output)] for output in outputs)
        return boxes, classes

    def _joined(self, output: int) -> tuple[int, ...]:
        maps = self._before(output, "CONCATENATION").inputs
        if len(maps) != len(PREDICTING):
            self.refuse(f"expected predictions of {len(PREDICTING)} maps, got {len(maps)}")
        return maps

    def _before(self, tensor: int, kind: str) -> Operator:
        """Return the operator that computes a tensor, whatever its shape is made of it."""
        operator = self.graph.producer(tensor)
        while operator is not None and operator.kind == "RESHAPE":
            operator = self.graph.producer(operator.inputs[0])
        if operator is None or operator.kind != kind:
            self.refuse(f"expected {kind} before {self.graph.names[tensor]!r}, got {_described(operator)}")
        return operator

    def trunk(self, predictors: set[tuple[int, ...]]) -> tuple[list[int], dict[str, Tensor]]:
        """Return the maps that predict, and the parameters of the trunk and of further maps."""
        skipped = ("RESHAPE", "CONCATENATION")
        steps = (
            operator
            for operator in self.graph.operators
            if operator.outputs not in predictors and operator.kind not in skipped
        )
        state: dict[str, Tensor] = {}
        maps: list[int] = []
        current = block = self.graph.inputs[0]
        for layer in layers():
            operator = self._step(steps, layer, current)
            state |= self._parameters(operator, layer)
            current = operator.outputs[0]
            if layer.name in PREDICTING:
                maps.append(current)
            if layer.added:
                current = self._addition(steps, layer, {current, block})
            if layer.activation == "none":
                block = current
        if (more := next(steps, None)) is not None:
            self.refuse(f"expected no more than its layers, got {_described(more)}")
        return maps, state

    def _step(self, steps: Iterator[Operator], layer: Layer, source: int) -> Operator:
        """Return the next operator, which is that of the layer."""
        operator = next(steps, None)
        expected = Operator(layer.kind, (), (), (layer.stride,) * 2, "SAME", layer.activation)
        if operator is None or operator.inputs[0] != source or _described(operator) != _described(expected):
            self.refuse(
                f"expected {_described(expected)} on the result of the layer before as {layer.name}, got "
                f"{_described(operator)}"
            )
        return operator

    def _addition(self, steps: Iterator[Operator], layer: Layer, summands: set[int]) -> int:
        """Return the sum of a block's input and its result."""
        operator = next(steps, None)
        if operator is None or operator.kind != "ADD" or {*operator.inputs} != summands:
            self.refuse(f"expected ADD of the block's input behind {layer.name}, got {_described(operator)}")
        return operator.outputs[0]

    def _parameters(self, operator: Operator, layer: Layer) -> dict[str, Tensor]:
        """Return the parameters of a layer; a batch norm that does nothing has the bias."""
        weight, bias = self._weights(operator)
        if layer.norm is None:
            return {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
        ones = torch.ones_like(bias)
        return {
            f"{layer.name}.weight": weight,
            f"{layer.norm}.weight": ones,
            f"{layer.norm}.bias": bias,
            f"{layer.norm}.running_mean": torch.zeros_like(bias),
            f"{layer.norm}.running_var": ones - EPS,
        }

    def _weights(self, operator: Operator) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a convolution in the order of torch's axes."""
        constants = self.graph.constants
        name = self.graph.names[operator.outputs[0]]
        if any(tensor not in constants for tensor in operator.inputs[1:]):
            self.refuse(f"the weights of {name!r} are not float16 or float32; quantized networks are not converted")
        weight, bias = (*(constants[tensor] for tensor in operator.inputs[1:]), *[torch.zeros(0)] * 2)[:2]
        if weight.ndim != 4 or bias.ndim != 1:
            self.refuse(f"the weights of {name!r} have shapes {list(weight.shape)} and {list(bias.shape)}")
        # [out h w in], and [1 h w out] of depthwise convolutions
        return weight.permute((3, 0, 1, 2) if operator.kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)), bias

    def columns(self, classes: Sequence[Operator]) -> int:
        """Return the number K of class logits of each default box, which the last map shows."""
        rows, boxes = len(self._weights(classes[-1])[1]), len(ORDER[6])
        if rows % boxes or rows < 2 * boxes:
            self.refuse(f"expected logits of {boxes} boxes per cell, background among the classes, got {rows} numbers")
        return rows // boxes

    def predictions(
        self,
        name: str,
        predictors: Sequence[Operator],
        maps: Sequence[int],
        rearrange: Callable[[Tensor], Tensor],
    ) -> dict[str, Tensor]:
        """Return the parameters of the convolutions that predict: rows by column, then default box.

        Args:
            name: Our name of the layers.
            predictors: The convolutions of each map.
            maps: What each must read.
            rearrange: Function from parameters [A, columns, ...] to those in our order of columns.
        """
        state: dict[str, Tensor] = {}
        for level, (operator, source) in enumerate(zip(predictors, maps, strict=True)):
            if operator.inputs[0] != source:
                self.refuse(f"{self.graph.names[operator.outputs[0]]!r} reads another map than {PREDICTING[level]}")
            order = ORDER[3 if level == 0 else 6]
            for part, rows in zip(("weight", "bias"), self._weights(operator), strict=True):
                if len(rows) % len(order):
                    self.refuse(f"expected {len(order)} boxes per cell of map {level + 1}, got {len(rows)} rows")
                by_box = rows.reshape(len(order), -1, *rows.shape[1:])[list(order)]
                state[f"stages.ssd.{name}.{level}.{part}"] = rearrange(by_box).transpose(0, 1).flatten(0, 1)
        return state


def _described(operator: Operator | None) -> str:
    if operator is None:
        return "nothing"
    if not operator.padding:
        return operator.kind
    step = operator.stride[0] if operator.stride[0] == operator.stride[1] else operator.stride
    return f"{operator.kind} of stride {step}, padding {operator.padding} and activation {operator.activation}"
