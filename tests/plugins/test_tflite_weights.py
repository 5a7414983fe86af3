"""SSD-MobileNetV2 from TFLite files, held against the interpreter's outputs and a graph that is run step by step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import scenekit as sk
from scenekit.config import merged
from scenekit.detection.one_stage.predictions import Predictions
from scenekit.errors import InputError
from scenekit.recipe import ModelConfig
from scenekit.structures import ImageBatch
from scenekit.training.freezing import freeze_except
from scenekit.weights import convert
from scenekit.weights.convert import renamed
from scenekit_plugins.tflite_weights.graph import Graph, Operator, read_graph
from scenekit_plugins.tflite_weights.ssd_mobilenet_v2 import model_of
from tests import tiny
from tests.plugins import tflite_graphs

HERE = Path("here.tflite")
REFERENCE = Path(__file__).parents[1] / "reference" / "tflite" / "ssd_mobilenet_v2.npz"
BOXES = (3, 6, 6, 6, 6, 6)
"""Default boxes per cell of each map."""


def predictions(model: sk.SceneModel, pixels: Tensor) -> Predictions:
    """What the network predicts for pixels [1 3 H W]."""
    size = (pixels.shape[2], pixels.shape[3])
    stage: Any = model.stages["detection"]
    kept: list[Predictions] = []
    read = stage.predictions
    stage.predictions = lambda board: kept.append(read(board)) or kept[-1]
    with torch.inference_mode():
        model(ImageBatch(pixels, (size,), (size,), divisor=1))
    del stage.predictions
    return kept[0]


def in_order_of_the_file(values: Tensor, counts: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Rows of each cell as TensorFlow has them: the square between two scales is the last box."""
    parts = []
    for level, each in zip(values.split(list(counts)), BOXES, strict=True):
        order = [0, 1, 2] if each == 3 else [0, 2, 3, 4, 5, 1]
        parts.append(level.reshape(-1, each, values.shape[1])[:, order].flatten(0, 1))
    return torch.cat(parts).numpy()


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return tflite_graphs.ssd_mobilenet_v2(columns=5)


@pytest.fixture(scope="module")
def weights(samples: Path) -> Path:
    pytest.importorskip("tflite")
    file = samples / "weights" / "ssd_mobilenet_v2_openimages_fp16.tflite"
    if not file.is_file():
        pytest.skip(f"no {file}")
    return file


def of_any_size(model: sk.SceneModel) -> sk.SceneModel:
    """The same network whose windows begin where TensorFlow's do on each image, not on those of its training."""
    without = {"backbone": {"options": {"trained_side": None}}, "detector_options": {"trained_side": None}}
    other = sk.build(ModelConfig.model_validate(merged(model.config.model_dump(), without)), model.vocabulary)
    other.load_state_dict(model.state_dict())
    return other.eval()


@pytest.mark.parametrize("size", [(300, 300), (96, 80), (75, 101)])
def test_a_graph_and_its_model_compute_the_same(graph: Graph, size: tuple[int, int]) -> None:
    pixels = torch.rand(1, *size, 3) * 2 - 1
    boxes, classes = tflite_graphs.run(graph, pixels)
    model = model_of(graph, HERE)
    assert model.vocabulary.things == ("class 1", "class 2", "class 3", "class 4")
    found = predictions(model if size == (300, 300) else of_any_size(model), pixels.permute(0, 3, 1, 2))
    logits, offsets = (in_order_of_the_file(part[0], found.counts) for part in (found.logits, found.offsets))
    scale = float(boxes.abs().max())
    np.testing.assert_allclose(offsets, boxes[0][:, [1, 0, 3, 2]], rtol=0, atol=1e-4 * scale)
    np.testing.assert_allclose(logits, classes[0].roll(-1, dims=1), rtol=0, atol=1e-4 * float(classes.abs().max()))


