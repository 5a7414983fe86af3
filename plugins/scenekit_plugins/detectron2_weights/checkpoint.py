"""Reading of checkpoints without running code in them.

The zoo's `.pkl` files are pickles, and a pickle may call any function while it is read. Here it may only create arrays,
strings, numbers and containers; everything else is refused. `.pth` files are read as everywhere in scenekit.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from scenekit.backbones.state import read_state
from scenekit.errors import InputError, one_line

State = dict[str, Tensor]
"""Parameters and buffers by detectron2's names."""

ALLOWED = {
    "collections.OrderedDict",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
}
"""All functions that are needed to read arrays from a pickle."""


class ForbiddenError(pickle.UnpicklingError):
    """A pickle calls a function that is not needed for arrays."""


def read_checkpoint(file: Path) -> State:
    """Load the tensors of a checkpoint.

    Args:
        file: Path of the checkpoint.

    Returns:
        Tensors by name.

    Raises:
        InputError: If the file is cut off or not a checkpoint, or is a pickle that would run code.
    """
    if file.suffix != ".pkl" or zipfile.is_zipfile(file):
        return read_state(file)
    try:
        content = _read_pickle(file)
    except ForbiddenError as error:
        raise InputError(f"{file}: refused, since reading it would run {error}; expected arrays only") from None
    except Exception as error:  # a damaged file raises errors of any kind
        raise InputError(f"{file}: expected a checkpoint of detectron2, .pkl or .pth ({one_line(error)})") from error
    return _state(content, file)


def _state(content: object, file: Path) -> State:
    """Return the tensors under "model", where detectron2 stores them, or of a plain state dict."""
    model = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(model, Mapping):
        _refuse(file, f"got {type(content).__name__}")
    if "blobs" in model:
        _refuse(file, 'this one has "blobs" and comes from Caffe2')
    return {str(name): _tensor(value, str(name), file) for name, value in model.items()}


def _tensor(value: object, name: str, file: Path) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_):
        _refuse(file, f"{name} holds {type(value).__name__}")
    native = array.astype(array.dtype.newbyteorder("="))  # a copy, since pickled arrays may be read-only
    return torch.from_numpy(native)


def _refuse(file: Path, actual: str) -> NoReturn:
    raise InputError(f"{file}: expected a checkpoint of detectron2, with arrays by name under 'model'; {actual}")


def _read_pickle(file: Path) -> Any:
    with open(file, "rb") as stream:
        # Python 2 wrote text as bytes; in Latin-1 every byte is one character, so arrays survive too.
        return _ArrayUnpickler(stream, encoding="latin1").load()


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a function that the pickle may call; the core of numpy 1 is `numpy.core`."""
        function = f"{module.replace('numpy.core', 'numpy._core')}.{name}"
        if function == "_codecs.encode":
            return _latin1
        if function not in ALLOWED:
            raise ForbiddenError(f"{module}.{name}")
        return super().find_class(*function.rsplit(".", 1))


def _latin1(text: str, encoding: str) -> bytes:
    """Encode bytes as pickles of protocol 2 store them; arrays need no other encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise ForbiddenError(f"_codecs.encode for {encoding!r}")
    return text.encode("latin1")
