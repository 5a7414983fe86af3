"""ONNX networks in int8: quantized after training, layers that lose too much kept in float by a measured search."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scenekit.config import Config
from scenekit.runtimes.programs import quietly

if TYPE_CHECKING:
    from numpy.typing import NDArray

Feed = dict[str, "NDArray[Any]"]

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that are computed in int8."""

LARGEST_ERROR = 0.05
"""Largest error of any output of a network, as a part of its root mean square."""


class Quantized(Config):
    """A network in int8."""

    layers: int
    """How many of its layers are in int8."""
    of: int
    """How many could be."""
    error: float
    """Error of the worst output, as a part of its root mean square."""
    needs_vnni: bool = False
    """Whether sums of its products overflow on a CPU without VNNI, which refuses to load it."""


def has_int8() -> bool:
    """Return whether the CPU sums products of bytes in one instruction (VNNI on x86).

    Returns:
        Whether it does; True for other processors than x86, where no such sum overflows.
    """
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("architecture") not in ("x86_64", None):
        return True
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


def quantize_onnx(path: Path, calls: Sequence[Sequence[Tensor]]) -> Quantized:
    """Replace a file of `write_onnx` by one whose layers are in int8, as many as the tolerance allows.

    Weights are symmetric per channel; activations have one scale each, from their range over the calls. On a CPU
    without VNNI weights have 7 bits, since sums of products of 8 bits overflow there.

    Args:
        path: The file; it stays as it is where not one layer can be in int8.
        calls: What goes in, of real images.

    Returns:
        What was quantized.
    """
    with TemporaryDirectory() as folder:
        search = _Search.of(path, calls, Path(folder))
        best = search.run()
        if best.layers:
            shutil.copyfile(search.result, path)
        return best


@dataclass(frozen=True)
class _Search:
    source: Path
    """The float network, prepared."""
    result: Path
    """The last one in int8."""
    ranges: Path
    """Ranges of the activations."""
    feeds: Sequence[Feed]
    expected: Sequence[Sequence[NDArray[Any]]]
    """What the float network gives for each."""
    names: Sequence[str]
    """Layers that could be in int8."""

    @classmethod
    def of(cls, path: Path, calls: Sequence[Sequence[Tensor]], folder: Path) -> _Search:
        """Prepare the search for the layers of a network that can be in int8.

        Args:
            path: The float network.
            calls: What goes in.
            folder: Where to write what is tried.

        Returns:
            The search.
        """
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        source = folder / "float.onnx"
        quant_pre_process(path, source, skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(source).graph.node if node.op_type in LAYERS]
        session = _session(source)
        inputs = [entry.name for entry in session.get_inputs()]
        feeds = [{n: t.contiguous().numpy() for n, t in zip(inputs, call, strict=True)} for call in calls]
        expected = [session.run(None, feed) for feed in feeds]
        return cls(source, folder / "int8.onnx", folder / "ranges.json", feeds, expected, names)

    def run(self) -> Quantized:
        """Find the most layers whose network is within the tolerance: all, or those that lose least on their own.

        Returns:
            What is in int8 in `result`.
        """
        if not self.names:
            return self._quantized(0, 0.0)
        if (error := self.error_of(self.names)) <= LARGEST_ERROR:
            return self._quantized(len(self.names), error)
        alone = {name: self.error_of([name]) for name in self.names}
        ranked = sorted(self.names, key=alone.__getitem__)
        low, high = 0, len(ranked)  # `low` layers are within the tolerance, `high` are not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.error_of(ranked[:middle]) <= LARGEST_ERROR else (low, middle)
        return self._quantized(low, self.error_of(ranked[:low]) if low else 0.0)

    def _quantized(self, layers: int, error: float) -> Quantized:
        return Quantized(layers=layers, of=len(self.names), error=error, needs_vnni=bool(layers) and has_int8())

    def error_of(self, names: Sequence[str]) -> float:
        """Write the network with some layers in int8 and measure its error.

        Args:
            names: The layers.

        Returns:
            Error of the worst output, as a part of its root mean square.
        """
        import numpy as np
        from onnxruntime.quantization import QuantType, quantize_static

        with quietly():
            quantize_static(
                self.source,
                self.result,
                _Reader(self.feeds),
                op_types_to_quantize=list(LAYERS),
                nodes_to_quantize=list(names),
                per_channel=True,
                reduce_range=not has_int8(),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibration_cache_path=self.ranges,
            )
        session = _session(self.result)
        errors = []
        for feed, expected in zip(self.feeds, self.expected, strict=True):
            for own, other in zip(session.run(None, feed), expected, strict=True):
                errors.append((np.square(own - other).mean(), np.square(other).mean()))
        outputs = len(self.expected[0])
        sums = np.array(errors).reshape(len(self.feeds), outputs, 2).sum(axis=0)
        return float(np.sqrt(sums[:, 0] / np.maximum(sums[:, 1], 1e-12)).max())


class _Reader:
    """Hands the calls out one by one, as ONNX Runtime asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.left: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.left, None)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