def test_outputs_are_the_interpreters(weights: Path) -> None:
    reference = np.load(REFERENCE)
    y, x, c = np.meshgrid(np.arange(300), np.arange(300), np.arange(3), indexing="ij")
    pixels = (np.sin(0.11 * x + 0.07 * y * (1 + c)) + np.cos(0.013 * x * (2 - c) - 0.05 * y)) / 2
    model = convert("tflite/ssd_mobilenet_v2", weights)
    found = predictions(model, torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None])
    boxes = in_order_of_the_file(found.offsets[0], found.counts)[:, [1, 0, 3, 2]]
    classes = np.roll(in_order_of_the_file(found.logits[0], found.counts), 1, axis=1)
    np.testing.assert_allclose(boxes[reference["rows"]], reference["box_encodings"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(classes[reference["rows"]], reference["class_predictions"], rtol=0, atol=1e-3)
    ends = np.cumsum(found.counts)[:-1]
    sums = [[np.abs(part).sum(dtype=np.float64) for part in np.split(values, ends)] for values in (boxes, classes)]
    np.testing.assert_allclose(np.transpose(sums), reference["sums"], rtol=1e-5)


def anchors() -> np.ndarray[Any, Any]:
    """Centers y x, heights and widths of TensorFlow's anchors, in parts of the image, in the order of the file."""
    scales = [0.2 + 0.15 * level for level in range(6)] + [1.0]
    rows = []
    for level, cells in enumerate((19, 10, 5, 3, 2, 1)):
        scale, between = scales[level], (scales[level] * scales[level + 1]) ** 0.5
        shapes = [(scale, 1.0), (scale, 2.0), (scale, 0.5), (scale, 3.0), (scale, 1 / 3), (between, 1.0)]
        if level == 0:
            shapes = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        for row in range(cells):
            for column in range(cells):
                center = ((row + 0.5) / cells, (column + 0.5) / cells)
                rows += [(*center, side / ratio**0.5, side * ratio**0.5) for side, ratio in shapes]
    return np.array(rows)


def test_boxes_are_decoded_as_tensorflow_does(graph: Graph) -> None:
    model = model_of(graph, HERE)
    stage: Any = model.stages["detection"]
    found = predictions(model, torch.rand(1, 3, 300, 300))
    rows = torch.arange(len(found.references))
    boxes = in_order_of_the_file(stage.decode(found, 0, rows), found.counts)
    dx, dy, dw, dh = in_order_of_the_file(found.offsets[0], found.counts).T.astype(float) / [[10], [10], [5], [5]]
    y, x, height, width = anchors().T * 300
    centers, sizes = (dx * width + x, dy * height + y), (np.exp(dw) * width, np.exp(dh) * height)
    usual = (np.abs(dw) < 4) & (np.abs(dh) < 4)
    assert usual.sum() > 1000
    expected = np.stack(
        [center + sign * size / 2 for sign in (-1, 1) for center, size in zip(centers, sizes, strict=True)]
    )
    np.testing.assert_allclose(boxes[usual], expected.T[usual], rtol=1e-4, atol=1e-2)


def changed(graph: Graph, place: int, **values: Any) -> Graph:
    """The graph with another operator."""
    operators = list(graph.operators)
    operators[place] = replace(operators[place], **values)
    return replace(graph, operators=tuple(operators))


def without(graph: Graph, place: int) -> Graph:
    operators = list(graph.operators)
    del operators[place]
    return replace(graph, operators=tuple(operators))


def quantized(graph: Graph) -> Graph:
    weight = graph.operators[4].inputs[1]
    return replace(graph, constants={number: value for number, value in graph.constants.items() if number != weight})


ADDITION = 9
"""Place of the first ADD."""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda graph: changed(graph, 0, padding="VALID"), r"expected CONV_2D of stride 2, padding SAME.*got.*VALID"),
        (lambda graph: changed(graph, 4, stride=(1, 1)), r"stride 2.* as .*features\.2\.conv\.1\.0, got .*stride 1"),
        (lambda graph: changed(graph, 3, activation="none"), r"activation ReLU6 on .*activation none"),
        (
            lambda graph: changed(graph, 3, inputs=(0, *graph.operators[3].inputs[1:])),
            "on the result of the layer before",
        ),
        (
            lambda graph: changed(graph, ADDITION, inputs=graph.operators[ADDITION].inputs[:1] * 2),
            "expected ADD of the",
        ),
        (lambda graph: without(graph, ADDITION), "expected ADD of the block's input behind .*features.3.conv.2"),
        (
            lambda graph: replace(graph, outputs=graph.outputs[:1]),
            r"expected box encodings .* as outputs, got \[1, -1, 4\]",
        ),
        (lambda graph: replace(graph, outputs=graph.outputs[::-1]), r"got \[1, -1, 5\], \[1, -1, 4\]"),
        (quantized, "are not float16 or float32; quantized networks are not converted"),
        (lambda graph: changed(graph, -1, kind="CUSTOM"), "expected CONCATENATION before .*, got CUSTOM"),
        (lambda graph: replace(graph, operators=()), "expected CONCATENATION before .*, got nothing"),
    ],
)
def test_other_networks_are_refused(graph: Graph, change: Callable[[Graph], Graph], told: str) -> None:
    assert graph.operators[ADDITION].kind == "ADD"
    with pytest.raises(InputError, match=rf"here\.tflite: not SSD-MobileNetV2 of TensorFlow.*{told}"):
        model_of(change(graph), HERE)


