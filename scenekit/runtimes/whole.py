"""A joint model as one graph: exported by torch.export, and written as one ONNX file that needs no package of ours."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from scenekit.errors import InputError, one_line
from scenekit.hooks import RuntimeSpec, registry
from scenekit.io.files import created, drafted
from scenekit.model.prediction import evaluating
from scenekit.model.scene_model import SceneModel
from scenekit.model.static_pass import WholeModel
from scenekit.runtimes.formats import OPSET, check_installed
from scenekit.runtimes.lowering import Lowering
from scenekit.structures.cameras import Camera
from scenekit.structures.geometry import Size

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram

FORMAT_VERSION = 1
PIXELS = "RGB values of the image, 0..1, resized as `resizing` says; the graph normalizes them"
CAMERA = "intrinsics K in pixels of the resized image: x right, y down, pixel (0, 0) covers [0, 1) x [0, 1)"
RESAMPLING = {
    "antialiased": "bilinear with antialiasing, as Pillow's BILINEAR",
    "plain": "bilinear between the four nearest pixels, without antialiasing, as OpenCV's INTER_LINEAR",
    "bicubic": "bicubic with antialiasing, as Pillow's BICUBIC",
}
"""How `predict` resizes images, by `InputConfig.resampling`."""


@dataclass(frozen=True, eq=False)
class WholeGraph:
    """A model as one program."""

    program: ExportedProgram
    """From the inputs to a mapping of the outputs by name."""
    inputs: Mapping[str, Tensor]
    """An example of each input, in order."""
    outputs: Mapping[str, Tensor]
    """What the program gives for it, in order."""
    left_out: Mapping[str, str]
    """Why a task of the model is not part of it, by name."""
    about: Mapping[str, Any]
    """All that its user needs to know, as plain JSON."""


def export_whole(
    model: SceneModel,
    size: Size,
    detections: int | None = None,
    tasks: str | Collection[str] | None = None,
    threshold: float = 0.0,
) -> WholeGraph:
    """Export a model as one graph, for one image of a fixed size at a time.

    ```python
    graph = export_whole(sk.load("small"), (240, 320), detections=20)
    write_whole(graph, Path("out"))
    ```

    Args:
        model: The model, on the CPU in single precision.
        size: Height and width of the images, in pixels.
        detections: Rows of objects, at most as many as the detector gives, which is the default.
        tasks: Tasks that it has, or a single one; all that can, if None.
        threshold: Objects that score less are not valid.

    Returns:
        The graph.

    Raises:
        InputError: An argument is invalid, the model lacks a task, a part of it that is needed has no form with fixed
            shapes, or torch.export cannot follow it.
    """
    with evaluating(model), _unfused(), torch.no_grad():
        whole = WholeModel(model, size, detections, tasks, threshold).eval()
        examples = {"pixels": torch.rand((1, 3, *whole.size)), "camera": Camera.default(*whole.size).matrix[None]}
        # This pass notes what is read, and fills caches, which must not hold tensors of the recorded one.
        images = whole.batch(*examples.values())
        outputs = whole.run(images)
        if "camera" not in images.asked:
            del examples["camera"]
        program = _program(whole, examples)
    return WholeGraph(program, examples, outputs, whole.left_out, _about(whole, examples, outputs))


def check_writable() -> None:
    """Check that the packages that write ONNX are installed.

    Raises:
        InputError: One is missing.
    """
    spec: RuntimeSpec = registry().get("runtime", "onnx")
    check_installed(spec, spec.writes_with)


def write_whole(graph: WholeGraph, folder: Path) -> Path:
    """Write a graph as `whole.onnx`, and what its user needs to know beside it as `whole.json`.

    Args:
        graph: The graph.
        folder: Folder to write to; it is created where it is missing.

    Returns:
        Path of the ONNX file.

    Raises:
        InputError: Packages of the extra `export` are missing, ONNX has no counterpart of a part of the graph, or the
            folder cannot be written.
    """
    check_writable()
    with created(folder):
        converted = _in_onnx(graph)
        with drafted(folder / "whole.json") as about, drafted(folder / "whole.onnx") as draft:
            about.write_bytes(json.dumps(graph.about, indent=2).encode())
            converted.save(str(draft))
    return folder / "whole.onnx"


def _in_onnx(graph: WholeGraph) -> ONNXProgram:
    try:
        converted = torch.onnx.export(
            graph.program,
            dynamo=True,
            opset_version=OPSET,
            optimize=False,  # matching patterns takes minutes, and runtimes do it by themselves
            verbose=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
        )
    except Exception as error:  # converters of other packages raise errors of many kinds
        raise InputError(f"ONNX has no counterpart of a part of the model ({one_line(error)})") from error
    assert converted is not None
    optimizer = import_module("onnxscript.optimizer")
    optimizer.fold_constants(converted.model)
    optimizer.remove_unused_nodes(converted.model)
    return converted


def _program(whole: WholeModel, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    try:
        with Lowering():
            return torch.export.export(_Inputs(whole), tuple(inputs.values()), strict=False)
    except Exception as error:  # torch.export raises errors of many kinds
        raise InputError(f"torch.export does not follow the model as a whole ({one_line(error)})") from error


class _Inputs(nn.Module):
    """The inputs of a whole model that it reads, as torch.export takes no arguments with defaults."""

    def __init__(self, whole: WholeModel) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.whole(*inputs)
        return outputs


@contextmanager
def _unfused() -> Iterator[None]:
    """Compute attention step by step, as runtimes do not know torch's fused step."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _about(whole: WholeModel, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Any]:
    docs, config = {"pixels": PIXELS, "camera": CAMERA}, whole.model.config.input
    return {
        "format_version": FORMAT_VERSION,
        "size": list(whole.size),
        "resizing": {
            "resampling": config.resampling,
            "doc": RESAMPLING[config.resampling],
            **{name: getattr(config, name) for name in ("min_size", "max_size", "fixed_size", "crop")},
        },
        "threshold": whole.threshold,
        "tasks": list(whole.tasks),
        "left_out": whole.left_out,
        "inputs": {name: _described(tensor, docs[name]) for name, tensor in inputs.items()},
        "outputs": {name: _described(tensor, whole.doc(name)) for name, tensor in outputs.items()},
        "vocabulary": whole.model.vocabulary.to_json(),
    }


def _described(tensor: Tensor, doc: str) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch."), "doc": doc}
