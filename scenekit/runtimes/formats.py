"""Formats of exported networks: ONNX for ONNX Runtime, OpenVINO's own, and programs of torch.export."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scenekit.errors import InputError, one_line
from scenekit.hooks import hookimpl, registry
from scenekit.hooks.records import RuntimeSpec
from scenekit.runtimes.programs import quietly
from scenekit.runtimes.quantization import quantize_onnx
from scenekit.runtimes.running import Runner

if TYPE_CHECKING:
    from openvino import Core
    from torch.export import ExportedProgram

OPSET = 20

_ONE_CORE = Lock()

OWN = "scenekit"
"""The distribution of the built-in formats, whose packages have the names of their modules."""


def check_installed(spec: RuntimeSpec, modules: Sequence[str]) -> None:
    """Check that the packages which a format needs are installed.

    Args:
        spec: The format.
        modules: Modules that are needed.

    Raises:
        InputError: One is missing.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        names, origin = " ".join(missing), registry().owner(spec)
        own = origin is None or origin.distribution == OWN
        install = f"pip install 'scenekit[export]', or pip install {names}" if own else f"install what {origin} needs"
        raise InputError(f"format {spec.name!r} needs {'' if own else 'the modules '}{names}: {install}")


def threads() -> int:
    """Return how many threads a runtime gets.

    Returns:
        As many as torch has.
    """
    return torch.get_num_threads()


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write a program as ONNX.

    Args:
        program: The program.
        path: Path of the file; weights of more than 2 GB are beside it.

    Raises:
        OSError: The file cannot be written; ONNX raises its own errors where it has no counterpart of an operator.
    """
    with quietly():
        converted = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert converted is not None
    converted.save(str(path))


def open_onnx(path: Path) -> Runner:
    """Open a file of `write_onnx` in ONNX Runtime.

    Args:
        path: Path of the file.

    Returns:
        What runs it on the CPU.
    """
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
    """Write a program in OpenVINO's format.

    Args:
        program: The program.
        path: Path of the graph; the weights are beside it, in a file that ends in `.bin`.

    Raises:
        OSError: The files cannot be written; OpenVINO raises its own errors where it lacks an operator.
    """
    import openvino

    converted = openvino.convert_model(program)
    try:
        openvino.save_model(converted, path, compress_to_fp16=False)
    except RuntimeError as error:  # OpenVINO's error of a full disk, too
        raise OSError(f"OpenVINO does not write it: {one_line(error)}") from error


def openvino_core() -> Core:
    """Return the one core of OpenVINO that this process has; threads wait while it is made.

    The CPU plugin of each core gives the thread a stack of its own for signals (for AMX) and later puts back the one
    that it found. Of two cores, the one closed last puts back the stack that the other has freed, and the next signal
    with a handler, that of a child that ends as well, would kill the process.

    Returns:
        The core.
    """
    with _ONE_CORE:
        return _made_core()


@cache
def _made_core() -> Core:
    import openvino

    return openvino.Core()


def open_openvino(path: Path) -> Runner:
    """Open a file of `write_openvino`.

    Args:
        path: Path of the graph.

    Returns:
        What runs it on the CPU.
    """
    options = {"INFERENCE_NUM_THREADS": threads(), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_core().compile_model(path, "CPU", options)
    lock = Lock()  # all calls share one request, which fails while another thread uses it

    def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        with lock:
            results = compiled([tensor.numpy() for tensor in tensors])
            return [torch.from_numpy(results[output].copy()) for output in compiled.outputs]

    return run


def write_program(program: ExportedProgram, path: Path) -> None:
    """Write a program of torch.export.

    Args:
        program: The program.
        path: Path of the file.

    Raises:
        OSError: The file cannot be written.
    """
    stream = BytesIO()  # torch ends the process where a file cannot be written
    torch.export.save(program, stream)
    path.write_bytes(stream.getvalue())


def open_program(path: Path) -> Runner:
    """Open a file of `write_program`.

    Args:
        path: Path of the file.

    Returns:
        What runs it in torch.
    """
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
