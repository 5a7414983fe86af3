"""Formats of exported networks: ONNX for ONNX Runtime, OpenVINO's own, and programs of torch.export."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scenekit.errors import InputError
from scenekit.hooks import hookimpl
from scenekit.hooks.records import RuntimeSpec
from scenekit.runtimes.quantization import quantize_onnx
from scenekit.runtimes.running import Runner

if TYPE_CHECKING:
    from torch.export import ExportedProgram

OPSET = 20


def check_installed(spec: RuntimeSpec, modules: Sequence[str]) -> None:
    """Check that the packages of a format are there.

    Args:
        spec: The format.
        modules: Modules that are needed.

    Raises:
        InputError: One is missing.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        names = " ".join(missing)
        raise InputError(f"format {spec.name!r} needs {names}: pip install 'scenekit[export]', or pip install {names}")


def threads() -> int:
    """Return how many threads a runtime gets: as many as torch has."""
    return torch.get_num_threads()


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write a program as ONNX."""
    for name in ("onnxscript", "onnx_ir"):  # they report each optimization that does not apply
        logging.getLogger(name).setLevel(logging.ERROR)
    converted = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert converted is not None
    converted.save(str(path))


def open_onnx(path: Path) -> Runner:
    """Open a file of `write_onnx` in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would take time from torch
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        fed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, fed)]

    return run


def write_openvino(program: ExportedProgram, path: Path) -> None:
    """Write a program in OpenVINO's format: `path`, and the weights beside it."""
    import openvino

    openvino.save_model(openvino.convert_model(program), path, compress_to_fp16=False)


def open_openvino(path: Path) -> Runner:
    """Open a file of `write_openvino`."""
    import openvino

    options = {"INFERENCE_NUM_THREADS": threads(), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", options)

    def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        found = compiled([tensor.numpy() for tensor in tensors])
        return [torch.from_numpy(found[output].copy()) for output in compiled.outputs]

    return run


def write_program(program: ExportedProgram, path: Path) -> None:
    """Write a program of torch.export."""
    with open(path, "wb") as file:
        torch.export.save(program, file)


def open_program(path: Path) -> Runner:
    """Open a file of `write_program`."""
    module = torch.export.load(path).module()
    return lambda tensors: module(*tensors)


@hookimpl
def scenekit_runtimes() -> Iterable[RuntimeSpec]:
    """Yield the built-in formats.

    Yields:
        Their records.
    """
    yield RuntimeSpec(
        "onnx",
        "ONNX files, run by ONNX Runtime",
        ".onnx",
        write_onnx,
        open_onnx,
        writes_with=("onnx", "onnxscript"),
        runs_with=("onnxruntime",),
        quantize=quantize_onnx,
    )
    yield RuntimeSpec(
        "openvino",
        "OpenVINO's format, fast on processors of Intel",
        ".xml",
        write_openvino,
        open_openvino,
        writes_with=("openvino",),
        runs_with=("openvino",),
    )
    yield RuntimeSpec("pt2", "programs of torch.export, run by torch", ".pt2", write_program, open_program)