def test_predictions_of_another_map(graph: Graph) -> None:
    """Those of classes of the first two maps, exchanged."""
    joined = graph.operators[-1]
    swapped = (joined.inputs[1], joined.inputs[0], *joined.inputs[2:])
    with pytest.raises(InputError, match=r"reads another map than .*features\.14\.conv\.0\.0"):
        model_of(changed(graph, -1, inputs=swapped), HERE)


def test_layers_of_another_width(graph: Graph) -> None:
    weight, bias = graph.operators[1].inputs[1:]
    constants = {**graph.constants, weight: graph.constants[weight][..., :16], bias: graph.constants[bias][:16]}
    with pytest.raises(InputError, match=r"differs from SSD-MobileNetV2.*of another shape"):
        model_of(replace(graph, constants=constants), HERE)


def test_unknown_networks_and_nothing_to_download(tmp_path: Path) -> None:
    (tmp_path / "file.tflite").write_bytes(b"")
    with pytest.raises(InputError, match=r"tflite/NAME: unknown network 'ssd'; known: ssd_mobilenet_v2"):
        convert("tflite/ssd", tmp_path / "file.tflite")
    with pytest.raises(InputError, match=r"scenekit convert tflite/ssd_mobilenet_v2 FILE\.tflite --labels"):
        sk.load("tflite/ssd_mobilenet_v2")


# Tasks on its objects


def test_tasks_on_its_objects_learn_while_the_detector_stays(graph: Graph) -> None:
    """A pyramid beside the maps of the detector, on one frozen trunk, and masks, keypoints and semantic maps."""
    source = renamed(model_of(graph, HERE), ["???", "person", "mug", "cup", "box"])
    changes = {"pyramid": {"channels": 16}, "tasks": {n: tiny.TASKS[n] for n in ("masks", "keypoints", "semantic")}}
    config = ModelConfig.model_validate(merged(source.config.model_dump(), changes))
    model = sk.build(config, tiny.VOCABULARY)
    moved = sk.transfer(source, model)
    assert {name.split(".")[0] for name in moved.fresh if ".fpn." not in name} == {"heads"} and not moved.unused
    assert not moved.partly, "both of its classes are there"
    freeze_except(model.train(), ["masks", "keypoints", "semantic"])
    kept = {name: value.clone() for name, value in model.stages.state_dict().items()}
    one = tiny.batch(model, [tiny.sample(0), tiny.sample(1)])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    totals = []
    for _ in range(5):
        losses = {name: loss for name, loss in model(*one).losses.items() if not name.startswith("detection.")}
        assert {"masks.mask", "keypoints.keypoint", "semantic.pixel"} <= losses.keys()
        total = torch.stack(list(losses.values())).sum()
        totals.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < totals[0]
    assert all(torch.equal(value, kept[name]) for name, value in model.stages.state_dict().items())
    scene = model.eval().predict(tiny.sample().image, threshold=0.0)
    assert len(scene.objects) > 0 and len(scene[sk.MASKS]) == len(scene.objects) and sk.SEMANTIC in scene


# Files


