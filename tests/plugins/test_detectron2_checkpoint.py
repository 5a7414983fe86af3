"""Checkpoints are read without running what is in them, whichever program wrote them."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scenekit.errors import InputError
from scenekit_plugins.detectron2_weights.checkpoint import read_checkpoint

ARRAYS = {
    "backbone.weight": np.arange(6, dtype=np.float32).reshape(2, 3) - 1e-3,
    "norm.running_var": np.array([0.5, 200.0, 7.0], dtype=np.float64),
    "counter": np.array(3),
}
ZOO = {
    "model": ARRAYS,
    "__author__": "Detectron2 Model Zoo",
    "matching_heuristics": True,
    "iteration": np.int64(269999),
    "order": OrderedDict(a=1),
}


def written(folder: Path, content: bytes, name: str = "model_final.pkl") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def assert_is_the_model(path: Path) -> None:
    state = read_checkpoint(path)
    assert set(state) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert torch.equal(state[name], torch.from_numpy(array))
        state[name].add_(1)  # memory of its own


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert_is_the_model(written(tmp_path, pickle.dumps(ZOO, protocol=protocol)))


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike as Python 2 wrote its strings."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def test_pickles_of_python_2_and_numpy_1(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump({"model": ARRAYS})
    content = stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert_is_the_model(written(tmp_path, content))


def test_arrays_of_another_byte_order_and_read_only(tmp_path: Path) -> None:
    array = np.arange(4, dtype=">f4")
    array.flags.writeable = False
    (value,) = read_checkpoint(written(tmp_path, pickle.dumps({"model": {"a": array}}, protocol=5))).values()
    assert value.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_pytorch(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "model_final.pth"
    state = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    content = {"model": OrderedDict(state), "optimizer": {"state": {}, "lr": 0.02}, "iteration": 9}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert_is_the_model(path)


def test_a_plain_state_dict(tmp_path: Path) -> None:
    assert_is_the_model(written(tmp_path, pickle.dumps(ARRAYS)))


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def payloads(witness: Path) -> dict[str, tuple[Any, str]]:
    """Ways to create the file `witness` while a pickle is read, and what is told of them."""
    return {
        "a shell": (Payload(os.system, f"touch {witness}"), r"posix\.system"),
        "a file": (Payload(open, str(witness), "w"), r"_?io\.open"),
        "evaluation": (Payload(eval, f"open({str(witness)!r}, 'w')"), r"(builtins|__builtin__)\.eval"),
        "numpy's own loader": (Payload(np.load, str(witness), None, True), r"numpy\.load"),
        "an attribute of something allowed": (
            Payload(np.ndarray.tofile, np.zeros(1), str(witness)),
            r"(builtins|__builtin__)\.getattr",
        ),
    }


@pytest.mark.parametrize("kind", payloads(Path()))
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, kind: str, protocol: int) -> None:
    payload, told = payloads(tmp_path / "witness")[kind]
    path = written(tmp_path, pickle.dumps({"model": {"a": np.zeros(1)}, "extra": [payload]}, protocol=protocol))
    with pytest.raises(InputError, match=rf"refused, since reading it would run {told}; expected arrays only"):
        read_checkpoint(path)
    assert not (tmp_path / "witness").exists()


def test_dotted_names_reach_nothing_more(tmp_path: Path) -> None:
    """Protocol 4 may ask for attributes of attributes: `numpy.ndarray.tofile`."""
    content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(InputError, match=r"would run numpy\.ndarray\.tofile"):
        read_checkpoint(written(tmp_path, content))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    content = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R."
    with pytest.raises(InputError, match=r"_codecs\.encode for 'rot13'"):
        read_checkpoint(written(tmp_path, content))


def test_a_file_of_pytorch_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}, "extra": Payload(os.system, f"touch {tmp_path / 'witness'}")}, tmp_path / "model.pth")
    with pytest.raises(InputError, match="it holds more than tensors"):
        read_checkpoint(tmp_path / "model.pth")
    assert not (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected a checkpoint"),
        (b"not a pickle", "expected a checkpoint"),
        (pickle.dumps(ZOO)[:-40], "expected a checkpoint"),
        (pickle.dumps([1, 2]), "with arrays by name under 'model'; got list"),
        (pickle.dumps({"model": 3}), "got dict"),
        (pickle.dumps({"blobs": {"conv1_w": np.zeros(1)}}), "Caffe2"),
        (pickle.dumps({"model": {"name": "text"}}), "name holds str"),
        (pickle.dumps({"model": {"name": np.array([None])}}), "name holds ndarray"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_checkpoint(written(tmp_path, content))
