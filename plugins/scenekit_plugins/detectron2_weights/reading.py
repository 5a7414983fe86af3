"""Reading checkpoints without running what is in them.

The zoo's `.pkl` files are pickles, and a pickle may call any function while it is read. This one may only make arrays,
strings, numbers and containers; whatever else it asks for is refused. `.pth` files go through PyTorch's own restricted
reader.
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
"""All that it takes to get arrays out of a pickle."""


class ForbiddenError(pickle.UnpicklingError):
    """A pickle asks for something that is no array."""


def read_checkpoint(file: Path) -> State:
    """The tensors of a checkpoint by name.

    Raises InputError for a file that is cut off or no checkpoint, and for a pickle that would run code.
    """
    is_pickle = file.suffix == ".pkl" and not zipfile.is_zipfile(file)
    try:
        content = _read_pickle(file) if is_pickle else torch.load(file, map_location="cpu", weights_only=True)
    except ForbiddenError as error:
        raise InputError(f"{file}: refused, since reading it would run {error}; only arrays are expected") from None
    except Exception as error:  # a damaged file raises whatever its reader stumbles over first
        text = one_line(error)
        raise InputError(f"{file}: a checkpoint of detectron2 (.pkl or .pth) is expected ({text})") from error
    return _state(content, file)


def _state(content: object, file: Path) -> State:
    """The tensors under "model", where detectron2 puts them, or of a plain state dict."""
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


def _refuse(file: Path, found: str) -> NoReturn:
    raise InputError(f"{file}: a checkpoint of detectron2 holds arrays by name under 'model'; {found}")


def _read_pickle(file: Path) -> Any:
    with open(file, "rb") as stream:
        # Python 2 wrote text as bytes; in Latin-1 every byte is one character, so arrays survive too.
        return _ArrayUnpickler(stream, encoding="latin1").load()


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What the pickle may call; numpy 1 called its core `numpy.core`."""
        wanted = f"{module.replace('numpy.core', 'numpy._core')}.{name}"
        if wanted == "_codecs.encode":
            return _latin1
        if wanted not in ALLOWED:
            raise ForbiddenError(f"{module}.{name}")
        return super().find_class(*wanted.rsplit(".", 1))


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 write bytes; other encodings are none of an array's business."""
    if encoding not in ("latin1", "latin-1"):
        raise ForbiddenError(f"_codecs.encode for {encoding!r}")
    return text.encode("latin1")