def written(name: str, half: bool = True) -> bytes:
    """A file with one convolution of weights [2 1 1 3] and its activation, as the converter writes it."""
    flatbuffers, tflite = pytest.importorskip("flatbuffers"), pytest.importorskip("tflite")
    builder = flatbuffers.Builder(0)
    kind = np.float16 if half else np.float32
    arrays = [np.array([]), np.arange(6, dtype=kind) / 4, np.array([1, -2], dtype=kind)]
    data = [builder.CreateByteVector(array.tobytes()) for array in arrays]
    buffers = []
    for vector in data:
        tflite.BufferStart(builder)
        tflite.BufferAddData(builder, vector)
        buffers.append(tflite.BufferEnd(builder))

    def numbers(values: Any) -> int:
        return int(builder.CreateNumpyVector(np.array(values, dtype=np.int32)))

    def tensor(label: str, shape: list[int], buffer: int, own: int) -> int:
        text, sides = builder.CreateString(label), numbers(shape)
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, text)
        tflite.TensorAddShape(builder, sides)
        tflite.TensorAddType(builder, own)
        tflite.TensorAddBuffer(builder, buffer)
        return int(tflite.TensorEnd(builder))

    def operator(code: int, inputs: list[int], outputs: list[int], options: int | None = None) -> int:
        sources, results = numbers(inputs), numbers(outputs)
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, code)
        tflite.OperatorAddInputs(builder, sources)
        tflite.OperatorAddOutputs(builder, results)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.Conv2DOptions)
            tflite.OperatorAddBuiltinOptions(builder, options)
        return int(tflite.OperatorEnd(builder))

    def vector(start: Callable[[Any, int], Any], parts: list[int]) -> int:
        start(builder, len(parts))
        for part in reversed(parts):
            builder.PrependUOffsetTRelative(part)
        return int(builder.EndVector())

    own, full = (tflite.TensorType.FLOAT16 if half else tflite.TensorType.FLOAT32), tflite.TensorType.FLOAT32
    tensors = [
        tensor("pixels", [1, 4, 4, 3], 0, full),
        tensor("weight", [2, 1, 1, 3], 1, own),
        tensor("bias", [2], 2, own),
        tensor(name, [1, 2, 2, 2], 0, full),
        *(
            [tensor("weight_dequantize", [2, 1, 1, 3], 0, full), tensor("bias_dequantize", [2], 0, full)]
            if half
            else []
        ),
    ]
    tflite.Conv2DOptionsStart(builder)
    tflite.Conv2DOptionsAddPadding(builder, tflite.Padding.SAME)
    tflite.Conv2DOptionsAddStrideW(builder, 2)
    tflite.Conv2DOptionsAddStrideH(builder, 2)
    tflite.Conv2DOptionsAddDilationWFactor(builder, 1)
    tflite.Conv2DOptionsAddDilationHFactor(builder, 1)
    tflite.Conv2DOptionsAddFusedActivationFunction(builder, tflite.ActivationFunctionType.RELU6)
    options = tflite.Conv2DOptionsEnd(builder)
    dequantized = [operator(1, [1], [4]), operator(1, [2], [5])] if half else []
    steps = [*dequantized, operator(0, [0, 4, 5] if half else [0, 1, 2], [3], options)]
    tensors_of, steps_of = (
        vector(tflite.SubGraphStartTensorsVector, tensors),
        vector(tflite.SubGraphStartOperatorsVector, steps),
    )
    inputs, outputs = numbers([0]), numbers([3])
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors_of)
    tflite.SubGraphAddOperators(builder, steps_of)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    graphs = vector(tflite.ModelStartSubgraphsVector, [tflite.SubGraphEnd(builder)])
    codes = []
    for number in (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEQUANTIZE):
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, number)
        tflite.OperatorCodeAddBuiltinCode(builder, number)
        codes.append(tflite.OperatorCodeEnd(builder))
    all_codes, all_buffers = (
        vector(tflite.ModelStartOperatorCodesVector, codes),
        vector(tflite.ModelStartBuffersVector, buffers),
    )
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, all_codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, all_buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("half", [True, False])
def test_a_file_by_hand(tmp_path: Path, half: bool) -> None:
    (tmp_path / "one.tflite").write_bytes(written("features", half))
    graph = read_graph(tmp_path / "one.tflite")
    (operator,) = graph.operators
    weight, bias = operator.inputs[1:]
    assert operator == Operator("CONV_2D", (0, weight, bias), (3,), (2, 2), "SAME", "ReLU6")
    assert (graph.inputs, graph.outputs, graph.names[3], graph.shapes[3]) == ((0,), (3,), "features", (1, 2, 2, 2))
    assert graph.constants[weight].tolist() == [[[[0.0, 0.25, 0.5]]], [[[0.75, 1.0, 1.25]]]]
    assert graph.constants[bias].tolist() == [1.0, -2.0] and graph.constants[bias].dtype == torch.float32


def test_files_that_are_not_converted(tmp_path: Path) -> None:
    file, content = tmp_path / "one.tflite", written("features")
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"one\.tflite: not SSD-MobileNetV2.*as outputs, got \[1, 2, 2, 2\]"):
        convert("tflite/ssd_mobilenet_v2", file)
    for other in (b"", b"TFL3", b"PK\3\4 an archive of something else"):
        file.write_bytes(other)
        with pytest.raises(InputError, match=r"one\.tflite: not a TFLite file"):
            convert("tflite/ssd_mobilenet_v2", file)
    for length in range(8, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"one\.tflite: (cut off|not SSD)"):
            convert("tflite/ssd_mobilenet_v2", file)


def test_a_large_file_that_is_cut_off(weights: Path, tmp_path: Path) -> None:
    content = weights.read_bytes()
    for share in (0.001, 0.3, 0.999):
        (tmp_path / "cut.tflite").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"cut\.tflite: cut off, or not a TFLite file"):
            convert("tflite/ssd_mobilenet_v2", tmp_path / "cut.tflite")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.tflite").write_bytes(b"1234TFL3")
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(InputError, match=r'need the package tflite .*pip install "scenekit\[tflite\]"'):
        convert("tflite/ssd_mobilenet_v2", tmp_path / "one.tflite")
